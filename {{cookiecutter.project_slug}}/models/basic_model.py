"""What all models have in common: graph, session, training, checkpoints, inference.

A model is a subclass in a file of its own. It implements the four methods that raise
NotImplementedError here; models/mnist.py shows how.
"""

import functools
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from settings import RUN_SETTINGS, ConfigError, Setting, complete_config, random_config
from training import device, evaluation, loop, preparation, processors, repeatable
from training.batches import batch_rows, checked_inputs, random_stream
from training.checkpoints import Checkpoints
from training.digests import weights_sha256
from training.divergence import Diverged
from training.files import read_json
from training.provenance import recorded_config
from training.run import Run
from training.steps import check_hidden_state

Arrays = dict[str, np.ndarray]  # {name: array [examples, ...]}
Tensors = dict[str, "tf.Tensor"]  # {name: tensor [batch, ...]}


class BasicModel:
    """One model in its own graph and session: `with MNIST(config) as model: model.train()`."""

    hyperparameters = ()  # the model's table
    max_iter, eval_every = 1000, 1000  # steps, unless the flags say otherwise
    objective = ("loss", "min")  # what is best on valid, and in which direction

    def inputs(self, split: str) -> Arrays:
        """Return the arrays of train, valid or test as {name: array}, all [examples, ...]."""
        raise NotImplementedError

    def inference(self, batch: Tensors, training: bool) -> "tf.Tensor":
        """Build the outputs for a batch: a tensor [batch, ...].

        batch: {name: tensor [batch, ...]}; training: whether dropout and the like are active.
        """
        raise NotImplementedError

    def loss(self, outputs: "tf.Tensor", batch: Tensors) -> "tf.Tensor":
        """Build the loss that training minimizes: a float32 scalar, the mean over the batch."""
        raise NotImplementedError

    def evaluation(self, outputs: "tf.Tensor", batch: Tensors) -> Tensors:
        """Build the metrics: {name: float32 tensor [batch]}, one value for each example."""
        raise NotImplementedError

    def predictions(self, outputs: "tf.Tensor") -> Tensors:
        """Build what --infer prints: {name: tensor [batch, ...]}."""
        return {"output": outputs}

    def summaries(self, batch: Tensors, outputs: "tf.Tensor", loss: "tf.Tensor") -> list:
        """Build further TensorBoard summaries of the first 1,000 valid examples: v1 summary ops."""
        return []

    def parse_input(self, text: str) -> Arrays:
        """Return what --input means, as {name: array [examples, ...]}; "" is a few examples."""
        if text:
            raise ConfigError(f"--input: {type(self).__name__} infers from examples of valid only")
        return {name: array[:10] for name, array in self.load("valid").items()}

    def report(self, folder: Path) -> list[str]:
        """Write images into the run's folder at its end; return lines to show."""
        return []

    @classmethod
    def settings(cls) -> tuple[Setting, ...]:
        """The tables of everything that can be set for this model."""
        own = {"max_iter": cls.max_iter, "eval_every": cls.eval_every}
        run = (s._replace(default=own.get(s.name, s.default)) for s in RUN_SETTINGS)
        return (*cls.hyperparameters, *run)

    @classmethod
    def get_random_config(cls, fixed_params: dict, seed: int) -> dict[str, Any]:
        """Draw the hyper-parameters for one trial: a pure function of its arguments."""
        stream = functools.partial(random_stream, seed)
        return random_config(cls.hyperparameters, fixed_params, stream)

    @classmethod
    def get_best_config(cls) -> dict[str, Any]:
        """The best known hyper-parameters, from models/best/<model>.json."""
        file = Path(__file__).parent / "best" / f"{cls.__name__}.json"
        if not file.exists():
            raise ConfigError(f"--best: there is no {file}; search and --promote write it")
        return read_json(file)["config"]

    def __init__(self, config):
        self.config = self.complete(config)
        self.splits = getattr(self, "splits", {})  # a second build shares those of the first
        self.compiled_loop, self.graph_sha256, self.step = None, None, 0
        device.prepare_device(self.config)
        self.graph = tf.Graph()
        examples = self.load("train")
        self.examples = len(next(iter(examples.values())))
        with self.graph.as_default(), repeatable.seeded(self.config["random_seed"]):
            self.build_graph(examples)
        check_hidden_state(self.graph)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    @functools.cached_property
    def session(self) -> "tf.compat.v1.Session":
        """The session, opened when it is first used, with the initial values of all variables."""
        session = tf.compat.v1.Session("", self.graph, device.session_config(self.config))
        try:
            session.run(self.initializers)
        except BaseException:  # for example, out of memory
            session.close()
            raise
        return session

    def close(self) -> None:
        """Free the session's memory, if one was opened."""
        if "session" in self.__dict__:
            self.session.close()

    @classmethod
    def complete(cls, config: dict) -> dict[str, Any]:
        """Complete and check a config; reads those of the runs that it names."""
        recorded = [recorded_config(config.get(n)) for n in ("result_dir", "from_checkpoint")]
        config = complete_config(cls.__name__, cls.settings(), config, *recorded)
        config["threads"] = config["threads"] or processors.count()
        return config

    def reconfigure(self, config: dict) -> None:
        """Start again with another learning rate or folder, in the existing graph and session."""
        self.config = self.complete(config) | {"jit": self.config["jit"]}
        self.init()

    def load(self, split: str) -> Arrays:
        """The arrays of a split, checked and read-only."""
        if split not in self.splits:
            names = None if split == "train" else self.load("train").keys()
            self.splits[split] = checked_inputs(split, self.inputs(split), names)
        return self.splits[split]

    @functools.cached_property
    def data_checksum(self) -> str:
        """SHA-256 over the arrays of train and valid, computed like weights_sha256."""
        splits = {split: self.load(split) for split in ("train", "valid")}
        return weights_sha256({f"{s}/{name}": a for s in splits for name, a in splits[s].items()})

    def build_graph(self, examples: Arrays) -> None:
        """Build placeholders for batches, outputs, loss, metrics, optimizer and saver."""
        preparation.build_graph(self, examples)

    def update(self, loss: "tf.Tensor") -> "tf.Operation":
        """Build one step of the optimizer along the gradients of a loss."""
        pairs = zip(tf.gradients(loss, self.variables), self.variables, strict=True)
        return self.optimizer.apply_gradients(pairs, global_step=self.global_step)

    def train_step(self, batch: Tensors) -> "tf.Tensor":
        """Build one training step: update the variables, return the loss before the update.

        A float32 scalar. A model with an unusual step overrides this.
        """
        scope = tf.compat.v1.get_variable_scope()
        with tf.compat.v1.variable_scope(scope, reuse=True):
            loss = self.loss(self.inference(batch, training=True), batch)
        with tf.control_dependencies([self.update(loss)]):
            return tf.identity(loss)

    def truncated_normal(self, name, shape, stddev, mean=0.0):
        """A float32 variable of random weights, which follow from random_seed and its name."""
        full_name = "/".join(filter(None, [tf.compat.v1.get_variable_scope().name, name]))

        def initializer(shape, dtype=tf.float32, partition_info=None):
            seed = [self.config["random_seed"], zlib.crc32(full_name.encode())]
            return tf.random.stateless_truncated_normal(shape, seed, mean, stddev, dtype)

        return tf.compat.v1.get_variable(name, shape, initializer=initializer)

    def dropout(self, values, rate, salt):
        """Dropout whose mask follows from random_seed, salt (a name for this layer) and step.

        With --nojit the masks are different: XLA has its own random number generator.
        """
        layer = zlib.crc32(salt.encode()) << 31 | self.config["random_seed"]
        seed = tf.stack([tf.constant(layer, tf.int64), tf.cast(self.global_step, tf.int64)])
        return tf.nn.experimental.stateless_dropout(values, rate, seed, rng_alg="philox")

    def init(self) -> None:
        """Give every variable its initial value: the same one for the same seed."""
        self.session.run(self.initializers)
        self.step = 0

    def prepare_steps(self) -> None:
        """Copy the training data to the device and compile the steps, without training."""
        if self.compiled_loop is None:
            self.compiled_loop, self.config["jit"] = preparation.compiled_loop(self)
            self.load("valid")  # its errors, too, come before training

    def learn_from_epoch(self, stop: int) -> np.ndarray:
        """Train on the next batches, up to step `stop` or for about a second.

        Returns the loss of each step on its own batch, float32 [steps]; Diverged if a value is not
        finite. A model with an unusual epoch overrides this.
        """
        seed, size = self.config["random_seed"], self.config["batch_size"]
        count = min(stop - self.step, self.compiled_loop.limit)
        rows = batch_rows(seed, self.step, count, self.examples, size)
        began = time.perf_counter()
        losses, finite = self.compiled_loop.run(self.session, rows, {self.lr: self.config["lr"]})
        self.compiled_loop.adapt(len(losses), time.perf_counter() - began)
        self.step += len(losses)
        if not (finite and np.isfinite(losses).all()):
            raise Diverged(losses)
        return losses

    def train(self, until: int | None = None, final: bool = True) -> loop.Result:
        """Train up to step max_iter (or pause at `until`) in a run folder; see training/loop.py.

        final: whether a complete run ends with the test split and the model's own report.
        """
        return loop.train(self, Run(self.config), until, final)

    def evaluate(self, split: str) -> dict[str, float]:
        """Average loss and metrics over all examples of train, valid, test or train_sample."""
        return evaluation.evaluate(self, split)

    def infer(self, inputs: Arrays) -> Arrays:
        """Return the predictions for examples with the names, dtypes and shapes of `inputs`."""
        return evaluation.infer(self, inputs)

    def weights(self) -> Arrays:
        """All saved variables, optimizer and global step included."""
        return self.session.run(self.saved)

    def save(self, checkpoints: Checkpoints) -> Arrays:
        """Write the files of a checkpoint. Returns the weights in it."""
        return checkpoints.write(self)

    def restore(self, step: int | str | None = None) -> int:
        """Load a checkpoint of result_dir: by number, "best", or the newest. Returns its step."""
        checkpoints = Checkpoints(self.config["result_dir"], self.config)
        checkpoints.load(self, checkpoints.find(step))
        return self.step
