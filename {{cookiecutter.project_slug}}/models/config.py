"""One plain dictionary says all about a run: `config`. Here it is completed and checked."""

import difflib
import os
import secrets

from models.hyperparameters import ConfigError, Setting
from training import processors
from training.run_folder import recorded_config

RUN_SETTINGS = (
    Setting("max_iter", int, None, "training steps in all; resuming trains up to it", 1, 10**9),
    Setting("random_seed", int, None, "any number; drawn and printed if not given", 0, 2**31 - 2),
    Setting("result_dir", str, None, "folder of this run; one that holds a run is resumed"),
    Setting("from_checkpoint", str, None, "folder of a run: start a new one from its checkpoint"),
    Setting("step", str, None, "which checkpoint: a number or best; the newest if not given"),
    Setting("save_every", int, 1000, "steps between checkpoints", 1),
    Setting("save_checkpoint_secs", float, 0.0, "seconds between further checkpoints, 0: off",
            0, 1e9),
    Setting("max_to_keep", int, 5, "newest checkpoints to keep", 1),
    Setting("keep_checkpoint_every_n_hours", float, 0.0,
            "hours between checkpoints that are kept for ever, 0: off", 0, 1e6),
    Setting("log_every", int, 100, "steps between records of the training loss", 1),
    Setting("eval_every", int, 1000, "steps between evaluations on valid, with summaries", 1),
    Setting("fake_data", bool, False, "train on images made on the spot: no download"),
    Setting("device", str, "auto", "auto takes a GPU if there is one",
            choices=("auto", "cpu", "gpu")),
    Setting("jit", bool, None, "compile the steps with XLA; on wherever XLA is to be had"),
    Setting("threads", int, 0, "processor threads; 0: as many as processors may be used", 0, 1024),
    Setting("deterministic", bool, False, "equal bits on a GPU too, more slowly"),
    Setting("debug", bool, False, "print settings and variables; name the first operation that "
            "is not finite; show tracebacks"),
)  # fmt: skip

# What a resumed run may set anew: none of it changes a weight.
MAY_CHANGE = frozenset(
    "max_iter save_every save_checkpoint_secs max_to_keep keep_checkpoint_every_n_hours "
    "log_every eval_every debug result_dir".split()
)


def nearest(name, names):
    """A hint in brackets, with the one of names that is near; "" if none is."""
    by_lower_case = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    return f" (did you mean {by_lower_case[near[0]]}?)" if near else ""


def complete_config(model_class, given):
    """Return a config with every setting of a model, checked; the given one stays as it is.

    What is not given (or None) comes from config.json where result_dir holds a run; for a new run
    from the one of from_checkpoint, if there is one; else from the tables. ConfigError if a name,
    a type or a value is wrong, or contradicts the run in result_dir.
    """
    settings = {setting.name: setting for setting in model_class.settings()}
    for name in given:
        if name != "model_name" and name not in settings:
            hint = nearest(name, list(settings))
            raise ConfigError(f"--{name} is not a setting of {model_class.__name__}{hint}")
    if given.get("result_dir"):
        given = given | {"result_dir": os.path.expanduser(given["result_dir"])}
    if given.get("threads") == 0:  # as if not given: a resumed run keeps its own number
        given = given | {"threads": None}
    recorded = recorded_config(given["result_dir"]) if given.get("result_dir") else {}
    parent = {}
    if given.get("from_checkpoint"):
        folder = os.path.abspath(os.path.expanduser(given["from_checkpoint"]))
        given = given | {"from_checkpoint": folder}
        parent = {} if recorded else parent_config(given)
    config = {"model_name": given.get("model_name") or model_class.__name__}
    for name, setting in settings.items():
        sources = (given.get(name), recorded.get(name), parent.get(name), setting.default)
        value = next((v for v in sources if v is not None), None)
        try:
            config[name] = setting.check(value)
        except ConfigError as error:
            if given.get(name) is not None:
                raise
            raise ValueError(f"config.json of the run is damaged: {error}") from None
    if config["random_seed"] is None:
        config["random_seed"] = secrets.randbelow(2**31 - 1)
    config["threads"] = config["threads"] or processors.count()
    refuse_contradictions(recorded, config)
    return config


def parent_config(given):
    """The settings that a new run takes from the one it starts from."""
    folder = given["from_checkpoint"]
    if given.get("result_dir") and os.path.abspath(given["result_dir"]) == folder:
        raise ConfigError(f"--from_checkpoint={folder} is --result_dir too; name a new folder")
    recorded = recorded_config(folder)
    if not recorded:
        raise ConfigError(f"--from_checkpoint={folder} holds no run")
    own = ("result_dir", "from_checkpoint", "step")
    return {name: value for name, value in recorded.items() if name not in own}


def refuse_contradictions(recorded, config):
    """ConfigError lists what differs from a recorded run and would change its weights."""
    gone = object()
    changed = [n for n in recorded if n not in MAY_CHANGE and recorded[n] != config.get(n, gone)]
    if changed:
        listed = ", ".join(f"{n}={recorded[n]} (now {config.get(n, 'unknown')})" for n in changed)
        raise ConfigError(
            f"--result_dir={config['result_dir']} holds a run with {listed}: "
            "to resume it leave them as they are, or name another folder"
        )
