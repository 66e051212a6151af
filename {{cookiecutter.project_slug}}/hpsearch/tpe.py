"""TPE: configurations near the best that were seen (Bergstra et al., NIPS 2011), by Optuna.

Watanabe (arXiv:2304.11127) explains it. With Hyperband around it, it is like BOHB (Falkner, Klein
and Hutter, ICML 2018). Some trials are drawn at random all the same: they find what it overlooks.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import BaseTrial, FixedTrial, FrozenTrial, TrialState, create_trial

from hpsearch.halving import Seen
from hpsearch.randomsearch import searched_table
from settings import Setting, random_config
from training.batches import random_stream

LAG = 4  # trials are drawn without waiting for the last jobs, so as many can run at a time
STARTUP = 10  # trials that are drawn at random first
RANDOM = 0.2  # part of the others that is

Configs = Mapping[int, dict[str, Any]]
Drawn = tuple[dict[str, Any], dict[str, BaseDistribution]]  # params and distributions of Optuna's
optuna.logging.set_verbosity(optuna.logging.WARNING)


class Sampler:
    """Draws the trials of one pass, in the order of their numbers."""

    def __init__(self, model_class, settings: dict, fixed: dict[str, Any], given: Configs):
        """given: configurations that are not drawn, by their numbers; what comes of them counts."""
        self.table = searched_table(model_class, settings["ranges"])
        self.settings, self.fixed = settings, fixed
        self.drawn: dict[int, Drawn] = {}
        for number, config in given.items():
            if drawn := as_drawn(self.table, fixed, config):
                self.drawn[number] = drawn

    def draw(self, number: int, seen: Sequence[Seen]) -> dict[str, Any]:
        """The hyper-parameters of a trial: a function of the settings, its number and what was seen."""
        direction = {"max": "maximize", "min": "minimize"}[self.settings["objective"][1]]
        stream = random_stream(self.settings["search_seed"], "tpe", number)
        seed = int(stream.integers(2**31 - 1))
        count = len(self.drawn)
        if count < STARTUP or stream.random() < RANDOM:
            sampler = optuna.samplers.RandomSampler(seed=seed)
        else:
            sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=0)
        study = optuna.create_study(sampler=sampler, direction=direction)
        study.add_trials(self.told(seen))
        trial = study.ask()
        config = random_config(self.table, self.fixed, functools.partial(suggest, trial))
        self.drawn[number] = trial.params, trial.distributions
        return config

    def told(self, seen: Sequence[Seen]) -> list[FrozenTrial]:
        """What Optuna is told of the trials drawn so far, in order."""
        scores = {number: {} for number in self.drawn}
        for number, until, score in filter(None, seen):
            if number in scores:
                scores[number][until] = score
        return [self.observation(*self.drawn[n], s) for n, s in scores.items()]

    def observation(self, params, distributions, scores) -> FrozenTrial:
        """A trial as Optuna has it. One that diverged or failed is worse than any other."""
        given = {"params": params, "distributions": distributions}
        if not scores:
            return create_trial(state=TrialState.RUNNING, **given)
        if None in scores.values():
            worst = -math.inf if self.settings["objective"][1] == "max" else math.inf
            return create_trial(state=TrialState.PRUNED, intermediate_values={0: worst}, **given)
        if max(scores) < self.settings["max_iter"]:
            return create_trial(state=TrialState.PRUNED, intermediate_values=scores, **given)
        return create_trial(value=scores[max(scores)], intermediate_values=scores, **given)


def as_drawn(table: Sequence[Setting], fixed: dict, config: dict[str, Any]) -> Drawn | None:
    """A configuration as if it had been drawn, with the nearest values in the ranges searched.

    None if it has a choice that is not searched.
    """
    inside = dict(config)
    for setting in (setting for setting in table if setting.search and setting.name not in fixed):
        value = inside[setting.name]
        if not (setting.choices or setting.type is bool):
            low, high = setting.search
            inside[setting.name] = min(max(value, low), high)
        elif value not in setting.search:
            return None
    trial = FixedTrial(inside)
    random_config(table, fixed, functools.partial(suggest, trial))
    return trial.params, trial.distributions


def suggest(trial: BaseTrial, setting: Setting) -> Any:
    """The value of a setting in a trial of Optuna's."""
    if setting.choices or setting.type is bool:
        return trial.suggest_categorical(setting.name, setting.search)
    low, high = setting.search
    if setting.type is int:
        return trial.suggest_int(setting.name, low, high, log=setting.scale == "log")
    return trial.suggest_float(setting.name, low, high, log=setting.scale == "log")
