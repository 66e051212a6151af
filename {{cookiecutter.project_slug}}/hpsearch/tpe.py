"""TPE: configurations near the best that were seen (Bergstra et al., NIPS 2011), by Optuna.

Watanabe (arXiv:2304.11127) explains it. With Hyperband around it, it is like BOHB (Falkner, Klein
and Hutter, ICML 2018). Some trials are drawn at random all the same: they find what it overlooks.
"""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import BaseTrial, FixedTrial, FrozenTrial, TrialState, create_trial

from hpsearch import hyperband
from hpsearch.halving import Seen
from hpsearch.randomsearch import searched_table
from settings import Setting, random_config
from training.batches import random_stream

STARTUP = 8  # trials that are drawn at random first
RANDOM = 0.1  # part of the others that is

OPTIONS = {"n_startup_trials": 0, "multivariate": True, "constant_liar": True}

Drawn = tuple[dict[str, Any], dict[str, BaseDistribution]]  # params and distributions of Optuna's
optuna.logging.set_verbosity(optuna.logging.WARNING)


class Sampler:
    """Draws the trials of one pass, in the order of their numbers."""

    def __init__(
        self,
        model_class,
        settings: dict[str, Any],
        fixed: Mapping[str, Any],
        given: Mapping[int, dict[str, Any]],
    ):
        """given: configurations that are not drawn, by their numbers; what comes of them counts."""
        self.table = searched_table(model_class, settings["ranges"])
        self.seed, self.direction = settings["search_seed"], settings["objective"][1]
        self.fixed, self.constraints = dict(fixed), model_class.constraints
        self.lag = hyperband.lag(settings)
        known = {n: as_drawn(self.table, self.fixed, config) for n, config in given.items()}
        self.drawn: dict[int, Drawn] = {number: drawn for number, drawn in known.items() if drawn}

    def needed(self, place: int) -> int:
        """How many of the jobs before the next trial must have ended, before it is drawn."""
        return max(0, place - self.lag) if len(self.drawn) >= STARTUP else 0

    def draw(self, number: int, seen: Sequence[Seen]) -> dict[str, Any]:
        """The hyper-parameters of a trial: they follow from the search's settings, the number and
        what was seen.
        """
        stream = random_stream(self.seed, "tpe", number)
        seed = int(stream.integers(2**31 - 1))
        if len(self.drawn) < STARTUP or stream.random() < RANDOM:
            sampler = optuna.samplers.RandomSampler(seed)
        else:
            sampler = optuna.samplers.TPESampler(**OPTIONS, seed=seed)
        study = optuna.create_study(sampler=sampler, direction=f"{self.direction}imize")
        study.add_trials(self.told(seen))  # a hundredth of a second for 100 trials
        asked = {}  # a trial of Optuna's for each attempt

        def choose(setting, attempt):
            if attempt not in asked:
                asked[attempt] = study.ask()
            return suggest(asked[attempt], setting)

        config = random_config(self.table, self.fixed, choose, self.constraints)
        *_, last = asked.values()
        self.drawn[number] = last.params, last.distributions
        return config

    def told(self, seen: Sequence[Seen]) -> list[FrozenTrial]:
        """What Optuna is told of the trials drawn so far, in their order. One without a score is
        worse than any other; of those that still run it keeps away.
        """
        scores = {number: {} for number in self.drawn}
        for number, until, score in filter(None, seen):
            worst = -math.inf if self.direction == "max" else math.inf
            if number in scores:
                scores[number][until] = worst if score is None else score
        values, found = comparable(scores), []
        for number, (params, distributions) in self.drawn.items():
            about = {"params": params, "distributions": distributions}
            state = TrialState.COMPLETE if number in values else TrialState.RUNNING
            found.append(create_trial(state=state, value=values.get(number), **about))
        return found


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
        for trial, own in scores.items()
        if own
    }


def as_drawn(table: Sequence[Setting], fixed: dict, config: dict[str, Any]) -> Drawn | None:
    """A configuration as if it had been drawn, with the nearest values in the ranges searched.

    None if it has a choice, or a length of a list, that is not searched.
    """
    values, inside = dict(config), {}
    for setting in (setting for setting in table if setting.is_list):
        own = config[setting.name]
        values[setting.length().name] = len(own)
        values |= {setting.element(i).name: value for i, value in enumerate(own)}
    trial = FixedTrial(inside)

    def choose(setting, attempt):
        inside[setting.name] = nearest(setting, values[setting.name])
        return suggest(trial, setting)

    try:
        random_config(table, dict(fixed), choose)
    except LookupError:
        return None
    return trial.params, trial.distributions


def nearest(setting: Setting, value: Any) -> Any:
    """The nearest value that a search draws, as `suggest` asks for it: of a grid, its place.

    LookupError for a choice that is not searched.
    """
    if setting.choices or setting.type is bool:
        if value not in setting.search:
            raise LookupError
        return value
    if grid := setting.grid():
        return min(range(len(grid)), key=lambda i: abs(grid[i] - value))
    low, high = setting.search
    return min(max(value, low), high)


def suggest(trial: BaseTrial, setting: Setting) -> Any:
    """The value of a setting in a trial of Optuna's."""
    if setting.choices or setting.type is bool:
        return trial.suggest_categorical(setting.name, setting.search)
    if grid := setting.grid():
        return grid[trial.suggest_int(setting.name, 0, len(grid) - 1)]
    low, high = setting.search
    if setting.type is int:
        return trial.suggest_int(setting.name, low, high, log=setting.scale == "log")
    return trial.suggest_float(setting.name, low, high, log=setting.scale == "log")
