"""The schedulers of the search are pure, and do what their papers say."""

import random

import pytest

from hpsearch import fullsearch, hyperband, learningrate
from hpsearch.halving import Bracket, best_first, pending
from hpsearch.randomsearch import configurations
from models import MODELS

MNIST = MODELS["MNIST"]


def test_a_trial_follows_from_the_search_seed_and_its_number_alone():
    ten = configurations(MNIST, 0, range(10))
    assert configurations(MNIST, 0, range(3, 5)) == {i: ten[i] for i in (3, 4)}
    assert configurations(MNIST, 1, range(10)) != ten
    assert len({config["lr"] for config in ten.values()}) == 10


def test_a_fixed_parameter_is_the_same_in_all_trials_and_leaves_the_others_as_drawn():
    free = configurations(MNIST, 0, range(4))
    fixed = configurations(MNIST, 0, range(4), {"lr": 0.01})
    assert fixed == {i: config | {"lr": 0.01} for i, config in free.items()}


def test_the_brackets_are_those_of_algorithm_1_worked_out_by_hand():
    assert hyperband.schedule(max_iter=81, min_iter=1, eta=3) == {
        4: [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        3: [(34, 3), (11, 9), (3, 27), (1, 81)],
        2: [(15, 9), (5, 27), (1, 81)],
        1: [(8, 27), (2, 81)],
        0: [(5, 81)],
    }


@pytest.mark.parametrize("eta", [2, 3, 4, 5, 10])
def test_the_number_of_brackets_is_exact_at_the_powers_of_eta(eta):
    for power in range(1, 12):
        for max_iter, brackets in [(eta**power, power + 1), (eta**power - 1, power)]:
            assert len(hyperband.schedule(max_iter, 1, eta)) == brackets


def test_no_trial_is_trained_for_fewer_steps_than_the_least():
    for max_iter in (27, 1000, 11_000):
        for rungs in hyperband.schedule(max_iter, max_iter // 27, 3).values():
            assert rungs[0][1] >= max_iter // 27 and rungs[-1][1] == max_iter


def drawn(numbers):
    return {i: {"x": random.Random(i).random()} for i in numbers}


def run(brackets, objective, direction):
    """Run brackets against a function of (x, steps). Returns {(trial, until): score}."""
    scores = {}
    for bracket in brackets:
        while jobs := pending(bracket, scores, direction):
            for job in jobs:
                scores[job.trial, job.until] = objective(job.hyperparameters["x"], job.until)
    return scores


@pytest.mark.parametrize("direction, sign", [("max", -1), ("min", 1)])
def test_the_known_best_is_found_in_both_directions(direction, sign):
    brackets = hyperband.brackets(drawn, 81, 1, 3)
    scores = run(brackets, lambda x, steps: sign * (abs(x - 0.3) + 1 / steps), direction)
    trials = {number: x["x"] for bracket in brackets for number, x in bracket.trials.items()}
    whole = {trial: score for (trial, until), score in scores.items() if until == 81}
    nearest_of_the_first = min(range(81), key=lambda i: abs(trials[i] - 0.3))
    assert nearest_of_the_first in whole
    best = best_first(whole, direction)[0]
    assert abs(trials[best] - 0.3) == min(abs(trials[i] - 0.3) for i in whole) < 0.02
    assert len(scores) == sum(count for b in brackets for count, _ in b.rungs)


def test_the_learning_rates_are_37_on_a_log_scale():
    grid = learningrate.grid()
    assert (len(grid), grid[0], grid[9], grid[-1]) == (37, 1e-4, 1e-3, 1.0)


def settings(search):
    base = {s.name: s.default for s in MNIST.hyperparameters}
    common = {"search_seed": 0, "max_iter": 81, "min_iter": 3, "eta": 3, "fixed_params": {}}
    return common | {"search": search, "base": base}


def test_a_full_search_fixes_the_best_learning_rate_in_its_last_pass():
    def brackets(*winners):
        return fullsearch.brackets(MNIST, settings("fullsearch"), list(winners))

    first = brackets()
    best = first[0].trials[5]
    second, third = brackets(best), brackets(best, best | {"lr": 0.02})
    assert [t | {"lr": 0} for t in second[0].trials.values()] == [best | {"lr": 0}] * 37
    assert {t["lr"] for bracket in third for t in bracket.trials.values()} == {0.02}
    numbers = [n for brackets in (first, second, third) for b in brackets for n in b.trials]
    assert numbers == list(range(len(numbers)))
    assert brackets(best, best, best) == []


@pytest.mark.parametrize("search, trials", [("random", 16), ("lr", 37), ("hyperband", 49)])
def test_the_other_searches_have_one_pass(search, trials):
    brackets = fullsearch.brackets(MNIST, settings(search), [])
    assert sum(len(bracket.trials) for bracket in brackets) == trials
    assert fullsearch.brackets(MNIST, settings(search), [{}]) == []


def test_promoted_trials_cost_only_their_further_steps():
    assert Bracket("b", {}, [(9, 1), (3, 3), (1, 9)]).steps() == 9 + 3 * 2 + 6
    assert Bracket("b", {}, [(5, 81)]).steps() == 405
