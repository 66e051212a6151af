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
    common |= {"trials": {"random": 16}.get(search), "lr_points": 37, "confirm": 3, "ranges": {}}
    common |= {"sampler": "random", "try": None, "promoted": [], "extended_from": []}
    return common | {"search": search, "base": base} | changed


def passes(search, **changed):
    """All passes of a search in which the trials with the lowest numbers are the best."""
    found, rankings, passed = [], [], []
    while brackets := fullsearch.brackets(MNIST, settings(search, **changed), rankings, passed):
        found.append(brackets)
        passed += brackets
        last = max(until for bracket in passed for _, until in bracket.rungs)
        ends = [bracket for bracket in passed if bracket.rungs[-1][1] == last]
        kept = [list(b.trials.items())[: b.rungs[-1][0]] for b in ends]
        rankings.append(dict(item for items in kept for item in items))
    return found


def test_a_full_search_fixes_the_best_learning_rate_in_its_last_pass():
    first, second, third, last = passes("fullsearch")
    best = first[0].trials[0]
    assert [t | {"lr": 0} for t in second[0].trials.values()] == [best | {"lr": 0}] * 37
    assert {t["lr"] for bracket in third for t in bracket.trials.values()} == {best["lr"]}
    numbers = [n for brackets in (first, second, third) for b in brackets for n in b.trials]
    assert numbers == list(range(49 + 37 + 49))
    assert all(bracket.seed is not None for bracket in last)


@pytest.mark.parametrize("search, trials", [("random", 16), ("lr", 37), ("hyperband", 49)])
def test_the_other_searches_have_one_pass_and_its_confirmation(search, trials):
    found, confirming = passes(search)
    assert sum(len(bracket.trials) for bracket in found) == trials
    assert {bracket.seed for bracket in found} == {None}
    assert [bracket.seed for bracket in confirming] == confirmation.other_seeds(0, 3)
    assert passes(search, confirm=0) == [found]


@pytest.mark.parametrize("search, counts", [("random", [16, 16]), ("hyperband", [3, 1])])
def test_more_steps_are_those_of_the_best_trials_of_hyperband_and_of_all_others(search, counts):
    asked = {"max_iter": 729, "extended_from": [81, 243], "min_iter": 3}
    found, *extended, confirming = passes(search, **asked)
    assert found == passes(search)[0]
    assert [b.rungs for (b,) in extended] == [[(counts[0], 243)], [(counts[1], 729)]]
    assert [b.name for (b,) in extended] == ["extension to 243", "extension to 729"]
    assert [b.steps() for (b,) in extended] == [counts[0] * (243 - 81), counts[1] * (729 - 243)]
    assert {b.rungs[0][1] for b in confirming} == {729}
    own = {n: c for bracket in found for n, c in bracket.trials.items()}
    assert all(own[n] == c for (b,) in extended for n, c in b.trials.items())


@pytest.mark.parametrize("search", ["random", "hyperband"])
def test_more_trials_leave_the_first_ones_as_they_are(search):
    (found, _), (more, _) = passes(search, trials=49), passes(search, trials=60)
    assert [b.trials for b in more][: len(found) - 1] == [b.trials for b in found][:-1]
    assert found[-1].trials.items() <= more[len(found) - 1].trials.items()
    assert sum(len(b.trials) for b in more) >= 60 > sum(len(b.trials) for b in found)


@pytest.mark.parametrize("search", ["random", "hyperband", "fullsearch"])
def test_what_is_tried_comes_first_and_is_trained_to_the_end(search):
    tried = [{"lr": 0.3}, {"lr": 0.4}]
    (first, *others), *_ = passes(search, **{"try": tried})
    assert (first.trials, first.rungs) == (dict(enumerate(tried)), [(2, 81)])
    assert [n for bracket in others for n in bracket.trials][0] == 2
    (first, *_), *_ = passes(search, promoted=[{"lr": 0.5}])
    assert first.trials == {0: {"lr": 0.5}}
    assert passes(search, promoted=[{"lr": 0.5}], **{"try": []}) == passes(search)


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
        return fullsearch.brackets(Narrowing, given, rankings)

    drawn = brackets(fixed_params={"hidden1": 16})[0].trials
    assert len(drawn) == 9 and {config["hidden2"] for config in drawn.values()} == {16}
    again = brackets(drawn, fixed_params={"hidden1": 16})
    assert len(again) == 3 and all(len(b.trials) == 3 and -1 not in b.trials for b in again)
    again = brackets(drawn, fixed_params={"hidden1": 32})
    assert all(len(bracket.trials) == 4 and -1 in bracket.trials for bracket in again)
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
    assert ledger.order(base={"lr": 9}) == [2, 1, 0]


