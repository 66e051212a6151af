"""What can be set, in tables: flags, checks and searches come from there.

A config is one plain dictionary that says everything about a run. A line of a table gives a
setting's name, type, default and what is allowed.
"""

import difflib
import json
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np


class ConfigError(ValueError):
    """A setting that cannot be used; the message is one line that names the flag."""


class Setting(NamedTuple):
    """One line of a table.

    low and high: the smallest and the largest value allowed; choices: the only values allowed.
    search: what a search draws from, (low, high) on a linear or log scale, or choices; a setting
    without it keeps its default in a search. resumable: whether a resumed run may change it.
    goes_with: stages or flags, such as "infer" or "search=lr"; it needs at least one of them.
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

    def parse(self, text: str) -> Any:
        """Parse the text of a flag; ConfigError if it has another type."""
        try:
            return PARSERS.get(self.type, self.type)(text)
        except (ValueError, KeyError, RecursionError):
            remedy = f"; write --{self.name} without a value" if self.type is bool else ""
            kind = self.type.__name__
            raise ConfigError(f"--{self.name}={text} is not of type {kind}{remedy}") from None

    def allowed(self) -> str:
        """What is allowed: "from 1 to 10", "one of sgd, adam", or "" for anything."""
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        if self.low is not None and self.high is not None:
            return f"from {self.low:.10g} to {self.high:.10g}"
        return f"at least {self.low:.10g}" if self.low is not None else ""

    def check(self, value: Any) -> Any:
        """Return the value in this setting's type; ConfigError if it is not allowed."""
        if value is None and self.default is None:
            return None
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
            raise ConfigError(f"--{self.name}={value} is not of type {self.type.__name__}")
        too_low = self.low is not None and not value >= self.low
        too_high = self.high is not None and not value <= self.high
        if too_low or too_high or (self.choices and value not in self.choices):
            raise ConfigError(f"--{self.name}={value} is not allowed: it must be {self.allowed()}")
        return value

    def check_search(self) -> None:
        """ConfigError if a search could draw nothing, or something that is not allowed."""
        for value in self.search:
            self.check(value)
        if not self.choices and self.type is not bool:
            low, high = self.search
            if not low <= high or (self.scale == "log" and low <= 0):
                span = f"from {low} to {high} on a {self.scale} scale"
                raise ConfigError(f"{self.name} cannot be searched {span}")

    def draw(self, random: np.random.Generator) -> Any:
        """A random value from what a search draws from."""
        if self.choices or self.type is bool:
            return self.search[random.integers(len(self.search))]
        low, high = self.search
        if self.scale == "log":
            value = np.exp(random.uniform(np.log(low), np.log(high)))
        else:
            value = random.uniform(low, high)
        return self.type(round(value)) if self.type is int else float(value)


TRUTH = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
PARSERS = {bool: lambda text: TRUTH[text.lower()], dict: json.loads}  # of other types: the type

