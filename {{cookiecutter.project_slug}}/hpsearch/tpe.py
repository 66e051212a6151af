"""TPE: configurations near the best that were seen (Bergstra et al., NIPS 2011), by Optuna.

Watanabe (arXiv:2304.11127) explains it.
"""

import functools
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import BaseTrial, FixedTrial, TrialState, create_trial

from hpsearch import sampling
from settings import Setting, random_config

OPTIONS = {"n_startup_trials": 0, "multivariate": True, "constant_liar": True}

Drawn = tuple[dict[str, Any], dict[str, BaseDistribution]]  # params and distributions of Optuna's
optuna.logging.set_verbosity(optuna.logging.WARNING)


class Sampler(sampling.Sampler):
    """Asks Optuna, which is told all trials: of those that still run it keeps away."""

    def is_known(self, config):
        return as_drawn(self.table, self.fixed, config) is not None

    def propose(self, stream, values):
        seed = int(stream.integers(2**31 - 1))
        sampler = optuna.samplers.TPESampler(**OPTIONS, seed=seed)
        study = optuna.create_study(sampler=sampler, direction="maximize")
        for number, config in self.configs.items():  # a hundredth of a second for 100 trials
            params, distributions = as_drawn(self.table, self.fixed, config)
            about = {"params": params, "distributions": distributions}
            state = TrialState.COMPLETE if number in values else TrialState.RUNNING
            study.add_trial(create_trial(state=state, value=values.get(number), **about))
        ask = functools.cache(lambda attempt: study.ask())  # a trial of Optuna's for each attempt

        def choose(setting, attempt):
            return suggest(ask(attempt), setting)

        return random_config(self.table, self.fixed, choose, self.constraints)


def as_drawn(table: Sequence[Setting], fixed: dict, config: dict[str, Any]) -> Drawn | None:
    """A configuration as if it had been drawn, with the nearest values in the ranges searched.

    None if it has a choice, or a length of a list, that is not searched.
    """
    values, inside = sampling.flattened(table, config), {}
    trial = FixedTrial(inside)

    def choose(setting, attempt):
        value = sampling.nearest_drawn(setting, values[setting.name])
        grid = setting.grid()
        inside[setting.name] = grid.index(value) if grid else value
        return suggest(trial, setting)

    try:
        random_config(table, dict(fixed), choose)
    except LookupError:
        return None
    return trial.params, trial.distributions


def suggest(trial: BaseTrial, setting: Setting) -> Any:
    """The value of a setting in a trial of Optuna's, which asks for the place in a grid."""
    if setting.choices or setting.type is bool:
        return trial.suggest_categorical(setting.name, setting.search)
    if grid := setting.grid():
        return grid[trial.suggest_int(setting.name, 0, len(grid) - 1)]
    low, high = setting.search
    if setting.type is int:
        return trial.suggest_int(setting.name, low, high, log=setting.scale == "log")
    return trial.suggest_float(setting.name, low, high, log=setting.scale == "log")