def test_the_seeds_of_a_confirmation_are_new_distinct_and_follow_from_the_searchs():
    for search_seed in (0, 7):
        seeds = confirmation.other_seeds(search_seed, 50)
        assert len({search_seed, *seeds}) == 51
        assert confirmation.other_seeds(search_seed, 3) == seeds[:3]
    assert confirmation.other_seeds(0, 3) != confirmation.other_seeds(1, 3)


def test_a_confirmation_trains_what_the_search_began_with_and_the_three_best_of_the_others():
    ranked = {n: {"lr": lr} for n, lr in enumerate((1, 2, 1, 3, 4, 5))}
    for base, expected in [({"lr": 9}, [-1, 0, 1, 3]), ({"lr": 2}, [1, 0, 3, 4])]:
        brackets = confirmation.brackets(base, ranked, [11, 12], max_iter=81)
        assert [list(bracket.trials) for bracket in brackets] == [expected] * 2
        assert [bracket.seed for bracket in brackets] == [11, 12]
        assert all(b.trials == {n: ranked.get(n, base) for n in expected} for b in brackets)
        assert {rung for b in brackets for rung in b.rungs} == {(4, 81)}


def test_the_seed_of_a_job_is_that_of_its_bracket():
    _, second = confirmation.brackets({"lr": 1}, {}, [11, 12], max_iter=81)
    assert [(job.trial, job.seed) for job in pending(second, {}, "max")] == [(-1, 12)]


class Scores:
    """A ledger with these scores: of each candidate, one with each seed."""

    def __init__(self, *candidates, direction="max"):
        self.direction, self.records = direction, {}
        base, *others = ({"lr": i} for i in range(len(candidates)))
        ranked = dict(enumerate(others, 101))
        seeds = list(range(len(candidates[0])))
        self.confirming = confirmation.brackets(base, ranked, seeds, max_iter=9)
        for bracket in self.confirming:
            for scores, (trial, config) in zip(candidates, bracket.trials.items(), strict=True):
                self.add(trial, bracket.seed, scores[bracket.seed], config)
        for trial, config in ranked.items():
            self.add(trial, None, 0.99, config)  # a lucky one, which does not count

    def add(self, trial, seed, score, config):
        record = {"trial": trial, "until": 9, "score": score, "hyperparameters": config}
        record |= {"valid": {"loss": score}, "weights_sha256": f"{trial} {seed}"}
        self.records[trial, 9, seed] = record | ({} if seed is None else {"seed": seed})

    def order(self, base={"lr": 0}):  # noqa: B006
        self.results = confirmation.results(self.confirming, base, self)
        return [result["hyperparameters"]["lr"] for result in self.results]


def test_the_best_mean_wins_and_not_the_best_score():
    ledger = Scores([0.1, 0.1, 0.1], [0.9, 0.2, 0.2], [0.6, 0.5, 0.6], [0.5, 0.5, 0.4])
    assert ledger.order()[0] == 2
    best = ledger.results[0]
    assert (best["trial"], best["seeds"], best["scores"]) == (102, 3, [0.6, 0.5, 0.6])
    assert (best["run"], best["weights_sha256"]) == ("trials/0102", "102 None")
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
    base = ledger.results[0]  # it has no trial of its own in the search
    assert (base["run"], base["weights_sha256"]) == ("trials/base-seed-0", "-1 0")


def test_a_candidate_that_diverged_with_a_seed_is_not_confirmed():
    assert Scores([0.1, 0.1], [0.9, None], [0.2, 0.3]).order() == [2, 0]
    assert Scores([None, 0.1], [0.9, None], [0.2, 0.3]).order() == [2]
    assert Scores([None], [None]).order() == []


def test_promoted_trials_cost_only_their_further_steps():
    assert Bracket("b", {}, [(9, 1), (3, 3), (1, 9)]).steps() == 9 + 3 * 2 + 6
    assert Bracket("b", {}, [(5, 81)]).steps() == 405
