"""One job of a search, run in whatever process: train a trial up to a step and score it."""

import math
import shutil
from pathlib import Path

from hpsearch.ledger import TRAINED
from models import make_model
from models.config import MAY_CHANGE
from training.checkpoints import Checkpoints

KEPT_MODELS = 4  # graphs and sessions that a process keeps, for the next trial of the same shape


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
    """Train a trial in its run folder up to a step, and evaluate it on valid.

    Never looks at the test split. Returns {"state", "score", "valid", "weights_sha256"}, or with
    a state that is not "trained" {"state", "score": None, "reason"}; None if a signal came first.
    """
    folder = Path(config["result_dir"])
    if (Checkpoints(folder, config).last_step() or 0) > until:
        shutil.rmtree(folder)  # its line in the ledger was lost; what it holds can be made again
    model = models.get(config)
    result = model.train(until=until, final=False)
    if result["status"] == "diverged":
        reason = f"not finite at step {result['bad_step']}, first in {result['variable']}"
        return {"state": "diverged", "score": None, "reason": reason}
    if model.step < until:
        return None
    values = model.evaluate("valid")
    score = values[model.objective[0]]
    if not math.isfinite(score):
        reason = f"{model.objective[0]} on valid is {score} at step {until}"
        return {"state": "diverged", "score": None, "reason": reason}
    digest = Checkpoints(folder, config).records[-1]["weights_sha256"]
    return {"state": TRAINED, "score": score, "valid": values, "weights_sha256": digest}
