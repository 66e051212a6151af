"""The passes of a search; a later pass depends on what the earlier ones found."""

from typing import Any

from conditions import broken
from hpsearch import confirmation, hyperband, learningrate, randomsearch
from hpsearch.halving import Bracket


def brackets(
    model_class, settings: dict, rankings: list[list[dict[str, Any]]], first: int = 0
) -> list[Bracket]:
    """The brackets of the next pass; [] if the search is complete.

    settings: those of search.json; rankings: at the end of each complete pass, the hyper-parameters
    of all trials that had been trained to the end, the best first; first: the next trial's number.
    A full search is Hyperband, then the learning rate of its winner, then Hyperband with the best
    learning rate fixed. The last pass of any search is its confirmation, unless confirm is 0.
    """
    seed, fixed, max_iter = (settings[name] for name in ("search_seed", "fixed_params", "max_iter"))
    ranges, base = settings["ranges"], settings["base"] | settings["fixed_params"]
    budget = max_iter, settings["min_iter"], settings["eta"]

    def drawn(make, *rest, fixed=fixed):
        """The brackets that `make` makes, with trials as --sampler draws them."""
        if settings["sampler"] == "random":

            def draw(numbers):
                return randomsearch.configurations(model_class, seed, numbers, fixed, ranges)

            return make(draw, *rest)
        from hpsearch import tpe  # its library, optuna, takes a second to import

        sampler = tpe.Sampler(model_class, settings, fixed)
        return [bracket._replace(sampler=sampler) for bracket in make(dict.fromkeys, *rest)]

    def rates(config):
        table = {s.name: s for s in randomsearch.searched_table(model_class, ranges)}
        found = learningrate.grid(*table["lr"].search, settings["lr_points"])
        return [lr for lr in found if is_allowed(config | {"lr": lr})]

    def is_allowed(config):
        return not broken(model_class.hyperparameters, model_class.constraints, config)

    match [settings["search"], *rankings]:
        case ["random"]:
            return drawn(randomsearch.brackets, max_iter, settings["trials"])
        case ["lr"]:
            return learningrate.brackets(base, rates(base), max_iter)
        case ["hyperband" | "fullsearch"]:
            return drawn(hyperband.brackets, budget, settings["trials"])
        case ["fullsearch", ranked]:
            return learningrate.brackets(ranked[0], rates(ranked[0]), max_iter, first)
        case ["fullsearch", _, _]:
            name, known = "hyperband, lr fixed,", fixed | {"lr": rankings[-1][0]["lr"]}
            return drawn(hyperband.brackets, budget, None, first, name, fixed=known)
        case [_, ranked] | [_, _, _, ranked] if settings["confirm"]:
            seeds = confirmation.other_seeds(seed, settings["confirm"])
            began_with = base if is_allowed(base) else None  # with what is fixed
            return confirmation.brackets([began_with, *ranked], seeds, max_iter, first)
    return []
