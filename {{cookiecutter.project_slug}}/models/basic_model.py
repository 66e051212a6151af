"""What all models have in common: graph, session, training, checkpoints, inference.

A model is a subclass in a file of its own. It implements the four methods that raise
NotImplementedError here; docs/write-a-model.md shows how.
"""

import functools
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from models import layers
from settings import RUN_SETTINGS, ConfigError, Setting, random_config
from training import contract, evaluation, loop, optimizers, preparation, variables, workers
from training.batches import random_stream
from training.checkpoints import Checkpoints
from training.collectives import mean
from training.config import complete_config
from training.divergence import Diverged
from training.files import read_json
from training.provenance import recorded_config
from training.run import Run
from training.tf_config import threads_here

Arrays = dict[str, np.ndarray]  # {name: array [examples, ...]}
Tensors = dict[str, "tf.Tensor"]  # {name: tensor [batch, ...]}


class BasicModel:
    """One model in its own graph and session: `with make_model(config) as model: ...`."""

    hyperparameters = ()  # the model's table
    constraints = ()  # such as ("hidden2", "<=", "hidden1"), two numbers of the table
    max_iter = 1000  # steps, unless --max_iter says otherwise
    eval_every = 1000  # steps, unless --eval_every says otherwise
    has_fake_data = False  # whether --fake_data is a flag of the model
    objective = ("loss", "min")  # what is best on valid, and in which direction

    # Methods whose code is in models/layers.py and in training/.
    dense, conv, max_pool = layers.dense, layers.conv, layers.max_pool
    batch_norm, embedding, recurrent = layers.batch_norm, layers.embedding, layers.recurrent
    build_graph, load = preparation.build_graph, preparation.load
    truncated_normal, variable = variables.truncated_normal, variables.variable
    dropout, eager, update = variables.dropout, variables.eager, optimizers.update
    evaluate, infer, mean_of_workers = evaluation.evaluate, evaluation.infer, mean
    session = functools.cached_property(preparation.session)
    data_checksum = functools.cached_property(preparation.data_checksum)

    def inputs(self, split: str) -> Arrays:
        """Return the arrays of train, valid or test as {name: array}, all [examples, ...]."""
        raise contract.not_written(self, "inputs")

    def inference(self, batch: Tensors, training: bool) -> "tf.Tensor":
        """Build the outputs for a batch: a tensor [batch, ...].

        batch: {name: tensor [batch, ...]}; training: whether dropout and the like are active.
        """
        raise contract.not_written(self, "inference")

    def loss(self, outputs: "tf.Tensor", batch: Tensors) -> "tf.Tensor":
        """Build the loss that training minimizes: a float32 scalar, the mean over the batch."""
        raise contract.not_written(self, "loss")

    def evaluation(self, outputs: "tf.Tensor", batch: Tensors) -> Tensors:
        """Build the metrics: {name: float32 tensor [batch]}, one value for each example."""
        raise contract.not_written(self, "evaluation")

    def metrics_of_split(self, values: Arrays) -> dict[str, float]:
        """Metrics of a split from what `evaluation` gave, {name: array [examples]}: the means."""
        return {name: evaluation.mean(array) for name, array in values.items()}

    def predictions(self, outputs: "tf.Tensor") -> Tensors:
        """Build what --infer prints: {name: tensor [batch, ...]}."""
        return {"output": outputs}

    def summaries(self, batch: Tensors, outputs: "tf.Tensor", loss: "tf.Tensor") -> list:
        """Build further TensorBoard summaries, of --batch_size valid examples: v1 summary ops."""
        return []

    def picture(self, image) -> tuple[np.ndarray, str] | None:
        """Make an example of a picture of --input, a PIL image: (array, what was done, in words).

        By default, None, it is resized to the input. The docstring of your own goes with an export.
        """
        return None

    def report(self, folder: Path) -> list[str]:
        """Write images into the run's folder at its end; return lines to show."""
        return []

    @classmethod
    def settings(cls) -> tuple[Setting, ...]:
        """The tables of everything that can be set for this model."""
        own = {"max_iter": cls.max_iter, "eval_every": cls.eval_every}
        run = (s._replace(default=own.get(s.name, s.default)) for s in RUN_SETTINGS)
        run = (s for s in run if cls.has_fake_data or s.name != "fake_data")
        return (*cls.hyperparameters, *run)

    @classmethod
    def get_random_config(cls, fixed_params: dict, seed: int, table=None) -> dict[str, Any]:
        """Draw a trial's hyper-parameters; table: the model's own, with other ranges. Pure."""

        def choose(setting, attempt):
            return setting.draw(random_stream(seed, f"hyper-parameter {setting.name}", attempt))

        return random_config(table or cls.hyperparameters, fixed_params, choose, cls.constraints)

    @classmethod
    def get_best_config(cls) -> dict[str, Any]:
        """The best known hyper-parameters, from models/best/<model>.json."""
        file = Path(__file__).parent / "best" / f"{cls.__name__}.json"
        if not file.exists():
            raise ConfigError(f"--best: there is no {file}; search and --promote write it")
        return read_json(file)["config"]

    def __init__(self, config: dict):
        """Build a model, and load the checkpoint that its config names: see load_checkpoint."""
        self.splits = getattr(self, "splits", {})  # a second build shares those of the first
        self.config = self.complete(config)
        self.compiled_loop, self.feed, self.graph_sha256 = None, None, None
        self.step, self.is_new = 0, True  # whether weights were set since the last step
        self.cluster, self.place = workers.joined(self.config)  # the latter: this worker's number
        self.asked_step = self.defaults = None  # --step; an ExitStack within `with model:`
        preparation.build(self)
        loop.load_checkpoint(self, config.get("step"))

    def __enter__(self):
        """Within the block, the model's graph and session are the default ones: tensor.eval()."""
        variables.make_default(self)
        return self

    def __exit__(self, *error):
        defaults, self.defaults = self.defaults, None
        defaults.close()
        self.close(*error)

    def close(self, *error) -> None:
        """Free what was opened; not the session of a cluster after an error, which might wait."""
        if self.feed:
            self.feed.close()
        if "session" in self.__dict__ and not (self.cluster and any(error)):
            self.session.close()

    @classmethod
    def complete(cls, config: dict) -> dict[str, Any]:
        """Complete and check a config; reads those of the runs that it names."""
        contract.check_table(cls)
        recorded = [recorded_config(config.get(n)) for n in ("result_dir", "from_checkpoint")]
        best = cls.get_best_config() if config.get("best") else {}
        config = {name: value for name, value in (best | config).items() if name != "best"}
        if recorded[0] and not config.get("from_checkpoint"):
            config["step"] = None  # names a checkpoint of this run; it is no setting
        elif config.get("step") is not None:
            config["step"] = str(config["step"])
        config = complete_config(cls.__name__, cls.settings(), config, *recorded, cls.constraints)
        return config | {"threads": config["threads"] or threads_here()}

    def reconfigure(self, config: dict) -> None:
        """Start again with another learning rate or folder, in the existing graph and session."""
        self.config = self.complete(config) | {"jit": self.config["jit"]}
        self.init()

    def train_step(self, batch: Tensors) -> "tf.Tensor":
        """Build one training step: update the variables, return the loss before the update.

        A float32 scalar. A model with an unusual step overrides this.
        """
        with variables.reused(self):
            loss = self.loss(self.inference(batch, training=True), batch)
        with tf.control_dependencies([self.update(loss)]):
            return tf.identity(loss)

    def init(self) -> None:
        """Give every variable its initial value: the same one for the same seed."""
        self.session.run(self.initializers)
        self.step, self.is_new = 0, True

    def prepare_steps(self) -> None:
        """Bring training data to the device and compile the steps, without training."""
        if self.compiled_loop is None:
            self.compiled_loop, self.config["jit"] = preparation.compiled_loop(self)
            self.load("valid")  # its errors, too, come before training
            if contract.has_own_metrics(self):
                self.evaluate("valid")  # and those of metrics_of_split
            workers.compare_setup(self)

    def learn_from_epoch(self, stop: int | None = None) -> np.ndarray:
        """Train on the next batches, up to step `stop` or for about a second.

        Without `stop`: to the end of the epoch. Returns the loss of each step on its own batch,
        float32 [steps]; Diverged if a value is not finite. A model with an unusual epoch overrides
        this.
        """
        self.prepare_steps()
        if stop is None:
            epoch = self.examples // self.config["batch_size"]
            return np.concatenate([*loop.advance(self, self.step - self.step % epoch + epoch)])
        rows = self.feed.rows(self.step, min(stop - self.step, self.compiled_loop.limit))
        workers.lead(self, len(rows))
        began, feed = time.perf_counter(), {self.lr: self.config["lr"], **workers.fed(self)}
        losses, finite = workers.together(self, self.compiled_loop.run, self.session, rows, feed)
        self.compiled_loop.adapt(len(losses), time.perf_counter() - began)
        self.step += len(losses)
        if not (finite and np.isfinite(losses).all()):
            raise Diverged(losses)
        return losses

    def train(self, until: int | None = None, final: bool = True) -> loop.Result:
        """Train up to step max_iter (or pause at `until`) in a run folder; see training/loop.py.

        final: whether a complete run ends with the test split and the model's own report.
        """
        if self.asked_step is not None:
            raise ConfigError(f"--step={self.asked_step}: training goes on from the newest "
                              "checkpoint; to start from this one, name its folder as "
                              "from_checkpoint and another as result_dir")  # fmt: skip
        if self.place:
            return workers.follow(self)
        with workers.meeting(self):
            return workers.end(self, loop.train(self, Run(self.config), until, final))

    def weights(self) -> Arrays:
        """All saved variables, optimizer and global step included."""
        return self.session.run(self.saved)

    def save(self) -> Path:
        """Save a checkpoint, outside of `train`, in result_dir or a new folder. Returns the folder.

        ValueError if the run there has gone on beyond this step, or may not be trained so far.
        """
        path, max_iter = self.config["result_dir"], self.config["max_iter"]
        if self.place:
            raise ConfigError("save: on a cluster the chief alone has a run folder")
        if self.step > max_iter:
            raise ValueError(f"step {self.step} is beyond max_iter={max_iter}, which a run keeps")
        if path and Checkpoints(path, self.config).last_step() == self.step:
            return Path(path)
        self.prepare_steps()  # a run records what its steps are built of
        with Run(self.config) as run:
            run.start(self, loop.find_origin(self), keep=True)
            run.finish("interrupted", reason=f"saved at step {self.step}")
        return run.path

    def restore(self, step: int | str | None = None) -> int:
        """Load a checkpoint of result_dir: by number, "best", or the newest. Returns its step."""
        return loop.restore(self, step)
