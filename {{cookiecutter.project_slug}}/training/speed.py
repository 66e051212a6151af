"""How long a step takes, and whether another --jit would be faster: for --debug and --dry_run.

A run itself never chooses by time: see training/compilation.py.
"""

import logging
import sys
import time

import tensorflow as tf

from settings import ConfigError
from training.compilation import ANNOUNCED
from training.divergence import Diverged
from training.loop import advance
from training.preparation import twin

log = logging.getLogger(__name__)
SECONDS = 0.5  # of training that are timed
SLOWER = 4 / 3  # worth a word
STILL = {"lr": 1e-9}  # what is timed shall not diverge


def seconds_of_a_step(model, stop: int = sys.maxsize) -> float:
    """Train a prepared model for a moment, at least two steps. Returns the seconds of a step."""
    chunks = advance(model, stop)
    next(chunks)  # the first step is slower
    began, first = time.perf_counter(), model.step
    while model.step == first or time.perf_counter() - began < SECONDS:
        next(chunks)
    return (time.perf_counter() - began) / (model.step - first)


def advice(model) -> str:
    """A line that names a --jit with which steps are much faster; "" if there is none.

    Builds and times a second model for each value. The model itself is left as it is. Nothing is
    timed on a cluster, whose other workers do not train that model.
    """
    times = {}
    if model.cluster:
        return ""
    for jit in ANNOUNCED:
        log.info(f"Timing --jit={jit}, because of --debug or --dry_run")
        try:
            with twin(model, jit=jit, **STILL) as other:
                other.prepare_steps()
                times[jit] = seconds_of_a_step(other)
        except (ConfigError, tf.errors.OpError, Diverged):  # refused, or XLA cannot compile it
            continue
    used, best = model.config["jit"], min(times, key=times.get, default=None)
    if used not in times or times[used] < SLOWER * times[best]:
        return ""
    slow, fast = (f"{1e6 * times[jit]:,.0f} µs with --jit={jit}" for jit in (used, best))
    return f"A step takes {slow}, and {fast}: add --jit={best}"
