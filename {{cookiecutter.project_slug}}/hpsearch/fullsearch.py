"""The passes of a search; a later pass depends on what the earlier ones found."""

import importlib
from collections.abc import Sequence
from typing import Any

from conditions import broken
from hpsearch import confirmation, hyperband, learningrate, randomsearch
from hpsearch.halving import Bracket

Ranking = dict[int, dict[str, Any]]  # {trial: hyper-parameters}, the best first


def brackets(
    model_class, settings: dict, rankings: Sequence[Ranking], passed: Sequence[Bracket] = ()
) -> list[Bracket]:
    """The brackets of the next pass; [] if the search is complete.

    settings: those of search.json; passed: the brackets of the complete passes; rankings: at the
    end of each, all trials that had been trained furthest.
    The search's own passes are one, or three: a full search is Hyperband, then the learning rate of
    its winner, then Hyperband with the best learning rate fixed. For each time that --max_iter was
    raised, a pass trains its best trials further. The last pass is the confirmation.
    """
    first, *further = [*settings["extended_from"], settings["max_iter"]]
    count = 3 if settings["search"] == "fullsearch" else 1  # of the search's own passes
    if len(rankings) < count:
        number = sum(len(bracket.trials) for bracket in passed)
        return own_pass(model_class, settings | {"max_iter": first}, rankings, number)
    extended = len(rankings) - count
    if extended < len(further):
        return extension(settings, rankings[-1], *[first, *further][extended : extended + 2])
    if extended == len(further) and settings["confirm"]:
        seeds = confirmation.other_seeds(settings["search_seed"], settings["confirm"])
        base = settings["base"] | settings["fixed_params"]
        base = base if is_allowed(model_class, base) else None  # with what is fixed
        return confirmation.brackets(base, rankings[-1], seeds, settings["max_iter"])
    return []


def own_pass(model_class, settings: dict, rankings: Sequence[Ranking], first: int) -> list[Bracket]:
    """The next of the search's own passes; its trials have numbers from `first`."""
    seed, fixed, max_iter = (settings[name] for name in ("search_seed", "fixed_params", "max_iter"))
    ranges, base = settings["ranges"], settings["base"] | settings["fixed_params"]
    budget = max_iter, settings["min_iter"], settings["eta"]
    configs = settings["promoted"] if settings["try"] is None else settings["try"]
    tried = {} if rankings else dict(enumerate(configs))
    given = [Bracket("tried", tried, [(len(tried), max_iter)])] if tried else []
    number = first + len(tried)

    def drawn(make, *rest, fixed=fixed, **about):
        """The brackets that `make` makes, with trials as --sampler draws them."""
        if settings["sampler"] == "random":

            def draw(numbers):
                return randomsearch.configurations(model_class, seed, numbers, fixed, ranges)

            return given + make(draw, *rest, first=number, **about)
        sampler = sampler_class(settings["sampler"])(model_class, settings, fixed, tried)
        found = make(dict.fromkeys, *rest, first=number, **about)
        return given + [bracket._replace(sampler=sampler) for bracket in found]

    def rates(config):
        table = {s.name: s for s in randomsearch.searched_table(model_class, ranges)}
        found = learningrate.grid(*table["lr"].search, settings["lr_points"])
        return [lr for lr in found if is_allowed(model_class, config | {"lr": lr})]

    match [settings["search"], *(list(ranking.values()) for ranking in rankings)]:
        case ["random"]:
            return drawn(randomsearch.brackets, max_iter, settings["trials"])
        case ["lr"]:
            return learningrate.brackets(base, rates(base), max_iter)
        case ["hyperband" | "fullsearch"]:
            return drawn(hyperband.brackets, budget, settings["trials"])
        case [_, ranked]:
            return learningrate.brackets(ranked[0], rates(ranked[0]), max_iter, first)
        case [_, _, ranked]:
            known = fixed | {"lr": ranked[0]["lr"]}
            return drawn(hyperband.brackets, budget, fixed=known, name="hyperband, lr fixed,")


def sampler_class(name: str) -> type:
    """The sampler of --sampler=gp or tpe; the library of tpe, optuna, takes a second to import."""
    module = {"gp": "gaussian_process", "tpe": "tpe"}[name]
    return importlib.import_module(f"hpsearch.{module}").Sampler


def extension(settings: dict, ranked: Ranking, reached: int, until: int) -> list[Bracket]:
    """Train the best trials further: one in eta where Hyperband stops trials early, else all."""
    part = settings["eta"] if settings["search"] in ("hyperband", "fullsearch") else 1
    count = -(-len(ranked) // part)
    trials = dict(list(ranked.items())[:count])
    return [Bracket(f"extension to {until}", trials, [(count, until)], reached=reached)]


def is_allowed(model_class, config: dict[str, Any]) -> bool:
    """Whether a configuration keeps the constraints of the model."""
    return not broken(model_class.hyperparameters, model_class.constraints, config)
