"""One job of a search, run in whatever process: train a trial up to a step and score it."""

import math
import time
from pathlib import Path

import tensorflow as tf

from hpsearch.ledger import TRAINED, without_score
from models import make_model
from models.config import MAY_CHANGE
from models.hyperparameters import ConfigError
from training.checkpoints import Checkpoints, weights_sha256
from training.run_folder import one_line

PATIENCE = 120  # seconds for whoever trained a trial before to end; a network's disk is slow to see
KEPT_MODELS = 8  # graphs and sessions that a process keeps, for the next trial of the same shape


class Models:
    """The models of one process: a new graph and its compilation cost more than a short trial."""

    def __init__(self):
        self.by_shape = {}

    def get(self, config):
        """A model in its first state, for a config; of the same shape as one before, if any."""
        shape = tuple(sorted((k, v) for k, v in config.items() if k not in MAY_CHANGE | {"lr"}))
        model = self.by_shape.pop(shape, None)
        if model is None:
            if len(self.by_shape) == KEPT_MODELS:
                self.by_shape.pop(next(iter(self.by_shape))).close()
            model = make_model(config)
        else:
            model.reconfigure(config)
        self.by_shape[shape] = model  # the last one is the newest
        return model

    def drop(self, model):
        """Give back the memory of one model; None is none."""
        self.by_shape = {s: kept for s, kept in self.by_shape.items() if kept is not model}
        if model is not None:
            model.close()

    def clear(self):
        """Give back the memory of all models. Returns how many there were."""
        count = len(self.by_shape)
        while self.by_shape:
            self.by_shape.popitem()[1].close()
        return count


def run(config, until, models):
    """Train a trial in its run folder up to a step, and score it on valid, whatever happens.

    Returns {"state": "trained", "score", "valid", "weights_sha256"}; {"state", "score": None,
    "reason"} with the state diverged or failed; with the state None where flags, data, disk or
    network are at fault, which says nothing about the trial; or just None if a signal came first.
    """
    give_up = time.monotonic() + PATIENCE
    while True:
        model = None
        try:
            model = models.get(config)
            model.prepare_steps()
            outcome = train(model, until)
        except BlockingIOError as error:  # a process that was told to end has not quite ended
            if time.monotonic() < give_up:
                time.sleep(0.2)
                continue
            outcome = without_score(None, one_line(error))
        except (ConfigError, OSError) as error:
            outcome = without_score(None, one_line(error))
        except tf.errors.ResourceExhaustedError as error:
            if models.clear() > 1:  # the others were in its way
                continue
            outcome = without_score("failed", f"out of memory: {one_line(error)}")
        except Exception as error:  # whatever a model's code does, the search goes on
            built = model is not None and model.steps is not None
            # Once the model is built, a wrong value is one of data or of the run folder's files.
            state = None if built and isinstance(error, ValueError) else "failed"
            outcome = without_score(state, f"{type(error).__name__}: {one_line(error)}")
        if outcome and outcome["state"] != TRAINED:
            models.drop(model)  # who knows in what state it is
        return outcome


def train(model, until):
    """Train and score a trial, as `run`. It never looks at the test split."""
    checkpoints = Checkpoints(Path(model.config["result_dir"]), model.config)
    if (checkpoints.last_step() or 0) > until:  # the line of this job in the ledger was lost
        model.init()
        while model.step < until:
            model.learn_from_epoch(until)
    else:
        result = model.train(until=until, final=False)
        if result["status"] == "diverged":
            reason = f"not finite at step {result['bad_step']}, first in {result['variable']}"
            return without_score("diverged", reason)
        if model.step < until:
            return None
    values = model.evaluate("valid")
    score = values[model.objective[0]]
    if not math.isfinite(score):
        reason = f"{model.objective[0]} on valid is {score} at step {until}"
        return without_score("diverged", reason)
    digest = weights_sha256(model.weights())
    return {"state": TRAINED, "score": score, "valid": values, "weights_sha256": digest}
