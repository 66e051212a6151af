"""Random search (Bergstra and Bengio, JMLR 2012): configurations drawn independently."""

from collections.abc import Iterable, Mapping
from typing import Any

from hpsearch.halving import Bracket
from settings import Setting
from training.batches import random_stream


def searched_table(model_class: type, ranges: Mapping[str, list]) -> tuple[Setting, ...]:
    """The table of a model, with other ranges or choices to draw from where they are given."""
    return tuple(
        setting._replace(search=tuple(ranges.get(setting.name, setting.search)))
        for setting in model_class.hyperparameters
    )


def configurations(
    model_class: type,
    search_seed: int,
    trials: Iterable[int],
    fixed_params: Mapping = {},
    ranges: Mapping[str, list] = {},
) -> dict[int, dict[str, Any]]:
    """Return the hyper-parameters of trials, numbers from 0: {number: {name: value}}.

    Each follows from (search_seed, its number) alone, so that more trials leave the first ones as
    they are. What is fixed, or drawn from another range, leaves the others as they are.
    """
    fixed_params, draw = dict(fixed_params), model_class.get_random_config
    table = [searched_table(model_class, ranges)] if ranges else []
    seeds = {i: random_stream(search_seed, "trial", i).integers(2**31 - 1) for i in trials}
    return {i: draw(fixed_params, int(seed), *table) for i, seed in seeds.items()}


def brackets(draw, max_iter: int, trials: int, first: int = 0) -> list[Bracket]:
    """One bracket with one rung: each trial is trained to the end.

    draw: a function from numbers of trials, from `first`, to {number: hyper-parameters}.
    """
    return [Bracket("random", draw(range(first, first + trials)), [(trials, max_iter)])]
