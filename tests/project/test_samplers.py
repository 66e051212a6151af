"""Samplers draw near what was good, tell the rungs apart, and follow from what was seen alone."""

import math
import statistics

import pytest
from test_schedulers import settings

from hpsearch import fullsearch, hyperband, sampling, search
from hpsearch.halving import in_order, pending
from models import MNIST

samplers = pytest.mark.parametrize("sampler", ["gp", "tpe"])
ABOUT = {"objective": ["accuracy", "max"], "confirm": 0}


def error(hyperparameters):
    """How far a learning rate is from 0.01, in powers of ten."""
    return abs(math.log10(hyperparameters["lr"]) + 2)


class Scores:
    """What a ledger tells, from a formula."""

    direction = "max"

    def __init__(self):
        self.known = {}

    def scores(self, bracket):
        return {job: score for job, score in self.known.items() if job[0] in bracket.trials}


def searched(sampler, trials=49, **changed):
    """The hyper-parameters of all trials of a search by a formula, in order of their numbers."""
    about = settings("hyperband", sampler=sampler, trials=trials, **ABOUT, **changed)
    brackets, ledger = fullsearch.brackets(MNIST, about, []), Scores()
    while True:
        search.draw_trials(brackets, ledger)
        jobs = [j for b in brackets for j in pending(b, ledger.scores(b), "max")]
        if not jobs:
            return [config for bracket in brackets for config in bracket.trials.values()]
        for job in jobs[:2]:
            ledger.known[job.trial, job.until] = -error(job.hyperparameters)


@samplers
def test_configurations_come_nearer_to_the_best_than_at_random(sampler):
    near, anywhere = (
        [statistics.fmean(map(error, searched(own, search_seed=seed)[-15:])) for seed in (1, 2)]
        for own in (sampler, "random")
    )
    assert max(near) < 0.7 * min(anywhere)


@samplers
def test_the_first_trials_and_some_later_ones_are_those_of_random_search(sampler):
    ranges = {"lr": [0.1, 0.2]}
    about = {"fixed_params": {"hidden1": 48}, "ranges": ranges}
    drawn, random = searched(sampler, **about), searched("random", **about)
    same = [one == other for one, other in zip(drawn, random, strict=True)]
    assert all(same[: sampling.STARTUP])
    assert 0 < sum(same[sampling.STARTUP :]) < 15  # a tenth of 41, about
    assert drawn[0] != searched("random", search_seed=2, **about)[0]


@samplers
def test_what_a_models_own_function_draws_from_elsewhere_is_trained_but_not_learned_from(sampler):
    class Own(MNIST):
        @classmethod
        def get_random_config(cls, fixed_params, seed, table=None):
            return super().get_random_config(fixed_params, seed, table) | {"optimizer": "own"}

    own = fullsearch.sampler_class(sampler)(Own, settings("hyperband", **ABOUT), {}, {})
    found = [own.draw(n, [(i, 3, i / 10) for i in range(n)]) for n in range(12)]
    assert {config["optimizer"] for config in found} == {"own"} and not own.configs


@samplers
def test_what_is_fixed_or_has_another_range_is_drawn_so(sampler):
    ranges = {"lr": [0.1, 0.2], "optimizer": ["adam", "momentum"]}
    found = searched(sampler, 20, fixed_params={"hidden1": 48}, ranges=ranges)
    assert {config["hidden1"] for config in found} == {48}
    assert {config["optimizer"] for config in found} == {"adam", "momentum"}
    assert all(0.1 <= config["lr"] <= 0.2 for config in found)
    assert {config["hidden2"] for config in found} <= {16, 32, 64, 128, 256, 512}


@samplers
def test_a_trial_follows_from_what_was_seen_and_from_nothing_else(sampler):
    def drawn(*seen):
        own = fullsearch.sampler_class(sampler)(MNIST, settings("hyperband", **ABOUT), {}, {})
        found = [own.draw(n, []) for n in range(12)]
        return found, own.draw(12, list(seen))

    seen = [(n, 3, n / 100) for n in range(12)]
    assert drawn(*seen) == drawn(*seen)
    first, again = drawn(*seen), drawn(*reversed(seen))
    assert first[0] == again[0] and first == again  # the order of what was seen does not matter
    other = [drawn(*seen[:n], (n, 3, 0.99), *seen[n + 1 :])[1] for n in range(4)]
    assert any(config != first[1] for config in other)


@samplers
def test_while_scores_tell_nothing_a_trial_is_drawn_all_the_same(sampler):
    own = fullsearch.sampler_class(sampler)(MNIST, settings("hyperband", **ABOUT), {}, {})
    found = [own.draw(n, []) for n in range(9)]
    for score in (None, 0.5):
        found.append(own.draw(len(found), [(n, 3, score) for n in range(9)]))
    assert len({config["lr"] for config in found}) == 11


def test_trials_of_different_rungs_are_compared_by_what_others_gained():
    scores = {0: {1: 0.5, 3: 0.8, 9: 0.9}, 1: {1: 0.4}, 2: {1: 0.6, 3: 0.7}, 3: {}, 4: {3: 0.6}}
    found = sampling.comparable(scores)
    assert found == pytest.approx({0: 0.9, 1: 0.4 + 0.2 + 0.1, 2: 0.8, 4: 0.7})


def test_a_trial_without_a_score_is_the_worst_and_spoils_no_comparison():
    found = sampling.comparable({0: {1: -math.inf}, 1: {1: 0.5, 3: -math.inf}, 2: {1: 0.4, 3: 0.6}})
    assert found == {0: -math.inf, 1: -math.inf, 2: 0.6}


def test_what_came_of_the_jobs_is_told_in_the_order_of_one_process():
    draw = {n: {"x": n} for n in range(5)}
    (first, *_) = hyperband.brackets(lambda numbers: {n: draw[n % 5] for n in numbers}, (9, 1, 3))
    trials = list(first.trials)
    scores = {(n, 1): float(n) for n in trials}
    assert in_order([first], scores, "max") == [(n, 1, float(n)) for n in trials]
    del scores[4, 1]
    assert len(in_order([first], scores, "max")) == 4  # what ended after it is not told yet
    scores = {(n, 1): 1.0 if n < 2 else None for n in trials} | {(0, 3): 2.0, (1, 3): 3.0}
    assert in_order([first], scores, "max")[-3:] == [(0, 3, 2.0), (1, 3, 3.0), None]


def test_hyperband_goes_through_its_brackets_again_until_there_are_enough_trials():
    def shapes(trials):
        found = hyperband.brackets(dict.fromkeys, (9, 1, 3), trials)
        return [(b.name, len(b.trials), min(b.trials)) for b in found]

    once = [("hyperband 2", 9, 0), ("hyperband 1", 5, 9), ("hyperband 0", 3, 14)]
    assert shapes(None) == once
    assert shapes(10) == once[:2]
    assert shapes(18) == [*once, ("hyperband 2, round 2", 9, 17)]
