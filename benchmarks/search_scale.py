"""What a search costs beside its training: per trial, at 100 to 100,000 of them.

    python benchmarks/search_scale.py

A made-up objective takes no time, so what is left is the scheduler and the ledger, whose every line
is synced to the disk. Then real trials of an epoch of MNIST: what they take beyond their training,
in a new shape and in the session of the trial before. Writes build/bench/search_scale.md and .json.
"""

import contextlib
import io
import os
import sys
import tempfile
import time
from concurrent.futures import Future
from pathlib import Path

import prepare
import report

SIZES = (100, 10_000, 100_000)


class MadeUp:
    """An executor whose jobs end at once."""

    nb_process = 4

    def cached_shapes(self):
        return []

    def submit(self, job, config):
        from hpsearch.ledger import Outcome

        score = -abs(job.hyperparameters["lr"] - 0.01)
        future = Future()
        future.set_result(Outcome("trained", score, None, {"accuracy": score}, "0" * 64))
        return future


def measure(trials, project):
    """Run and reopen a search of so many trials. Returns what it took."""
    sys.path.insert(0, str(project))
    from hpsearch import randomsearch
    from hpsearch.display import Display
    from hpsearch.halving import Bracket
    from hpsearch.search import SearchFolder, run_pass
    from models import MODELS

    settings = {"model_name": "MNIST", "search": "random", "objective": ["accuracy", "max"]}
    settings |= {"max_iter": 9, "search_seed": 0, "run": {}}
    rungs = [(trials, 1), (trials // 3, 3), (trials // 9, 9)]
    jobs = sum(count for count, _ in rungs)

    def follow(search, brackets, executor):
        display = Display(search.ledger)
        for snapshot in run_pass(search, brackets, executor):
            display.show(snapshot)

    def bracket():
        configs = randomsearch.configurations(MODELS["MNIST"], 0, range(trials))
        return Bracket("b", configs, rungs)

    with (
        tempfile.TemporaryDirectory() as folder,
        open(os.devnull, "w") as silence,
        contextlib.redirect_stdout(silence),
    ):
        with SearchFolder(settings, Path(folder)) as search:
            began = time.perf_counter()
            brackets = [bracket()]
            follow(search, brackets, MadeUp())
            seconds = time.perf_counter() - began
        began = time.perf_counter()
        with SearchFolder(settings, Path(folder)) as search:
            follow(search, [bracket()], None)
        reopen = time.perf_counter() - began
    return {"jobs": jobs, "milliseconds": 1e3 * seconds / jobs, "seconds_to_reopen": reopen}


def beyond_training(project):
    """What jobs of an epoch of MNIST take: {what: (seconds, seconds of its steps)}."""
    from hpsearch import trial
    from models import MODELS

    steps, learn = [], MODELS["MNIST"].learn_from_epoch

    def timed(model, stop):
        began = time.perf_counter()
        try:
            return learn(model, stop)
        finally:
            steps.append(time.perf_counter() - began)

    MODELS["MNIST"].learn_from_epoch = timed
    config = {"model_name": "MNIST", "max_iter": 1100, "max_to_keep": 1, "random_seed": 0}
    jobs = {
        "the first, with TensorFlow's import": ({"hidden1": 100}, "0", 550),
        "of another shape": ({"hidden1": 101}, "1", 550),
        "of the same shape": ({"hidden1": 101, "lr": 0.1}, "2", 550),
        "promoted, where it was trained": ({"hidden1": 101, "lr": 0.1}, "2", 1100),
        "promoted, in another process": ({"hidden1": 101}, "1", 1100),
    }
    found, models = {}, trial.ModelCache()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        for what, (own, name, until) in jobs.items():
            if what.endswith("another process"):
                models = trial.ModelCache()
            steps.clear()
            began = time.perf_counter()
            outcome = trial.run_job(
                config | own | {"result_dir": f"{folder}/{name}"}, until, models
            )
            assert outcome.state == "trained", outcome
            found[what] = (time.perf_counter() - began, sum(steps))
    return found


def main():
    prepare.BUILD.mkdir(parents=True, exist_ok=True)
    _, project = prepare.template_and_project()
    prepare.real_digits(project)
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
    costs = beyond_training(project)
    cells = [
        [what, *(f"{s:.2f}" for s in (whole, steps, whole - steps))]
        for what, (whole, steps) in costs.items()
    ]
    tables = [
        ("Search with a made-up objective", columns, rows),
        ("An epoch of MNIST, seconds", ["job", "whole", "its steps", "beyond"], cells),
    ]
    found = [results, costs]
    report.write("search_scale", "one process", prepare.machine(1), tables, prepare.BUILD, found)


if __name__ == "__main__":
    main()
