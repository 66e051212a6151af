"""What can be set, in tables: flags, checks and searches come from there.

A config is one plain dictionary that says everything about a run. A line of a table gives a
setting's name, type, default and what is allowed.
"""

from conditions import random_config
from setting import ConfigError, Setting, nearest

__all__ = ["RUN_SETTINGS", "ConfigError", "Setting", "nearest", "optimization", "random_config"]

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
            choices=("auto", "cpu", "gpu"), resumable=True),
    Setting("jit", str, None, "what XLA compiles: the whole loop, each step by itself, nothing, "
            "or, for short runs, only what is slow without it (default: what suits the model)",
            choices=("loop", "step", "off", "short")),
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
        Setting("momentum", float, 0.9, "part of the last update that is kept", 0.0, 0.9999,
                only_with=("optimizer", "momentum")),
        Setting("beta1", float, 0.9, "decay of the mean gradient", 0.0, 0.9999,
                only_with=("optimizer", "adam")),
        Setting("beta2", float, 0.999, "decay of the mean square", 0.0, 0.999999,
                only_with=("optimizer", "adam")),
        Setting("lr_schedule", str, lr_schedule, "cosine: falls to 0 over decay_steps; "
                "step: is multiplied by decay_rate every decay_steps",
                choices=("constant", "cosine", "step")),
        Setting("decay_steps", int, decay_steps, "steps over which a schedule decays", 1, 10**9,
                only_with=("lr_schedule", "cosine", "step")),
        Setting("decay_rate", float, 0.1, "what the learning rate is multiplied by", 1e-6, 1.0,
                only_with=("lr_schedule", "step")),
        Setting("warmup_steps", int, 0, "steps in which the learning rate grows to lr", 0, 10**9),
        Setting("clip_norm", float, 0.0, "longest gradient, over all variables; 0: any", 0.0, 1e9),
        Setting("weight_decay", float, 0.0, "part that a step of learning rate 1 takes away from "
                "matrices and filters; with adam this is AdamW", 0.0, 1.0),
        Setting("batch_size", int, batch_size, "examples in one step", 1, 10**6),
    )  # fmt: skip
