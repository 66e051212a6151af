"""The schedulers of the search are pure, and do what their papers say."""

import random

import pytest

from command_line import SEARCH
from hpsearch import confirmation, fullsearch, hyperband, learningrate
from hpsearch.halving import Bracket, best_first, pending
from hpsearch.randomsearch import configurations
from hpsearch.search_settings import search_settings
from models import MODELS, ConfigError

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
    brackets = hyperband.brackets(drawn, (81, 1, 3))
    scores = run(brackets, lambda x, steps: sign * (abs(x - 0.3) + 1 / steps), direction)
    trials = {number: x["x"] for bracket in brackets for number, x in bracket.trials.items()}
    whole = {trial: score for (trial, until), score in scores.items() if until == 81}
    nearest_of_the_first = min(range(81), key=lambda i: abs(trials[i] - 0.3))
    assert nearest_of_the_first in whole
    best = best_first(whole, direction)[0]
    assert abs(trials[best] - 0.3) == min(abs(trials[i] - 0.3) for i in whole) < 0.02
    assert len(scores) == sum(count for b in brackets for count, _ in b.rungs)


def test_the_learning_rates_are_37_on_a_log_scale():
    grid = learningrate.grid(1e-4, 1.0, 37)
    assert (len(grid), grid[0], grid[9], grid[-1]) == (37, 1e-4, 1e-3, 1.0)
    assert grid[1] == 1.29e-4
    assert learningrate.grid(0.01, 1, 3) == [0.01, 0.1, 1.0]


def test_learning_rates_of_a_narrow_range_are_distinct_and_within_it():
    grid = learningrate.grid(0.12345, 0.124, 37)
    assert len(set(grid)) == 37 and grid == sorted(grid)
    assert grid[0] >= 0.12345 and grid[-1] == pytest.approx(0.124)


def settings(search, **changed):
    base = {s.name: s.default for s in MNIST.hyperparameters}
    common = {"search_seed": 0, "max_iter": 81, "min_iter": 3, "eta": 3, "fixed_params": {}}
    common |= {
        "trials": 16 if search == "random" else None,
        "lr_points": 37,
        "confirm": 3,
        "ranges": {},
        "sampler": "random",
    }
    return common | {"search": search, "base": base} | changed


def test_a_full_search_fixes_the_best_learning_rate_in_its_last_pass():
    def brackets(*winners, first=0):
        rankings = [[winner] for winner in winners]
        return fullsearch.brackets(MNIST, settings("fullsearch"), rankings, first)

    first = brackets()
    best = first[0].trials[5]
    second, third = brackets(best, first=49), brackets(best, best | {"lr": 0.02}, first=86)
    assert [t | {"lr": 0} for t in second[0].trials.values()] == [best | {"lr": 0}] * 37
    assert {t["lr"] for bracket in third for t in bracket.trials.values()} == {0.02}
    numbers = [n for brackets in (first, second, third) for b in brackets for n in b.trials]
    assert numbers == list(range(len(numbers)))
    last = brackets(best, best, best, first=135)
    assert last and all(bracket.seeds for bracket in last)
    assert brackets(best, best, best, best) == []


@pytest.mark.parametrize("search, trials", [("random", 16), ("lr", 37), ("hyperband", 49)])
def test_the_other_searches_have_one_pass_and_its_confirmation(search, trials):
    def brackets(*rankings, **changed):
        return fullsearch.brackets(MNIST, settings(search, **changed), list(rankings), trials)

    (found,) = {sum(len(bracket.trials) for bracket in brackets())}
    ranked = [c for bracket in brackets() for c in bracket.trials.values()]
    assert found == trials and not any(bracket.seeds for bracket in brackets())
    again = brackets(ranked)
    assert [len(bracket.seeds) for bracket in again] == [3] * 4
    assert brackets(ranked, confirm=0) == [] == brackets(ranked, ranked)


