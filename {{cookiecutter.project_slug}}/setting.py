"""One line of a table: what a setting may be, how a flag's text becomes it, what a search draws."""

import difflib
import json
import math
from collections.abc import Iterable
from typing import Any, NamedTuple, get_origin

import numpy as np


class ConfigError(ValueError):
    """A setting that cannot be used; the message is one line that names the flag."""


class Setting(NamedTuple):
    """One line of a table.

    type: int, float, str, bool, or a list, such as list[int], whose flag is 128,32.
    low and high: the smallest and the largest value allowed; choices: the only values allowed; of
    a list, they hold for each element, and lengths are the fewest and the most elements.
    search: what a search draws from, (low, high) on a linear or log scale, or choices; a setting
    without it keeps its default in a search. resumable: whether a resumed run may change it.
    goes_with: stages or flags, such as "infer" or "search=lr"; it needs at least one of them.
    step: a search draws from low, low + step, ..., on a log scale from low, low * step, ... only.
    only_with: the name of a setting before it in the table, and the values with which it is used.
    """

    name: str
    type: type
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple = ()
    search: tuple = ()
    scale: str = "linear"
    resumable: bool = False
    goes_with: tuple[str, ...] = ()
    step: float | None = None
    lengths: tuple[int, int] | tuple[()] = ()
    only_with: tuple = ()

    @property
    def is_list(self) -> bool:
        """Whether its value is a list."""
        return get_origin(self.type) is list

    @property
    def type_name(self) -> str:
        """Its type in words: "int", "list[int]"."""
        return str(self.type) if self.is_list else getattr(self.type, "__name__", str(self.type))

    def length(self) -> "Setting":
        """The setting of a list's length, such as len(hidden); it has a default if it is fixed."""
        size = len(self.default)
        low, high = self.lengths or (size, size)
        text = f"length of {self.name}"
        return Setting(f"len({self.name})", int, size, text, low, high, search=(low, high))

    def element(self, number: int = 0) -> "Setting":
        """The setting of one element of a list, such as hidden[0]."""
        (kind,), known = self.type.__args__, self.default[number : number + 1] or self.default[-1:]
        name, default = f"{self.name}[{number}]", known[0] if known else None
        return self._replace(name=name, type=kind, default=default, lengths=(), only_with=())

    def parse(self, text: str) -> Any:
        """Parse the text of a flag; ConfigError if it has another type."""
        try:
            if self.is_list:
                return [self.element().parse(part) for part in text.split(",")] if text else []
            return PARSERS.get(self.type, self.type)(text)
        except (ValueError, KeyError, RecursionError):
            if self.type in (dict, list):
                reason = "is not JSON, as '{\"lr\": 0.1}'"
                raise ConfigError(f"--{self.name}={text} {reason}") from None
            remedy = f"; write --{self.name} without a value" if self.type is bool else ""
            kind = self.type_name
            raise ConfigError(f"--{self.name}={text} is not of type {kind}{remedy}") from None

    def allowed(self) -> str:
        """What is allowed: "from 1 to 10", "one of sgd, adam", or "" for anything."""
        if self.is_list:
            count = " to ".join(map(str, dict.fromkeys(self.lengths)))
            each = self.element().allowed()
            words = [count, KINDS[self.element().type], "with commas"]
            return " ".join(filter(None, words)) + (f", each {each}" if each else "")
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        if self.low is not None and self.high is not None:
            return f"from {self.low:.10g} to {self.high:.10g}"
        return f"at least {self.low:.10g}" if self.low is not None else ""

    def condition(self) -> str:
        """With what it is used: "--optimizer=momentum", or "" if always."""
        if not self.only_with:
            return ""
        name, *values = self.only_with
        return f"--{name}={' or '.join(map(str, values))}"

    def check(self, value: Any) -> Any:
        """Return the value in this setting's type, a list as a new one; ConfigError if it is not
        allowed.
        """
        if value is None and self.default is None:
            return None
        if self.is_list:
            return self.check_list(value)
        value = value.item() if isinstance(value, np.generic) else value
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if self.type is float and is_number:
            try:
                value = float(value)
            except OverflowError:
                value = math.inf
        elif self.type is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is not self.type:
            raise ConfigError(f"--{self.name}={value} is not of type {self.type_name}")
        too_low = self.low is not None and not value >= self.low
        too_high = self.high is not None and not value <= self.high
        if too_low or too_high or (self.choices and value not in self.choices):
            raise ConfigError(f"--{self.name}={value} is not allowed: it must be {self.allowed()}")
        return value

    def check_list(self, values: Any) -> list:
        """As `check`, of a list or tuple."""
        if not isinstance(values, (list, tuple)):
            raise ConfigError(f"--{self.name}={values} is not of type {self.type_name}")
        low, high = self.lengths or (0, math.inf)
        try:
            checked = [self.element().check(value) for value in values]
        except ConfigError:
            checked = None
        if checked is None or not low <= len(checked) <= high:
            text = f"--{self.name}={as_text(values)}"
            raise ConfigError(f"{text} is not allowed: it must be {self.allowed()}")
        return checked

    def check_search(self) -> None:
        """ConfigError if a search could draw nothing, or something that is not allowed."""
        if self.is_list:
            return self.element()._replace(name=self.name).check_search()
        for value in self.search:
            self.check(value)
        if self.choices or self.type is bool:
            if self.step is not None:
                raise ConfigError(f"{self.name} has choices, and so no step")
            return
        low, high = self.search
        if not low <= high or (self.scale == "log" and low <= 0):
            span = f"from {low} to {high} on a {self.scale} scale"
            raise ConfigError(f"{self.name} cannot be searched {span}")
        least = 1 if self.scale == "log" else 0
        if self.step is not None and not self.step > least:
            with_step = f"with step={self.step}, which must be more than {least}"
            raise ConfigError(f"{self.name} cannot be searched on a {self.scale} scale {with_step}")

    def grid(self) -> list | None:
        """All values that a search draws from, in order; None without a step."""
        if self.step is None or not self.search:
            return None
        low, high = self.search
        if self.scale == "log":
            count = math.log(high / low) / math.log(self.step)
            values = [low * self.step**i for i in range(math.floor(count + 1e-9) + 1)]
        else:
            count = (high - low) / self.step
            values = [low + self.step * i for i in range(math.floor(count + 1e-9) + 1)]
        if self.type is int:
            return list(dict.fromkeys(map(round, values)))
        return [min(max(low, float(f"{value:.12g}")), high) for value in values]

    def draw(self, random: np.random.Generator) -> Any:
        """A random value from what a search draws from; of a list, draw its elements."""
        values = self.search if self.choices or self.type is bool else self.grid()
        if values:
            return values[random.integers(len(values))]
        low, high = self.search
        if self.scale == "log":
            value = np.exp(random.uniform(np.log(low), np.log(high)))
        else:
            value = random.uniform(low, high)
        return self.type(round(value)) if self.type is int else float(value)


TRUTH = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


def parse_list(text: str) -> list:
    """A list in JSON; anything else in JSON is a list of one."""
    value = json.loads(text)
    return value if isinstance(value, list) else [value]


# Of other types: the type itself.
PARSERS = {bool: lambda text: TRUTH[text.lower()], dict: json.loads, list: parse_list}
KINDS = {int: "integers", float: "numbers", str: "words"}  # of elements


def as_text(value: Any) -> str:
    """A value as one types it after its flag: a list as 128,32."""
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint in brackets that names the most similar of `names`; "" if none is similar."""
    by_lower_case = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    return f" (did you mean {by_lower_case[near[0]]}?)" if near else ""
