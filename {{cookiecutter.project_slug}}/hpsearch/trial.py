"""One job of a search, in any process: train a trial up to a step and score it."""

import json
import math
import time
from pathlib import Path

import tensorflow as tf

from hpsearch.ledger import DIVERGED, FAILED, INTERRUPTED, TRAINED, Outcome
from hpsearch.search_settings import RESUMABLE
from models import make_model
from settings import ConfigError
from training.checkpoints import Checkpoints
from training.digests import weights_sha256
from training.loop import advance
from training.messages import one_line
from training.preparation import UNLOADED

PATIENCE = 120  # seconds to wait for a process that still holds the trial's folder
NOT_IN_GRAPH = {"lr"} | RESUMABLE
# A process keeps graphs and sessions for the next trial of the same shape: 8, and more small ones.
KEPT_MODELS = 32
KEPT_BYTES = 10**9  # of weights and training data


def shape_of(config: dict) -> str:
    """What the compiled steps of a trial follow from: two trials of one shape can share a model."""
    fixed = {name: value for name, value in config.items() if name not in NOT_IN_GRAPH}
    return json.dumps(fixed, sort_keys=True)


def size_of(model) -> int:
    """The bytes of a model's weights, and of its training data where they are copied."""
    streamed = model.config["data"] == "stream"
    arrays = [] if streamed else model.splits.get("train", {}).values()
    sizes = [v.shape.num_elements() * v.dtype.size for v in model.saved.values()]
    return sum(sizes) + sum(array.nbytes for array in arrays)


class ModelCache:
    """The models of one process: to build and compile one takes longer than a short trial."""

    def __init__(self):
        self.by_shape = {}  # the last one was used last

    def get(self, config: dict):
        """A model in its initial state, of the same shape as an earlier one if there is one."""
        shape = shape_of(config)
        model = self.by_shape.pop(shape, None)
        if model is None:
            self.make_room()
            model = make_model(config | UNLOADED)
        model.reconfigure(config)  # its run is loaded when it is trained
        self.by_shape[shape] = model
        return model

    def make_room(self) -> None:
        """Drop models that were used long ago, before another one is built."""
        size = sum(map(size_of, self.by_shape.values()))
        while len(self.by_shape) >= (KEPT_MODELS if size < KEPT_BYTES else 8):
            oldest = next(iter(self.by_shape.values()))
            size -= size_of(oldest)
            self.drop(oldest)

    def drop(self, model) -> None:
        """Free the memory of a model; None is no model."""
        self.by_shape = {s: kept for s, kept in self.by_shape.items() if kept is not model}
        if model is not None:
            model.close()

    def clear(self) -> int:
        """Free the memory of all models. Returns how many there were."""
        count = len(self.by_shape)
        while self.by_shape:
            self.by_shape.popitem()[1].close()
        return count


def run_job(config: dict, until: int, models: ModelCache) -> Outcome:
    """Train a trial in its run folder up to a step, and score it on valid.

    OSError if flags, data, disk or network are at fault, which says nothing about the trial.
    """
    give_up = time.monotonic() + PATIENCE
    while True:
        model = None
        try:
            model = models.get(config)
            model.prepare_steps()
            outcome = train_and_score(model, until)
        except BlockingIOError:  # a process that was told to end has not ended yet
            if time.monotonic() > give_up:
                raise
            time.sleep(0.2)
            continue
        except tf.errors.ResourceExhaustedError as error:
            if models.clear() > 1:  # with more memory it may succeed
                continue
            outcome = Outcome(FAILED, reason=f"out of memory: {one_line(error)}")
        except Exception as error:  # a model's own code may raise anything
            # Once the model is built, a wrong value is one of the data or of the run's files.
            built = model is not None and model.compiled_loop is not None
            if isinstance(error, (ConfigError, OSError, ValueError if built else OSError)):
                raise OSError(one_line(error)) from None
            outcome = Outcome(FAILED, reason=f"{type(error).__name__}: {one_line(error)}")
        if outcome.state != TRAINED:
            models.drop(model)  # its state is unknown
        return outcome


def train_and_score(model, until: int) -> Outcome:
    """Train a trial and evaluate it on valid; a search never opens the test split."""
    checkpoints = Checkpoints(Path(model.config["result_dir"]), model.config)
    if (checkpoints.last_step() or 0) > until:  # the line of this job in the ledger was lost
        model.init()
        for _ in advance(model, until):
            pass
    else:
        result = model.train(until=until, final=False)
        if result["status"] == "diverged":
            details = result["details"]
            reason = f"not finite at step {details['bad_step']}, first in {details['variable']}"
            return Outcome(DIVERGED, reason=reason)
        if model.step < until:
            return Outcome(INTERRUPTED)
    values = model.evaluate("valid")
    score = values[model.objective[0]]
    if not math.isfinite(score):
        reason = f"{model.objective[0]} on valid is {score} at step {until}"
        return Outcome(DIVERGED, reason=reason)
    return Outcome(TRAINED, score, None, values, weights_sha256(model.weights()))
