"""To start a search as a user does and to read what it left: used by the tests of searches."""

import json
import os
import signal
import subprocess
import sys
import time

from runs import read

from training.files import PROJECT

LAST = 54  # steps
# One network and three optimizers: a process trains most trials in a session that it has.
FLAGS = ["--model_name=MNIST", "--fake_data", "--search=hyperband", "--search_seed=3"]
FLAGS += [f"--max_iter={LAST}", "--min_iter=6", "--hidden1=16", "--hidden2=8", "--jit=off"]
FLAGS += ["--confirm=2"]


def ledger(folder):
    """The ledger's records, sorted by trial, step and seed."""
    records = lines_of(folder / "ledger.jsonl")
    return sorted(records, key=lambda r: (r["trial"], r["until"], r.get("seed", -1)))


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def search(folder, nb_process, *flags, program="main.py", common=FLAGS):
    """Start a search as a user does."""
    command = [sys.executable, program, *common, f"--nb_process={nb_process}"]
    command += [f"--result_dir={folder}", *flags]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    if os.name != "nt":  # tests that run in the background inherit an ignored SIGINT
        options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
        options["start_new_session"] = True  # with a group of its own, as in a terminal
    return subprocess.Popen(command, cwd=PROJECT, **options)


def assert_same(folder, straight):
    assert ledger(folder) == ledger(straight)
    assert read(folder, "best.json") == read(straight, "best.json")


def wait_for_lines(folder, count, process):
    path, deadline = folder / "ledger.jsonl", time.monotonic() + 120
    while count and (not path.exists() or path.read_bytes().count(b"\n") < count):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