def test_the_number_of_trials_points_and_the_ranges_are_those_of_the_settings():
    changed = {"trials": 5, "lr_points": 3, "ranges": {"lr": [0.01, 0.04], "optimizer": ["adam"]}}
    (random_search,) = fullsearch.brackets(MNIST, settings("random", **changed), [])
    found = list(random_search.trials.values())
    assert len(found) == 5 and {config["optimizer"] for config in found} == {"adam"}
    assert all(0.01 <= config["lr"] <= 0.04 for config in found)
    (grid,) = fullsearch.brackets(MNIST, settings("lr", **changed), [])
    assert [config["lr"] for config in grid.trials.values()] == [0.01, 0.02, 0.04]


def test_a_range_leaves_what_else_is_drawn_as_it_is():
    free = configurations(MNIST, 0, range(20))
    ranged = configurations(MNIST, 0, range(20), {}, {"momentum": [0.5, 0.99]})
    assert all(0.5 <= config["momentum"] <= 0.99 for config in ranged.values())
    assert free == {i: config | {"momentum": 0.9} for i, config in ranged.items()} != ranged
    for config in ranged.values():  # it is drawn where it is used
        assert (config["momentum"] == 0.9) == (config["optimizer"] != "momentum")
    seen = {config["hidden1"] for config in ranged.values()}
    assert seen <= {16, 32, 64, 128, 256, 512} and len(seen) > 3
    seen = configurations(MNIST, 0, range(20), {}, {"hidden1": [24, 100]})
    assert {config["hidden1"] for config in seen.values()} == {24, 48, 96}


class Narrowing(MNIST):
    constraints = (("hidden2", "<=", "hidden1"),)


def test_what_breaks_a_constraint_is_not_trained():
    """What the search began with, too, if what is fixed makes it break one."""

    def brackets(*rankings, **changed):
        given = settings("random", trials=9, **changed)
        return fullsearch.brackets(Narrowing, given, list(rankings), 9)

    drawn = [*brackets(fixed_params={"hidden1": 16})[0].trials.values()]
    assert len(drawn) == 9 and {config["hidden2"] for config in drawn} == {16}
    again = brackets(drawn, fixed_params={"hidden1": 16})
    assert [bracket.name for bracket in again] == [f"confirmation {i}" for i in (1, 2, 3)]
    assert [n for bracket in again for n in bracket.trials] == list(range(9, 18))
    assert len(brackets(drawn, fixed_params={"hidden1": 32})) == 4
    Rising = type("Rising", (MNIST,), {"constraints": (("lr", ">", "weight_decay"),)})
    given = settings("lr", lr_points=3, fixed_params={"weight_decay": 0.1})
    (grid,) = fullsearch.brackets(Rising, given, [])
    assert [config["lr"] for config in grid.trials.values()] == [1.0] and grid.rungs == [(1, 81)]


def test_a_search_that_no_constraint_allows_is_refused_before_it_starts():
    options = {s.name: s.default for s in SEARCH}

    def asked(kind, **fixed):
        return search_settings(Narrowing, {"search": kind} | fixed, options)

    assert asked("random", hidden1=16)["fixed_params"] == {"hidden1": 16}
    with pytest.raises(ConfigError, match="none of 1000 .* --hidden2=64 and --hidden1=8"):
        asked("random", hidden1=8, hidden2=64)
    with pytest.raises(ConfigError, match="^--hidden2=32 and --hidden1=16 do not go together"):
        asked("lr", hidden1=16)


def test_without_what_the_search_began_with_the_best_mean_wins():
    ledger = Scores([0.5, 0.5], [0.2, 0.9], [0.5, 0.7])
    assert ledger.order() == [0, 2, 1]
    ledger.confirming = [b._replace(name=f"confirmation {i + 1}") for i, b in
                         enumerate(ledger.confirming)]  # fmt: skip
    assert ledger.order() == [2, 1, 0]


def test_the_seeds_of_a_confirmation_are_new_distinct_and_follow_from_the_searchs():
    for search_seed in (0, 7):
        seeds = confirmation.other_seeds(search_seed, 50)
        assert len({search_seed, *seeds}) == 51
        assert confirmation.other_seeds(search_seed, 3) == seeds[:3]
    assert confirmation.other_seeds(0, 3) != confirmation.other_seeds(1, 3)


