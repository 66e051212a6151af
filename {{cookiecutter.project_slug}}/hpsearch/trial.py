"""One job of a search, run in whatever process: train a trial up to a step and score it."""

import math
import shutil
import time
from pathlib import Path

from hpsearch.ledger import TRAINED, without_score
from models import make_model
from models.config import MAY_CHANGE
from training.checkpoints import Checkpoints
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


def run(config, until, models):
    """Train a trial in its run folder up to a step, and score it on valid, whatever happens.

    Returns {"state": "trained", "score", "valid", "weights_sha256"}; {"state", "score": None,
    "reason"} with the state diverged or failed; with the state None where disk or network are at
    fault, which says nothing about the trial; or just None if a signal came first.
    """
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            return train(config, until, models)
        except BlockingIOError as error:  # a process that was told to end has not quite ended
            if time.monotonic() > give_up:
                return without_score(None, one_line(error))
            time.sleep(0.2)
        except OSError as error:
            return without_score(None, one_line(error))
        except Exception as error:  # whatever a model's code does, the search goes on
            return without_score("failed", f"{type(error).__name__}: {one_line(error)}")


def train(config, until, models):
    """Train and score a trial, as `run`. It never looks at the test split."""
    folder = Path(config["result_dir"])
    if (Checkpoints(folder, config).last_step() or 0) > until:
        shutil.rmtree(folder)  # its line in the ledger was lost; what it holds can be made again
    model = models.get(config)
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
    digest = Checkpoints(folder, config).records[-1]["weights_sha256"]
    return {"state": TRAINED, "score": score, "valid": values, "weights_sha256": digest}
