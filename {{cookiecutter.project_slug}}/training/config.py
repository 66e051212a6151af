"""How a config is completed and checked.

A config is one plain dictionary that says everything about a run; settings.py has its tables.
"""

import os
import secrets

from conditions import Constraints, check_constraints
from setting import ConfigError, Setting, as_text, nearest
from training.files import expanded


def complete_config(
    model_name: str,
    table: tuple[Setting, ...],
    given: dict,
    recorded: dict,
    parent: dict,
    constraints: Constraints = (),
) -> dict:
    """Return a config with every setting of a table, checked; `given` is not changed.

    recorded: the config of the run in result_dir, or {}; parent: that of from_checkpoint, or {}. A
    setting that is not given (or None) comes from the run, from its parent or from the table, in
    this order. ConfigError if a name, a type or a value is wrong, contradicts the run, or breaks a
    constraint of a new one.
    """
    settings = {setting.name: setting for setting in table}
    for name in given:
        if name != "model_name" and name not in settings:
            hint = nearest(name, list(settings))
            raise ConfigError(f"--{name} is not a setting of {model_name}{hint}")
    given = dict(given)
    given["threads"] = given.get("threads") or None  # 0 as if not given: a run keeps its own
    if recorded and given.get("jit") == "short":
        given["jit"] = None  # a run has chosen it
    if given.get("result_dir"):
        given["result_dir"] = str(expanded(given["result_dir"]))
    if given.get("from_checkpoint"):
        given["from_checkpoint"] = os.path.abspath(expanded(given["from_checkpoint"]))
        check_branch(given, recorded, parent)
    own = ("result_dir", "from_checkpoint", "step")
    parent = {} if recorded else {n: value for n, value in parent.items() if n not in own}
    config = {"model_name": given.get("model_name") or model_name}
    for name, setting in settings.items():
        sources = (given.get(name), recorded.get(name), parent.get(name), setting.default)
        value = next((v for v in sources if v is not None), None)
        try:
            config[name] = setting.check(value)
        except ConfigError as error:
            if given.get(name) is not None:
                raise
            raise ValueError(f"config.json of the run is damaged: {error}") from None
    parse_step(config["step"])
    if config["random_seed"] is None:
        config["random_seed"] = secrets.randbelow(2**31 - 1)
    check_contradictions(table, recorded, config)
    if not recorded:  # a run goes on with what it was started with
        check_constraints(table, constraints, config)
    return config


def check_branch(given, recorded, parent):
    """ConfigError if a new run cannot start from the run in from_checkpoint."""
    folder = given["from_checkpoint"]
    if given.get("result_dir") and os.path.abspath(given["result_dir"]) == folder:
        raise ConfigError(f"--from_checkpoint={folder} is --result_dir too; name a new folder")
    if not recorded and not parent:
        raise ConfigError(f"--from_checkpoint={folder} holds no run")


def check_contradictions(table: tuple[Setting, ...], recorded: dict, config: dict) -> None:
    """ConfigError lists what differs from a recorded run and would change its weights."""
    resumable = {setting.name for setting in table if setting.resumable}
    gone = object()
    changed = [n for n in recorded if n not in resumable and recorded[n] != config.get(n, gone)]
    if changed:
        pairs = ((n, as_text(recorded[n]), as_text(config.get(n, "unknown"))) for n in changed)
        listed = ", ".join(f"{name}={before} (now {now})" for name, before, now in pairs)
        raise ConfigError(
            f"--result_dir={config['result_dir']} holds a run with {listed}: "
            "to resume it, do not change these settings, or name another folder"
        )


def parse_step(text: str | None) -> int | str | None:
    """The checkpoint that --step names: its step, "best", or None for the newest."""
    if text is None or text == "best":
        return text
    if not (text.isascii() and text.isdecimal()):
        raise ConfigError(f"--step={text} is neither a number nor best")
    return int(text)
