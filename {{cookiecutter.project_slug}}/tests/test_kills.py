"""Runs that are killed again and again end as one that never was; tests/kills.py does it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from models import MODELS

pytestmark = pytest.mark.skipif(
    sys.platform != "linux",
    reason="only Linux is known to bear a fork after TensorFlow is imported",
)


def campaign(*flags):
    """Run tests/kills.py. Returns (exit status, {model: what it found})."""
    command = [sys.executable, str(Path(__file__).parent / "kills.py"), *flags]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.stdout, answer.stderr
    return answer.returncode, json.loads(answer.stdout)


def test_a_few_kills_of_each_model_leave_no_trace():
    status, found = campaign("--kills=2", f"--seed={os.getpid()}")
    assert status == 0 and found.keys() == MODELS.keys() - {"Toy"}, found
    assert all(model["kills"] == 2 and model["different"] == [] for model in found.values()), found


def test_a_kill_of_one_of_two_workers_ends_the_other_and_leaves_no_trace():
    status, found = campaign("--nb_workers=2", "--kills=1", f"--seed={os.getpid()}")
    own_epoch = {name for name in MODELS if "learn_from_epoch" in vars(MODELS[name])}
    assert status == 0 and found.keys() == MODELS.keys() - {"Toy"} - own_epoch, found
    assert all(model["kills"] == 1 and model["different"] == [] for model in found.values()), found


def test_batches_that_a_resumed_run_repeats_are_found():
    for seed in range(1, 7):  # all kills of one may hit the build of the graph, or the end
        flags = ["--model_name=Toy", "--kills=1", f"--seed={seed}", "--spoil=order"]
        status, found = campaign(*flags)
        if status:
            break
    assert status == 1 and "digests" in found["Toy"]["different"][0]["in"]


@pytest.mark.campaign
@pytest.mark.parametrize("workers, kills", [(1, 300), (2, 100), (3, 50)])
def test_hundreds_of_kills_of_each_model_leave_no_trace(workers, kills, capsys):
    status, found = campaign(f"--nb_workers={workers}", f"--kills={kills}")
    with capsys.disabled():
        for name, model in found.items():
            print(f"\n{name}, {workers}: {model['kills']} kills in {model['runs']} runs")
    assert status == 0 and all(model["different"] == [] for model in found.values()), found
