"""Random search (Bergstra and Bengio, JMLR 2012): configurations drawn independently."""

from collections.abc import Iterable, Mapping
from typing import Any

from hpsearch.halving import Bracket
from training.batches import random_stream


def configurations(
    model_class: type, search_seed: int, trials: Iterable[int], fixed_params: Mapping = {}
) -> dict[int, dict[str, Any]]:
    """Return the hyper-parameters of trials, numbers from 0: {number: {name: value}}.

    Each follows from (search_seed, its number) alone, so that more trials leave the first ones as
    they are, and fixing one hyper-parameter leaves the others as they are.
    """
    fixed_params = dict(fixed_params)
    seeds = {i: random_stream(search_seed, "trial", i).integers(2**31 - 1) for i in trials}
    return {i: model_class.get_random_config(fixed_params, int(seed)) for i, seed in seeds.items()}


def brackets(draw, max_iter: int, trials: int) -> list[Bracket]:
    """One bracket with one rung: each trial is trained to the end.

    draw: a function from numbers of trials to {number: hyper-parameters}.
    """
    return [Bracket("random", draw(range(trials)), [(trials, max_iter)])]
