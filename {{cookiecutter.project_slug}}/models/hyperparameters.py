"""What can be set, in tables: each line gives a name, a type, a default and what is allowed.

Every model declares its hyper-parameters once, at the head of its file. The shell's flags and
their help, the checks, the random configurations of a search and the table in README.md all
come from there.
"""

from typing import NamedTuple

import numpy as np

from training.batches import random_stream


class ConfigError(ValueError):
    """A setting that cannot be used; the message is one line that names the flag."""


class Setting(NamedTuple):
    """One line of a table.

    low and high are what is allowed, both included; choices are all that is allowed. search is
    the part of it that a search draws from: (low, high) on a linear or log scale, or choices.
    A setting without search keeps its default there.
    """

    name: str
    type: type
    default: object
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple = ()
    search: tuple = ()
    scale: str = "linear"

    def allowed(self):
        """What is allowed, in words: "from 1 to 10", "one of sgd, adam", or "" for anything."""
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        if self.low is not None and self.high is not None:
            return f"from {self.low:.10g} to {self.high:.10g}"
        return f"at least {self.low:.10g}" if self.low is not None else ""

    def check(self, value):
        """Return the value in this setting's type; ConfigError if it is not allowed."""
        if value is None and self.default is None:
            return None
        if isinstance(value, np.generic):
            value = value.item()
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if self.type is int and number and (type(value) is int or value.is_integer()):
            value = int(value)
        elif self.type is float and number:
            try:
                value = float(value)
            except OverflowError:
                value = float("inf")
        elif type(value) is not self.type:
            raise ConfigError(f"--{self.name}={value} is not of type {self.type.__name__}")
        too_low = self.low is not None and not value >= self.low
        too_high = self.high is not None and not value <= self.high
        if too_low or too_high or (self.choices and value not in self.choices):
            raise ConfigError(f"--{self.name}={value} is not allowed: it must be {self.allowed()}")
        return value

    def check_search(self):
        """ConfigError if there is nothing to draw in search, or something that is not allowed."""
        for value in self.search:
            self.check(value)
        if not self.choices and self.type is not bool:
            low, high = self.search
            if not low <= high or (self.scale == "log" and low <= 0):
                raise ConfigError(
                    f"{self.name} cannot be searched from {low} to {high} on a {self.scale} scale; "
                    "mend its table in models/"
                )

    def draw(self, seed):
        """A random value from what a search draws from: a pure function of (seed, name)."""
        if not self.search:
            return self.default
        random = random_stream(seed, f"hyper-parameter {self.name}")
        if self.choices or self.type is bool:
            return self.search[random.integers(len(self.search))]
        low, high = self.search
        if self.scale == "log":
            value = np.exp(random.uniform(np.log(low), np.log(high)))
        else:
            value = random.uniform(low, high)
        return self.type(round(value)) if self.type is int else float(value)


def optimization(lr, batch_size, decay_steps, optimizer="sgd", lr_schedule="constant"):
    """The hyper-parameters that every model has, with the defaults that suit one of them."""
    return (
        Setting("lr", float, lr, "learning rate", 1e-9, 1e3, search=(1e-4, 1.0), scale="log"),
        Setting("optimizer", str, optimizer, "how weights follow gradients",
                choices=("sgd", "momentum", "adam"), search=("sgd", "momentum", "adam")),
        Setting("lr_schedule", str, lr_schedule, "cosine falls to 0 over decay_steps",
                choices=("constant", "cosine")),
        Setting("decay_steps", int, decay_steps, "steps over which a schedule decays", 1, 10**9),
        Setting("batch_size", int, batch_size, "examples in one step", 1, 10**6),
    )  # fmt: skip


def random_config(settings, fixed_params, seed):
    """Draw every setting from its search range; fixed_params win. Pure in all its arguments."""
    names = {setting.name for setting in settings}
    unknown = sorted(set(fixed_params) - names)
    if unknown:
        raise ConfigError(f"{unknown[0]} is not a hyper-parameter; there are {sorted(names)}")
    return {
        s.name: s.check(fixed_params[s.name]) if s.name in fixed_params else s.draw(seed)
        for s in settings
    }
