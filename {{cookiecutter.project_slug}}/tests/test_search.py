"""A search gives the same answer with any number of processes, in any order, stopped or not."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import Future

from toy import Toy

from command_line import SEARCH
from hpsearch import commands
from hpsearch.halving import Bracket, pending
from hpsearch.trial import ModelCache, run_job
from training import processors

BRACKET = Bracket("b", {n: {"lr": n / 10} for n in range(9)}, [(9, 1), (3, 3), (1, 9)])
# Hyperband with 5 trials of one network, whose learning rate is searched.
FLAGS = ["--search=hyperband", "--max_iter=9", "--min_iter=3", "--units=4", "--optimizer=sgd"]
FLAGS += ["--jit=off", "--search_seed=3", f"--threads={processors.count()}", "--confirm=1"]


def jobs_of(scores, direction="max"):
    """What runs next, as [(trial, until)]."""
    return [(job.trial, job.until) for job in pending(BRACKET, scores, direction)]


def complete(objective, order):
    """Run a bracket whose jobs end in a random order. Returns {(trial, until): score}."""
    scores, chance = {}, random.Random(order)
    while jobs := jobs_of(scores):
        for job in chance.sample(jobs, chance.randint(1, len(jobs))):
            scores[job] = objective(*job)
    return scores


def test_a_bracket_runs_rung_after_rung_and_promotes_the_best():
    scores = {}
    assert jobs_of(scores) == [(n, 1) for n in range(9)]
    scores |= {(n, 1): -abs(n - 5) for n in range(8)}
    assert jobs_of(scores) == [(8, 1)]  # its rung waits for it
    scores[8, 1] = -9
    assert jobs_of(scores) == [(5, 3), (4, 3), (6, 3)]  # of equal scores the lower number first
    assert jobs_of(scores, "min") == [(8, 3), (0, 3), (1, 3)]
    scores |= {(4, 3): 0.3, (5, 3): 0.1, (6, 3): 0.2}
    assert jobs_of(scores) == [(4, 9)]
    assert jobs_of(scores | {(4, 9): 1}) == []


def test_a_trial_without_a_score_is_never_promoted():
    scores = {(n, 1): None for n in range(9)}
    assert jobs_of(scores) == jobs_of(scores, "min") == []
    scores[7, 1] = 0.5
    assert jobs_of(scores) == jobs_of(scores, "min") == [(7, 3)]


def test_the_order_in_which_jobs_end_changes_nothing():
    def objective(trial, until):
        return None if trial == 3 else (trial * 7 % 9) + until

    first = complete(objective, order=0)
    assert all(complete(objective, order) == first for order in range(1, 30))
    assert len(first) == 13
    assert set(complete(lambda trial, until: trial, order=0)) != set(first)


def test_a_job_whose_record_was_lost_runs_again():
    scores = complete(lambda trial, until: trial, order=0)
    assert jobs_of(scores) == []
    lost = random.Random(0).choice(list(scores))
    del scores[lost]
    assert jobs_of(scores) == [lost]


class InThisProcess:
    """An executor that runs each job at once, in the process of the test."""

    nb_process = 1

    def __init__(self, nb_process, threads, device):
        self.models = ModelCache()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.models.clear()

    def cached_shapes(self):
        return []

    def submit(self, job, config):
        future = Future()
        future.set_result(run_job(config, job.until, self.models))
        return future


def search_here(monkeypatch, folder, seed):
    """Run the search of FLAGS in this process."""
    monkeypatch.setattr(commands, "LocalExecutor", InThisProcess)
    options = {setting.name: setting.default for setting in SEARCH}
    options |= {"search_seed": seed, "min_iter": 3, "confirm": 1}
    given = {"search": "hyperband", "max_iter": 9, "units": 4, "optimizer": "sgd", "jit": "off"}
    given |= {"threads": processors.count(), "result_dir": str(folder)}
    assert commands.search(Toy, given, options) == 0


def start(project, folder, nb_process):
    """Start the same search in processes, as a user does."""
    flags = [*FLAGS, f"--nb_process={nb_process}", f"--result_dir={folder}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "main.py", *flags], cwd=project, **pipes)


def finish(process):
    """Wait for a process. Returns (exit status, output), or fails with what it wrote to stderr."""
    output, errors = process.communicate(timeout=120)
    assert errors == ""
    return process.returncode, output


def answer(folder):
    """What a search found: its sorted ledger, and its best trial."""
    lines = sorted((folder / "ledger.jsonl").read_text().splitlines())
    return lines, json.loads((folder / "best.json").read_text())


def wait_for_lines(folder, count, process):
    path, deadline = folder / "ledger.jsonl", time.monotonic() + 120
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


def test_any_number_of_processes_stopped_or_not_finds_the_same_and_another_seed_another_answer(
    toy_project, tmp_path, monkeypatch
):
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    process = start(toy_project, two, 2)
    if os.name != "nt":  # Windows cannot send this signal to one process
        wait_for_lines(two, 3, process)
        process.send_signal(signal.SIGTERM)
        status, output = finish(process)
        assert status == 143 and "run the same command to resume" in output
        assert 3 <= len((two / "ledger.jsonl").read_text().splitlines()) < 14
        process = start(toy_project, two, 1)
    search_here(monkeypatch, one, seed=3)
    search_here(monkeypatch, other, seed=4)
    status, output = finish(process)
    assert status == 0 and "5 trials: 3 complete" in output
    assert answer(one) == answer(two) != answer(other)
    best = answer(one)[1]
    assert best["seeds"] == 1 and [best["mean"]] == best["scores"]
    assert (two / "search.png").exists() and (two / "report.html").exists()