def test_a_confirmation_trains_what_the_search_began_with_and_the_three_best_of_the_others():
    ranked = [{"lr": lr} for lr in (1, 2, 1, 3, 4, 5)]
    for base, expected in [({"lr": 9}, [9, 1, 2, 3]), ({"lr": 2}, [2, 1, 3, 4])]:
        brackets = confirmation.brackets([base, *ranked], [11, 12], max_iter=81, first=30)
        assert [b.trials[n]["lr"] for b in brackets for n in b.trials][::2] == expected
        assert [n for b in brackets for n in b.trials] == list(range(30, 38))
        assert [list(b.seeds.values()) for b in brackets] == [[11, 12]] * 4
        assert {rung for b in brackets for rung in b.rungs} == {(2, 81)}


def test_the_seed_of_a_job_is_that_of_its_bracket():
    (first, *_) = confirmation.brackets([{"lr": 1}], [11, 12], max_iter=81, first=30)
    assert [(job.trial, job.seed) for job in pending(first, {}, "max")] == [(30, 11), (31, 12)]


class Scores:
    """A ledger with these scores; each candidate is a bracket with a trial for each seed."""

    def __init__(self, *candidates, direction="max"):
        configs, seeds = [{"lr": i} for i in range(len(candidates))], range(len(candidates[0]))
        self.confirming = confirmation.brackets(configs, list(seeds), max_iter=9, first=0)
        self.direction, self.records = direction, {}
        scores = [score for scores in candidates for score in scores]
        for trial, score in enumerate(scores):
            config = configs[trial // len(seeds)]
            record = {"trial": trial, "score": score, "hyperparameters": config}
            self.records[trial, 9] = record | {"valid": {"loss": score}}

    def order(self):
        ranked = [{"trial": 100 + i, "hyperparameters": {"lr": i}} for i in (1, 2, 3)]
        self.results = confirmation.results(self.confirming, ranked, self)
        return [result["hyperparameters"]["lr"] for result in self.results]


def test_the_best_mean_wins_and_not_the_best_score():
    ledger = Scores([0.1, 0.1, 0.1], [0.9, 0.2, 0.2], [0.6, 0.5, 0.6], [0.5, 0.5, 0.4])
    assert ledger.order()[0] == 2
    best = ledger.results[0]
    assert (best["trial"], best["seeds"], best["scores"]) == (102, 3, [0.6, 0.5, 0.6])
    assert best["mean"] == best["valid"]["loss"] == pytest.approx(1.7 / 3)
    assert best["spread"] == pytest.approx((1 / 300) ** 0.5)
    ledger = Scores([0.9, 0.9], [0.5, 0.5], [0.2, 0.3], direction="min")
    assert ledger.order() == [2, 1, 0]


def test_what_the_search_began_with_stays_unless_another_is_clearly_better():
    """Seeds differ by far more than candidates do: what counts are the differences."""
    clear, luck = [0.11, 0.511, 0.91], [0.2, 0.49, 0.9]
    assert Scores([0.1, 0.5, 0.9], luck).order() == [0, 1]
    assert Scores([0.1, 0.5, 0.9], luck, clear).order() == [2, 0, 1]
    assert Scores([0.1], [0.1001]).order() == [1, 0] and Scores([0.1], [0.1]).order() == [0, 1]
    # The gains are 1.9 and 2.1 standard errors.
    assert Scores([0, 0], [2.9, 0.9]).order() == [0, 1]
    assert Scores([0, 0], [3.1, 1.1]).order() == [1, 0]
    ledger = Scores([0.1, 0.5, 0.9], luck)
    ledger.order()
    assert ledger.results[0]["trial"] == 0  # it has no trial of its own in the search


def test_a_candidate_that_diverged_with_a_seed_is_not_confirmed():
    assert Scores([0.1, 0.1], [0.9, None], [0.2, 0.3]).order() == [2, 0]
    assert Scores([None, 0.1], [0.9, None], [0.2, 0.3]).order() == [2]
    assert Scores([None], [None]).order() == []


def test_promoted_trials_cost_only_their_further_steps():
    assert Bracket("b", {}, [(9, 1), (3, 3), (1, 9)]).steps() == 9 + 3 * 2 + 6
    assert Bracket("b", {}, [(5, 81)]).steps() == 405