WITHOUT_SEARCH = ("training", "infer", "evaluate", "export", "verify")  # the stages of a single run
RUN_SETTINGS = (
    Setting("max_iter", int, None, "training steps in total; a resumed run may raise it", 1, 10**9,
            resumable=True),
    Setting("random_seed", int, None, "any number (default: drawn and printed)", 0, 2**31 - 2,
            goes_with=WITHOUT_SEARCH),
    Setting("result_dir", str, None, "folder of this run; one that holds a run is resumed",
            resumable=True),
    Setting("from_checkpoint", str, None, "folder of a run: start a new one from its checkpoint",
            goes_with=("training",)),
    Setting("step", str, None, "which checkpoint: a number or best (default: the newest)",
            goes_with=("infer", "evaluate", "export", "from_checkpoint")),
    Setting("save_every", int, 1000, "steps between checkpoints; 0: only the first and the last",
            0, resumable=True),
    Setting("save_checkpoint_secs", float, 0.0, "seconds between further checkpoints, 0: off",
            0, 1e9, resumable=True),
    Setting("max_to_keep", int, None, "newest checkpoints to keep (default: 50, large ones fewer)",
            1, resumable=True),
    Setting("keep_checkpoint_every_n_hours", float, 0.0,
            "hours between checkpoints that are never removed, 0: off", 0, 1e6, resumable=True),
    Setting("log_every", int, 100, "steps between records of the batch's loss", 1, resumable=True),
    Setting("eval_every", int, 1000, "steps between evaluations, with summaries", 1,
            resumable=True),
    Setting("eval_examples", int, 1000, "training examples to evaluate", 1, resumable=True),
    Setting("trace_every", int, 0, "steps between traces of each operation's time and memory; 0: "
            "off", 0, 10**9, resumable=True, goes_with=("training",)),
    Setting("patience", int, 0, "end a run after so many evaluations without a better objective on "
            "valid; 0: never", 0, 10**9, resumable=True, goes_with=("training",)),
    Setting("fake_data", bool, False, "train on generated images: no download"),
    Setting("data", str, None, "where the training data is: copied to the device, or read while "
            "training (default: by its size)", choices=("device", "stream"), resumable=True),
    Setting("device", str, "auto", "auto takes a GPU if there is one",
            choices=("auto", "cpu", "gpu")),
    Setting("jit", str, None, "what XLA compiles: the whole loop, each step by itself, or nothing "
            "(default: what suits the model)", choices=("loop", "step", "off")),
    Setting("threads", int, 0, "processor threads; 0: as many as processors may be used, in a "
            "search 1 for each trial", 0, 1024),
    Setting("nb_workers", int, 1, "processes that train together, each on a share of every batch; "
            "TF_CONFIG names those of several machines", 1, 10**4, goes_with=("training",)),
    Setting("nb_replicas", int, 1, "GPUs of each process, which share its part of every batch", 1,
            64, goes_with=("training",)),
    Setting("worker_timeout", float, 600.0, "seconds to wait for a worker that does not answer", 1,
            1e6, resumable=True, goes_with=("training", "verify")),
    Setting("deterministic", bool, False, "equal bits on a GPU too, more slowly"),
    Setting("debug", bool, False, "print settings and variables; name the first operation that "
            "is not finite; show tracebacks", resumable=True),
)  # fmt: skip


def optimization(lr, batch_size, decay_steps, optimizer="sgd", lr_schedule="constant"):
    """The hyper-parameters that every model has, with the defaults that suit one of them."""
    return (
        Setting("lr", float, lr, "learning rate", 1e-9, 1e3, search=(1e-4, 1.0), scale="log"),
        Setting("optimizer", str, optimizer, "how weights follow gradients",
                choices=("sgd", "momentum", "adam"), search=("sgd", "momentum", "adam")),
        Setting("momentum", float, 0.9, "of optimizer momentum", 0.0, 0.9999),
        Setting("beta1", float, 0.9, "adam's decay of the mean gradient", 0.0, 0.9999),
        Setting("beta2", float, 0.999, "adam's decay of the mean square", 0.0, 0.999999),
        Setting("lr_schedule", str, lr_schedule, "cosine: falls to 0 over decay_steps; "
                "step: is multiplied by decay_rate every decay_steps",
                choices=("constant", "cosine", "step")),
        Setting("decay_steps", int, decay_steps, "steps over which a schedule decays", 1, 10**9),
        Setting("decay_rate", float, 0.1, "of lr_schedule=step", 1e-6, 1.0),
        Setting("warmup_steps", int, 0, "steps in which the learning rate grows to lr", 0, 10**9),
        Setting("clip_norm", float, 0.0, "longest gradient, over all variables; 0: any", 0.0, 1e9),
        Setting("weight_decay", float, 0.0, "part that a step of learning rate 1 takes away from "
                "matrices and filters; with adam this is AdamW", 0.0, 1.0),
        Setting("batch_size", int, batch_size, "examples in one step", 1, 10**6),
    )  # fmt: skip


def random_config(table, fixed_params: dict, stream: Callable) -> dict[str, Any]:
    """Draw every setting of a table that is not fixed; stream: a random generator for a name.

    ConfigError if a fixed one is not in the table or has a value that is not allowed.
    """
    names = [setting.name for setting in table]
    for name in set(fixed_params) - set(names):
        raise ConfigError(f"{name} is not a hyper-parameter; there are {sorted(names)}")
    config = {}
    for setting in table:
        if setting.name in fixed_params:
            config[setting.name] = setting.check(fixed_params[setting.name])
        elif setting.search:
            config[setting.name] = setting.draw(stream(f"hyper-parameter {setting.name}"))
        else:
            config[setting.name] = setting.default
    return config


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint in brackets that names the most similar of `names`; "" if none is similar."""
    by_lower_case = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    return f" (did you mean {by_lower_case[near[0]]}?)" if near else ""
