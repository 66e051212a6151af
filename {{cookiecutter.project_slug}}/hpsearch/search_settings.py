"""The settings of a search, as in search.json: what its result follows from, checked."""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from conditions import check_constraints, check_used, usable, used
from hpsearch import hyperband, networks
from hpsearch.randomsearch import searched_table
from setting import ConfigError, Setting
from settings import RUN_SETTINGS

# What a run may change when it is resumed; all trials of a search have one device.
RESUMABLE = {setting.name for setting in RUN_SETTINGS if setting.resumable} - {"device"}


def search_settings(
    model_class, given: dict, options: dict, recorded: dict | None = None
) -> dict[str, Any]:
    """The settings that determine the result of a search, as in search.json.

    given: {flag: value}; options: the search's own flags, completed; recorded: the search.json of
    the search to go on with, from which flags that are not given come. ConfigError if they do not
    fit each other, or leave nothing to search.
    """
    kind = "fullsearch" if given.get("fullsearch") else given["search"]
    if recorded := same_kind(model_class, kind, recorded):
        given, options = completed(given, options, recorded)
    max_iter = given.get("max_iter") or model_class.max_iter
    min_iter = options["min_iter"] or max(1, max_iter // 27)
    if min_iter > max_iter:
        raise ConfigError(f"--min_iter={min_iter} is more than --max_iter={max_iter}")
    fixed = fixed_parameters(model_class, given, options["fixed_params"])
    ranges = checked_ranges(model_class, kind, options["ranges"], fixed)
    base = {setting.name: setting.default for setting in model_class.hyperparameters}
    if given.get("best"):
        base |= model_class.get_best_config()
    elif recorded and kind == "lr":
        base |= recorded["base"]
    drawn = searched_table(model_class, ranges)
    constant = base | fixed if kind == "lr" else fixed
    for names, flag in ((options["fixed_params"], "--fixed_params: "), (ranges, "--ranges: ")):
        check_used_at_all(drawn, constant, names, flag)
    check_used_at_all(drawn, constant, [name for name in fixed if name in given], "--")
    check_something_to_search(model_class, kind, fixed, ranges)
    if kind == "lr":
        check_constraints(drawn, model_class.constraints, constant)
    else:
        model_class.get_random_config(fixed, options["search_seed"], drawn)  # whether one is found
    budget = max_iter, min_iter, options["eta"]
    trials = options["trials"] or default_trials(kind, *budget)
    tried = None
    if options["try"] is not None:
        tried = [tried_config(model_class, config, base, fixed) for config in options["try"]]
    sampler = None if kind == "lr" else options["sampler"]
    free = [s for s in drawn if s.search and s.name in usable(drawn, fixed) and s.name not in fixed]
    # A search that goes on, with more steps perhaps, keeps what it chose: it is among `given`.
    chosen = {} if recorded else networks.jit(kind, budget, trials, options["confirm"], free)
    names = [s.name for s in RUN_SETTINGS if s.name in given and s.name not in RESUMABLE]
    # A trial has the same number of threads wherever the search runs: it determines the bits.
    threads = {"threads": given.get("threads") or 1}
    return {
        "model_name": model_class.__name__,
        "search": kind,
        "search_seed": options["search_seed"],
        "max_iter": max_iter,
        "min_iter": min_iter,
        "eta": options["eta"],
        "sampler": sampler,
        "optuna": version("optuna") if sampler == "tpe" else None,  # another may draw others
        "trials": trials,
        "lr_points": options["lr_points"],
        "confirm": options["confirm"],
        "fixed_params": fixed,
        "ranges": ranges,
        "searched": described(drawn, fixed),
        "constraints": [list(constraint) for constraint in model_class.constraints],
        "base": base,
        "try": tried,
        "promoted": [] if kind == "lr" or tried is not None else promoted(model_class, base, fixed),
        "extended_from": [],  # the --max_iter before, in order
        "objective": list(model_class.objective),
        "run": chosen | {name: given[name] for name in names} | threads,
    }


def default_trials(kind: str, max_iter: int, min_iter: int, eta: int) -> int | None:
    """The trials of one round of Hyperband's brackets; of a random search, what costs as much."""
    schedule = hyperband.schedule(max_iter, min_iter, eta)
    one_round = sum(rungs[0][0] for rungs in schedule.values())
    return {"hyperband": one_round, "random": len(schedule) ** 2}.get(kind)


def described(table: tuple[Setting, ...], fixed: dict) -> dict[str, list]:
    """What the lines of a table say of the draws, {name: [...]}, for JSON."""
    free = (s for s in table if s.search and s.name not in fixed)
    return {
        s.name: [list(s.search), s.scale, s.step, list(s.lengths), list(s.only_with)] for s in free
    }


def same_kind(model_class, kind: str, recorded: dict | None) -> dict | None:
    """What was recorded, if it is of a search like this; another is refused later."""
    names = (recorded or {}).get("model_name"), (recorded or {}).get("search")
    return recorded if names == (model_class.__name__, kind) else None


def completed(given: dict, options: dict, recorded: dict) -> tuple[dict, dict]:
    """Flags with those that are not given as the search has them; returns (given, options)."""
    options = options | {n: recorded[n] for n in options if n in recorded and n not in given}
    if "fixed_params" not in given:
        fixed = recorded["fixed_params"].items()
        options["fixed_params"] = {name: value for name, value in fixed if name not in given}
    return {"max_iter": recorded["max_iter"]} | recorded["run"] | given, options


def tried_config(model_class, config: Any, base: dict, fixed: dict) -> dict[str, Any]:
    """A configuration that --try gives, checked; the rest is what the search begins with."""
    table = {setting.name: setting for setting in model_class.hyperparameters}
    try:
        if not isinstance(config, dict):
            raise ConfigError(f"{config} is not a configuration, as '{{\"lr\": 0.1}}'")
        for name in config:
            if name not in table:
                raise ConfigError(f"{name} is not a hyper-parameter; there are {', '.join(table)}")
        values = {name: table[name].check(value) for name, value in config.items()}
        for name in values.keys() & fixed.keys():
            if values[name] != fixed[name]:
                raise ConfigError(f"{name} is fixed at {fixed[name]}")
        rest = base | fixed
        whole = rest | values
        changed = [name for name in values if values[name] != rest[name]]
        check_used(table.values(), changed, whole)
        check_constraints(table.values(), model_class.constraints, whole)
    except ConfigError as error:
        raise ConfigError(f"--try: {error}") from None
    return whole


def promoted(model_class, base: dict, fixed: dict) -> list[dict[str, Any]]:
    """The configuration in models/best/, if there is one that a search with these fixed values may
    try: in a list, or [].
    """
    try:
        config = base | model_class.get_best_config()
        names = used(model_class.hyperparameters, config) | (config.keys() - base.keys())
        return [tried_config(model_class, {name: config[name] for name in names}, base, fixed)]
    except ValueError:  # there is none, or none for the table as it is now
        return []


def fixed_parameters(model_class, given: dict, fixed_params: dict) -> dict[str, Any]:
    """The hyper-parameters that are fixed, by --fixed_params or by a flag of their own, checked."""
    table = {setting.name: setting for setting in model_class.hyperparameters}
    try:
        for name in fixed_params:
            if name not in table:
                raise ConfigError(f"{name} is not a hyper-parameter")
        fixed = {name: table[name].check(value) for name, value in fixed_params.items()}
    except ConfigError as error:
        known = (f"{s.name} ({s.type_name}, {s.allowed() or 'any'})" for s in table.values())
        raise ConfigError(f"--fixed_params: {error}; there are {', '.join(known)}") from None
    for name in fixed:
        if name in given:
            raise ConfigError(f"--{name}={given[name]} is given in --fixed_params, too")
    return fixed | {name: table[name].check(given[name]) for name in table if name in given}


def checked_ranges(model_class, kind: str, ranges: dict, fixed: dict) -> dict[str, list]:
    """What --ranges gives, checked: [low, high] of a number, or a list of choices."""
    table = {setting.name: setting for setting in model_class.hyperparameters}
    checked = {}
    for name, values in ranges.items():
        try:
            if name not in table:
                raise ConfigError(f"{name} is not a hyper-parameter; there are {', '.join(table)}")
            if name in fixed:
                raise ConfigError(f"{name} is fixed at {fixed[name]}")
            if kind == "lr" and name != "lr":
                raise ConfigError(f"--search=lr does not search {name}")
            checked[name] = checked_range(table[name], values)
        except ConfigError as error:
            raise ConfigError(f"--ranges: {error}") from None
    return checked


def checked_range(setting: Setting, values: Any) -> list:
    """A range or choices for one setting; ConfigError if it cannot be searched there."""
    kind = setting.element().type if setting.is_list else setting.type
    is_number = kind in (int, float) and not setting.choices
    if not (is_number or setting.choices or setting.type is bool):
        raise ConfigError(f"{setting.name} has no choices to draw from")
    if not isinstance(values, list) or not values or (is_number and len(values) != 2):
        expected = "[low, high]" if is_number else "a list of choices"
        raise ConfigError(f"{setting.name} is {values}, not {expected}")
    each = setting.element()._replace(name=setting.name) if setting.is_list else setting
    values = [each.check(value) for value in values]
    each = each._replace(search=tuple(values))
    each.check_search()
    if is_number and len(each.grid() or set(values)) == 1 and not setting.is_list:
        raise ConfigError(f"{setting.name} has one value only; use --{setting.name}={values[0]}")
    return values


def check_used_at_all(table, constant: dict, names: Iterable[str], flag: str) -> None:
    """ConfigError if a search uses one of these settings in no trial.

    constant: the values that no trial changes; flag: what the message begins with.
    """
    found = usable(table, constant)
    for setting in table:
        if setting.name in names and setting.name not in found:
            condition = setting.condition()
            raise ConfigError(f"{flag}{setting.name} goes with {condition}, which no trial has")


def check_something_to_search(model_class, kind: str, fixed: dict, ranges: dict) -> None:
    """ConfigError if a search of this kind has nothing to draw, or a range that is not allowed."""
    table = searched_table(model_class, ranges)
    used = usable(table, fixed)
    table = [setting for setting in table if setting.search and setting.name in used]
    name = model_class.__name__
    if kind in ("lr", "fullsearch"):
        flag = "--search=lr" if kind == "lr" else "--fullsearch"
        if "lr" in fixed:
            raise ConfigError(f"{flag} searches lr, which is fixed at {fixed['lr']}")
        if "lr" not in {setting.name for setting in table}:
            raise ConfigError(f"{flag}: lr of {name} has no range; give it one in --ranges")
    free = [s for s in table if s.name not in fixed]
    if not {s.name for s in free} - ({"lr"} if kind == "fullsearch" else set()):
        raise ConfigError(f"{name} has no hyper-parameter left to search")
    for setting in free:
        try:
            setting.check_search()
        except ConfigError as error:
            raise ConfigError(f"{error}; correct its table in models/") from None
