"""A defect that the shipped tests of kills do not try: state that no checkpoint holds."""

import json
import subprocess
import sys

import pytest

from training.files import PROJECT


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="tests/kills.py is for Linux")
def test_an_order_of_batches_that_no_checkpoint_holds_is_found():
    command = [sys.executable, str(PROJECT / "tests" / "kills.py"), "--spoil=state"]
    for seed in range(1, 7):  # a kill before training begins finds nothing
        flags = ["--model_name=Toy", "--kills=1", f"--seed={seed}"]
        answer = subprocess.run([*command, *flags], capture_output=True, text=True)
        found = json.loads(answer.stdout)["Toy"]["different"]
        if found:
            break
    assert answer.returncode == 1 and "digests" in found[0]["in"]
