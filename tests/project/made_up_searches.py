"""Searches with a made-up objective, in which no model is trained, for the tests of searches."""

import random
from concurrent.futures import Future

from hpsearch.display import Display
from hpsearch.ledger import Outcome
from hpsearch.search import SearchFolder, run
from models import MODELS


class MadeUp:
    """An executor without processes: scores by a formula, in a random order."""

    def __init__(self, order, width=4, stop_after=None):
        self.chance, self.nb_process, self.stop_after = random.Random(order), width, stop_after
        self.running, self.done = [], 0

    def cached_shapes(self):
        return set()

    def submit(self, job, config):
        future = Future()
        self.running.append((future, job))
        if len(self.running) == self.nb_process:
            self.end_one()
        return future

    def stopped(self):
        """Asked at each snapshot."""
        if self.running:
            self.end_one()
        return self.stop_after is not None and self.done >= self.stop_after

    def end_one(self):
        future, job = self.running.pop(self.chance.randrange(len(self.running)))
        self.done += 1
        future.set_result(self.outcome(job))

    def outcome(self, job):
        if job.trial % 7 == 0:
            return Outcome("failed", reason="made up")
        return trained(score(job))


def trained(score):
    return Outcome("trained", score, None, {"accuracy": score}, "")


def score(job):
    return -abs(job.hyperparameters["lr"] - 0.01) + job.until / 1e6


def settings(search="fullsearch", **changed):
    base = {s.name: s.default for s in MODELS["MNIST"].hyperparameters}
    return {
        "model_name": "MNIST", "search": search, "search_seed": 0, "max_iter": 81,
        "min_iter": 3, "eta": 3, "fixed_params": {}, "base": base, "lr_points": 37,
        "confirm": 3, "ranges": {}, "objective": ["accuracy", "max"], "run": {},
        "sampler": None if search == "lr" else "random", "optuna": None,
        "trials": {"random": 16, "hyperband": 49}.get(search),
        "try": None, "promoted": [], "extended_from": [],
    } | changed  # fmt: skip


def made_up_search(path, executor, **changed):
    with SearchFolder(settings(**changed), path) as folder, Display(folder.ledger) as display:
        return follow(folder, executor, display)


def follow(folder, executor, display):
    """Run a search until the executor has it stopped. Returns whether it is complete."""
    for snapshot in run(folder, MODELS[folder.settings["model_name"]], executor):
        display.show(snapshot)
        if executor.stopped():
            return False
    return True
