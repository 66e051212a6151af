"""The passes of a search; a later pass depends on what the earlier ones found."""

from typing import Any

from hpsearch import hyperband, learningrate, randomsearch
from hpsearch.halving import Bracket


def brackets(model_class, settings: dict, winners: list[dict[str, Any]]) -> list[Bracket]:
    """The brackets of the next pass; [] if the search is complete.

    settings: those of search.json; winners: the best hyper-parameters at the end of each complete
    pass. A full search is Hyperband, then the learning rate of its winner, then Hyperband with the
    best learning rate fixed.
    """
    seed, fixed, max_iter = (settings[name] for name in ("search_seed", "fixed_params", "max_iter"))
    budget = max_iter, settings["min_iter"], settings["eta"]
    schedule = hyperband.schedule(*budget)
    first_pass = sum(rungs[0][0] for rungs in schedule.values())  # Hyperband's trials

    def draw(numbers, fixed=fixed):
        return randomsearch.configurations(model_class, seed, numbers, fixed)

    def draw_with_best_lr(numbers):
        return draw(numbers, fixed | {"lr": winners[-1]["lr"]})

    match [settings["search"], *winners]:
        case ["random"]:
            return randomsearch.brackets(draw, max_iter, len(schedule) ** 2)  # costs as much
        case ["lr"]:
            return learningrate.brackets(settings["base"] | fixed, max_iter)
        case ["hyperband" | "fullsearch"]:
            return hyperband.brackets(draw, *budget)
        case ["fullsearch", winner]:
            return learningrate.brackets(winner, max_iter, first_pass)
        case ["fullsearch", _, _]:
            first = first_pass + learningrate.COUNT
            return hyperband.brackets(draw_with_best_lr, *budget, first, "hyperband, lr fixed,")
    return []
