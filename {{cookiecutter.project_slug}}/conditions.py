"""What the settings of a table have to do with each other, and how a search draws all of them.

A condition stands in the line of a setting, only_with=("optimizer", "momentum"): the setting is
used only if the other one has this value. A constraint is ("hidden2", "<=", "hidden1"), two numbers
of a model's table; it must hold if both are used.
"""

import operator
from collections.abc import Callable, Collection
from typing import Any

from setting import ConfigError, Setting, as_text

SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
         "==": operator.eq, "!=": operator.ne}  # fmt: skip
ATTEMPTS = 1000  # to draw what keeps all constraints

Table = Collection[Setting]
Constraints = Collection[tuple[str, str, str]]


def used(table: Table, config: dict[str, Any]) -> set[str]:
    """The names of the settings of a table that are used with these values."""
    found = set()
    for setting in table:
        if is_used(setting, config, found):
            found.add(setting.name)
    return found


def is_used(setting: Setting, config: dict[str, Any], before: set[str]) -> bool:
    """Whether a setting is used; before: the names of those that are, of the lines before it."""
    if not setting.only_with:
        return True
    name, *values = setting.only_with
    return name in before and config.get(name) in values


def check_used(table: Table, given: Collection[str], config: dict[str, Any]) -> None:
    """ConfigError if a flag is given, but is not used with the others of a config."""
    found = used(table, config)
    for setting in table:
        if setting.name in given and setting.name not in found:
            name, *values = setting.only_with
            value = config[name]
            but = f"not {value}" if value not in values else f"and --{name} is not used here"
            flag = f"--{setting.name}={as_text(config[setting.name])}"
            raise ConfigError(f"{flag} goes with {setting.condition()}, {but}")


def usable(table: Table, fixed: dict[str, Any]) -> set[str]:
    """The names of the settings that are used in any configuration that a search can draw.

    fixed: the values of those that it does not draw; others without `search` have their defaults.
    """
    found, lines = set(), {setting.name: setting for setting in table}
    for setting in table:
        name, *values = setting.only_with or (None,)
        if name is None or (
            name in found and any(can_be(lines[name], value, fixed) for value in values)
        ):
            found.add(setting.name)
    return found


def can_be(setting: Setting, value: Any, fixed: dict[str, Any]) -> bool:
    """Whether a search can give this value to a setting."""
    if setting.name in fixed or not setting.search:
        return fixed.get(setting.name, setting.default) == value
    if setting.choices or setting.type is bool or setting.step is not None:
        return value in (setting.grid() or setting.search)
    return setting.search[0] <= value <= setting.search[1]


def broken(table: Table, constraints: Constraints, config: dict[str, Any]) -> str:
    """The first constraint that a config breaks, with the flags, in words; "" if it keeps all."""
    found = used(table, config) if constraints else ()
    for left, sign, right in constraints:
        if {left, right} <= found and not SIGNS[sign](config[left], config[right]):
            flags = f"--{left}={config[left]} and --{right}={config[right]}"
            return f"{flags} do not go together: {left} must be {sign} {right}"
    return ""


def check_constraints(table: Table, constraints: Constraints, config: dict[str, Any]) -> None:
    """ConfigError names the two flags of a constraint that a config breaks."""
    if reason := broken(table, constraints, config):
        raise ConfigError(reason)


def random_config(
    table: Table,
    fixed_params: dict[str, Any],
    choose: Callable[[Setting, int], Any],
    constraints: Constraints = (),
) -> dict[str, Any]:
    """Draw every setting of a table that is searched, used and not fixed.

    choose(setting, attempt) gives the value of a setting that is no list: for a list, of its
    length, len(hidden), and of its elements, hidden[0], hidden[1]. Attempts count from 0: there is
    another one as long as a constraint is broken. What is not used has its default. ConfigError if
    a fixed one is not in the table or not allowed, or if no attempt keeps the constraints.
    """
    lines = {setting.name: setting for setting in table}
    for name in set(fixed_params) - set(lines):
        raise ConfigError(f"{name} is not a hyper-parameter; there are {sorted(lines)}")
    fixed = {name: lines[name].check(value) for name, value in fixed_params.items()}
    for attempt in range(ATTEMPTS):
        config, found = {}, set()
        for name, setting in lines.items():
            value = setting.check(setting.default)
            if is_used(setting, config, found):
                found.add(name)
                if name in fixed:
                    value = fixed[name]
                elif setting.search:
                    value = drawn(setting, choose, attempt)
            config[name] = value
        reason = broken(table, constraints, config)
        if not reason:
            return config
    raise ConfigError(f"none of {ATTEMPTS} configurations that were drawn keeps the constraints of "
                      f"the model, the last: {reason}; give other --ranges")  # fmt: skip


def drawn(setting: Setting, choose: Callable[[Setting, int], Any], attempt: int) -> Any:
    """A value for one setting; a list's length first, then its elements."""
    if not setting.is_list:
        return choose(setting, attempt)
    length = setting.length()
    count = length.default if length.low == length.high else choose(length, attempt)
    return [choose(setting.element(i), attempt) for i in range(count)]
