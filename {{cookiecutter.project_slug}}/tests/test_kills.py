"""Runs that are killed again and again end as one that never was; tests/kills.py does it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has neither SIGKILL nor fork")


def campaign(*flags):
    """Run tests/kills.py. Returns (exit status, what it found)."""
    command = [sys.executable, str(Path(__file__).parent / "kills.py"), *flags]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.stdout, answer.stderr
    return answer.returncode, json.loads(answer.stdout)


def test_a_handful_of_kills_leaves_no_trace():
    status, found = campaign("--kills=8", f"--seed={os.getpid()}")
    assert (status, found["different"]) == (0, []), found
    assert found["kills"] >= 8


@pytest.mark.parametrize("defect", ["state", "order"])
def test_what_a_checkpoint_does_not_hold_would_be_seen(defect):
    status, found = campaign("--kills=6", "--seed=1", f"--spoil={defect}")
    assert status == 1 and "digests" in found["different"][0]["in"]


@pytest.mark.campaign
def test_hundreds_of_kills_leave_no_trace(capsys):
    status, found = campaign("--kills=300")
    with capsys.disabled():
        print(f"\n{found['kills']} kills in {found['runs']} runs, {len(found['different'])} differ")
    assert (status, found["different"]) == (0, []), found
