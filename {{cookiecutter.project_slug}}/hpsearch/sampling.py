"""What the samplers have in common: they draw the trials of a pass from what came of earlier ones.

With Hyperband around it, this is like BOHB (Falkner, Klein and Hutter, ICML 2018). Some trials are
those of random search all the same: they find what a model of the scores overlooks.
"""

import itertools
import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from hpsearch import hyperband
from hpsearch.halving import Seen
from hpsearch.randomsearch import configurations, searched_table
from settings import Setting, random_config
from training.batches import random_stream

STARTUP = 8  # the first trials are those of random search
RANDOM = 0.1  # share of the later ones that are, too


class Sampler:
    """Draws the trials of one pass, in the order of their numbers. A subclass has `propose`."""

    def __init__(
        self,
        model_class,
        settings: dict[str, Any],
        fixed: Mapping[str, Any],
        given: Mapping[int, dict[str, Any]],
    ):
        """given: configurations that are not drawn, by their numbers; what comes of them counts."""
        self.model_class, self.ranges = model_class, settings["ranges"]
        self.table = searched_table(model_class, self.ranges)
        self.seed, self.direction = settings["search_seed"], settings["objective"][1]
        self.fixed, self.constraints = dict(fixed), model_class.constraints
        self.lag = hyperband.lag(settings)
        self.configs = {number: c for number, c in given.items() if self.is_known(c)}

    def needed(self, place: int) -> int:
        """How many of the jobs before the next trial must have ended, before it is drawn."""
        return max(0, place - self.lag) if len(self.configs) >= STARTUP else 0

    def draw(self, number: int, seen: Sequence[Seen]) -> dict[str, Any]:
        """The hyper-parameters of a trial: they follow from the search's settings, the number and
        what was seen.
        """
        stream, values = random_stream(self.seed, "sampler", number), self.values(seen)
        if len(self.configs) < STARTUP or not values or stream.random() < RANDOM:
            config = self.as_in_random_search(number)
        else:
            config = self.propose(stream, values)
        if self.is_known(config):  # a model's own get_random_config may draw others
            self.configs[number] = config
        return config

    def propose(self, stream: np.random.Generator, values: dict[int, float]) -> dict[str, Any]:
        """Hyper-parameters that promise to be good; values: of trials with a score, {trial: value},
        where more is better, and -inf stands for one that failed. Others in self.configs still run.
        """
        raise NotImplementedError

    def is_known(self, config: dict[str, Any]) -> bool:
        """Whether a configuration that was not drawn has a place among those that can be."""
        raise NotImplementedError

    def as_in_random_search(self, number: int) -> dict[str, Any]:
        """The hyper-parameters that a trial of this number has with --sampler=random."""
        found = configurations(self.model_class, self.seed, [number], self.fixed, self.ranges)
        return found[number]

    def at_random(self, stream: np.random.Generator) -> dict[str, Any]:
        """Hyper-parameters drawn as in random search, from this stream."""

        def choose(setting, attempt):
            return setting.draw(stream)

        return random_config(self.table, self.fixed, choose, self.constraints)

    def values(self, seen: Sequence[Seen]) -> dict[int, float]:
        """What is known of the trials drawn so far: {trial: value}, more is better."""
        sign, scores = 1 if self.direction == "max" else -1, {}
        for number, until, score in filter(None, seen):
            if number in self.configs:
                value = -math.inf if score is None else sign * score
                scores.setdefault(number, {})[until] = value
        return comparable(scores)


def flattened(table: Collection[Setting], config: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a configuration, those of a list also by its length and by each element."""
    values = dict(config)
    for setting in (setting for setting in table if setting.is_list and setting.name in config):
        elements = config[setting.name]
        values[setting.length().name] = len(elements)
        values |= {setting.element(i).name: value for i, value in enumerate(elements)}
    return values


def nearest_drawn(setting: Setting, value: Any) -> Any:
    """The nearest value that a search draws. LookupError for a choice that is not searched."""
    if setting.choices or setting.type is bool:
        if value not in setting.search:
            raise LookupError
        return value
    if grid := setting.grid():
        return min(grid, key=lambda other: abs(other - value))
    low, high = setting.search
    return min(max(value, low), high)


def comparable(scores: Mapping[int, Mapping[int, float]]) -> dict[int, float]:
    """One value for each trial that has scores, {trial: {until: score}}, whatever its last rung is.

    It is its last score and, for each rung above, the median of what other trials gained there.
    """
    rungs, gains = sorted({until for own in scores.values() for until in own}), {}
    for low, high in itertools.pairwise(rungs):
        found = [own[high] - own[low] for own in scores.values() if low in own and high in own]
        gains[low] = statistics.median([gain for gain in found if math.isfinite(gain)] or [0.0])
    return {
        trial: own[max(own)] + sum(gain for low, gain in gains.items() if low >= max(own))
        for trial, own in sorted(scores.items())
        if own
    }
