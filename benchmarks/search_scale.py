"""What a search costs beside its training: per trial, at 100 to 100,000 of them.

    python benchmarks/search_scale.py

A made-up objective takes no time, so what is left is the scheduler and the ledger, whose every line
is synced to the disk. Writes build/bench/search_scale.md and .json.
"""

import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

import prepare
import report

SIZES = (100, 10_000, 100_000)


class MadeUp:
    """An executor whose jobs are done at once."""

    def __init__(self):
        self.running = []

    def is_free(self):
        return len(self.running) < 4

    def start(self, job, config):
        self.running.append(job)

    def finished(self, timeout):
        job = self.running.pop()
        score = -abs(job.hyperparameters["lr"] - 0.01)
        outcome = {"state": "trained", "score": score, "valid": {"accuracy": score}}
        return [(job, outcome | {"weights_sha256": "0" * 64})]


def measure(trials, project):
    """Run and reopen a search of so many trials. Returns what it took."""
    sys.path.insert(0, str(project))
    from hpsearch.display import Display
    from hpsearch.halving import Bracket
    from hpsearch.search import SearchFolder, run_pass

    settings = {"model_name": "MNIST", "search": "random", "objective": ["accuracy", "max"]}
    settings |= {"max_iter": 9, "search_seed": 0, "run": {}}
    configs = {i: {"lr": (i + 1) / trials} for i in range(trials)}
    bracket = Bracket("b", configs, [(trials, 1), (trials // 3, 3), (trials // 9, 9)])
    jobs = sum(count for count, _ in bracket.rungs)
    with (
        tempfile.TemporaryDirectory() as folder,
        open(os.devnull, "w") as silence,
        contextlib.redirect_stdout(silence),
        Display("max", ["lr"]) as display,
    ):
        with SearchFolder(settings, Path(folder)) as search:
            began = time.perf_counter()
            display.begin([bracket])
            run_pass(search, [bracket], MadeUp(), display, lambda: False)
            seconds = time.perf_counter() - began
        began = time.perf_counter()
        with SearchFolder(settings, Path(folder)) as search:
            again = Display("max", ["lr"])
            again.begin([bracket])
            run_pass(search, [bracket], None, again, lambda: False)
        reopen = time.perf_counter() - began
    return {"jobs": jobs, "milliseconds": 1e3 * seconds / jobs, "seconds_to_reopen": reopen}


def main():
    prepare.BUILD.mkdir(parents=True, exist_ok=True)
    _, project = prepare.template_and_project()
    results = {trials: measure(trials, project) for trials in SIZES}
    first = results[SIZES[0]]["milliseconds"]
    rows = [
        [
            f"{trials:,}",
            f"{found['jobs']:,}",
            f"{found['milliseconds']:.3f}",
            f"{found['milliseconds'] / first:.2f}",
            f"{found['seconds_to_reopen']:.2f}",
        ]
        for trials, found in results.items()
    ]
    columns = ["trials", "jobs", "ms a job", "growth", "s to go on"]
    machine = [list(item) for item in prepare.machine(1).items()]
    tables = [("Machine", ["what", "value"], machine), ("Search", columns, rows)]
    report.write("search_scale", "a made-up objective", tables, prepare.BUILD, results)


if __name__ == "__main__":
    main()
