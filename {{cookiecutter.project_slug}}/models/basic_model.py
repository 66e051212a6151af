"""Everything that models have in common: graph, session, training, checkpoints, inference.

A model is a subclass in a file of its own. It says what it is with the four methods that raise
NotImplementedError here; models/mnist.py shows how.
"""

import copy
import time
import zlib
from pathlib import Path

import numpy as np
import tensorflow as tf

from models.config import RUN_SETTINGS, complete_config
from models.hyperparameters import ConfigError, random_config
from training import evaluation, loop, repeatable, threads
from training.batches import batch_rows, checked_inputs, fed
from training.checkpoints import Checkpoints, weights_sha256
from training.divergence import Diverged
from training.files import read_json
from training.run_folder import refuse_patterns
from training.steps import OPTIMIZERS, Steps, learning_rate, on_device, refuse_hidden_state


class BasicModel:
    """One model in its own graph and session: `with MNIST(config) as model: model.train()`."""

    hyperparameters = ()  # the model's table
    max_iter = 1000  # steps
    objective = ("loss", "min")  # what is best on valid, and in which direction

    def inputs(self, split):
        """Return the arrays of train, valid or test as {name: array}, all [examples, ...]."""
        raise NotImplementedError

    def inference(self, batch, training):
        """Build the outputs for a batch: a tensor [batch, ...].

        batch: {name: tensor [batch, ...]}; training: whether dropout and the like are at work.
        """
        raise NotImplementedError

    def loss(self, outputs, batch):
        """Build the loss that training makes small: a float32 scalar, the mean over the batch."""
        raise NotImplementedError

    def evaluation(self, outputs, batch):
        """Build the metrics: {name: float32 tensor [batch]}, one value for each example."""
        raise NotImplementedError

    def predictions(self, outputs):
        """Build what --infer prints: {name: tensor [batch, ...]}."""
        return {"output": outputs}

    def summaries(self, batch):
        """Build further TensorBoard summaries, pictures say: a list of v1 summary ops."""
        return []

    def parse_input(self, text):
        """Return what --input means, as {name: array [examples, ...]}; "" means a few examples."""
        if text:
            raise ConfigError(f"--input: {type(self).__name__} infers from examples of valid only")
        return {name: array[:10] for name, array in self.load("valid").items()}

    def report(self, folder):
        """Draw pictures into the run's folder at its end; return lines for the screen."""
        return []

    @classmethod
    def settings(cls):
        """The tables of everything that can be set for this model."""
        by_model = {"max_iter": cls.max_iter}
        run = [s._replace(default=by_model.get(s.name, s.default)) for s in RUN_SETTINGS]
        return (*cls.hyperparameters, *run)

    @classmethod
    def get_random_config(cls, fixed_params, seed):
        """Draw the hyper-parameters for one trial: a pure function of its arguments."""
        return random_config(cls.hyperparameters, fixed_params, seed)

    @classmethod
    def get_best_config(cls):
        """The best known hyper-parameters, from models/best/<model>.json."""
        file = Path(__file__).parent / "best" / f"{cls.__name__}.json"
        if not file.exists():
            raise ConfigError(f"--best: nothing is known to be best yet, there is no {file}")
        return read_json(file)["config"]

    def __init__(self, config):
        self.config = complete_config(type(self), copy.deepcopy(config))
        self.splits = getattr(self, "splits", {})  # a twin is given those that are there
        self.steps, self.step = None, 0
        threads.claim(self.config["threads"], gpus=self.config["device"] != "cpu")
        if not tf.compat.v1.resource_variables_enabled():
            raise ValueError(
                "tf.disable_v2_behavior() takes away the variables and loops that training needs; "
                "remove that line: graphs, sessions and placeholders work without it"
            )
        if self.config["deterministic"]:
            tf.config.experimental.enable_op_determinism()
        if self.config["device"] == "gpu" and not tf.config.list_physical_devices("GPU"):
            raise ConfigError("--device=gpu: TensorFlow sees no GPU here; use --device=auto")
        self.graph = tf.Graph()
        examples = self.load("train")
        with self.graph.as_default(), repeatable.seeded(self.config["random_seed"]):
            self.build_graph(examples)
        refuse_hidden_state(self.graph)
        self.session = tf.compat.v1.Session(graph=self.graph, config=self.session_config())
        self.init()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        """Give back the session's memory."""
        self.session.close()

    def reconfigure(self, config):
        """Start anew with another learning rate or folder, in the graph and session that exist."""
        self.config = complete_config(type(self), config) | {"jit": self.config["jit"]}
        self.init()

    def session_config(self):
        """One GPU's memory as it is needed, not all of it; no GPU with --device=cpu."""
        return tf.compat.v1.ConfigProto(
            gpu_options=tf.compat.v1.GPUOptions(allow_growth=True),
            device_count={"GPU": 0} if self.config["device"] == "cpu" else {},
            intra_op_parallelism_threads=self.config["threads"],
            inter_op_parallelism_threads=self.config["threads"],
        )

    def load(self, split):
        """The arrays of a split, checked and read-only."""
        if split not in self.splits:
            arrays = checked_inputs(split, self.inputs(split))
            if split != "train" and arrays.keys() != self.load("train").keys():
                names = f"{sorted(arrays)}, those of train {sorted(self.load('train'))}"
                raise ValueError(f"the inputs of {split} are {names}")
            self.splits[split] = arrays
        return self.splits[split]

    def data_checksum(self):
        """SHA-256 over the arrays of train and valid, laid out like weights_sha256."""
        arrays = {}
        for split in ("train", "valid"):
            arrays |= {f"{split}/{name}": array for name, array in self.load(split).items()}
        return weights_sha256(arrays)

    def build_graph(self, examples):
        """Build evaluation first: it makes the variables, which the training steps then find."""
        v1 = tf.compat.v1
        self.global_step = v1.train.create_global_step()
        self.lr = v1.placeholder(tf.float32, [], "lr")
        self.batch = {
            name: v1.placeholder(array.dtype, [None, *array.shape[1:]], name)
            for name, array in examples.items()
        }
        with tf.name_scope("inference"):
            outputs = self.inference(self.batch, training=False)
        with tf.name_scope("loss"):
            self.evaluation_loss = self.loss(outputs, self.batch)
        with tf.name_scope("evaluation"):
            self.metrics = self.evaluation(outputs, self.batch)
        evaluation.check(self)
        with tf.name_scope("predictions"):
            self.predicted = self.predictions(outputs)
        self.variables = v1.trainable_variables()

        self.optimizer = OPTIMIZERS[self.config["optimizer"]](
            lambda: learning_rate(self.config, self.lr, self.global_step)
        )
        # Never run: it makes the optimizer's slots here, not in the compiled function's own graph.
        with tf.name_scope("optimizer"):
            self.update(tf.add_n([tf.reduce_sum(tf.cast(v, tf.float32)) for v in self.variables]))

        with tf.name_scope("summaries"):
            own = self.summaries(self.batch)
            self.summary = v1.summary.merge(own) if own else None
        self.saver = v1.train.Saver(max_to_keep=None)
        self.saved = {v.op.name: v for v in v1.global_variables()}
        self.initializers = v1.global_variables_initializer()

    def update(self, loss):
        """Build one step of the optimizer against the gradients of a loss."""
        pairs = zip(tf.gradients(loss, self.variables), self.variables, strict=True)
        return self.optimizer.apply_gradients(pairs, global_step=self.global_step)

    def train_step(self, batch):
        """Build one training step: update the variables, return the loss before, float32 scalar.

        A model with an unusual step overrides this.
        """
        scope = tf.compat.v1.get_variable_scope()
        with tf.compat.v1.variable_scope(scope, reuse=True):
            loss = self.loss(self.inference(batch, training=True), batch)
        with tf.control_dependencies([self.update(loss)]):
            return tf.identity(loss)

    def truncated_normal(self, name, shape, stddev, mean=0.0):
        """A float32 variable of random weights: its values follow from random_seed and its name."""
        full_name = "/".join(filter(None, [tf.compat.v1.get_variable_scope().name, name]))

        def initializer(shape, dtype=tf.float32, partition_info=None):
            seed = [self.config["random_seed"], zlib.crc32(full_name.encode())]
            return tf.random.stateless_truncated_normal(shape, seed, mean, stddev, dtype)

        return tf.compat.v1.get_variable(name, shape, initializer=initializer)

    def dropout(self, values, rate, salt):
        """Dropout whose mask follows from random_seed, salt (a name for this layer) and step.

        Without XLA (--nojit) the masks are others altogether: the generators differ.
        """
        layer = zlib.crc32(salt.encode()) << 31 | self.config["random_seed"]
        seed = tf.stack([tf.constant(layer, tf.int64), tf.cast(self.global_step, tf.int64)])
        return tf.nn.experimental.stateless_dropout(values, rate, seed, rng_alg="philox")

    def init(self):
        """Give every variable its first value. The same seed gives the same values, every time."""
        self.session.run(self.initializers)
        self.step = 0

    def prepare_steps(self):
        """Bring the training data to the device and compile the steps, without training."""
        if self.steps is not None:
            return
        examples = self.load("train")
        count, size = len(next(iter(examples.values()))), self.config["batch_size"]
        if size > count:
            raise ConfigError(f"--batch_size={size} is more than the {count} training examples")
        self.examples = count
        data, fill, feed = self.build_data()
        self.session.run(fill, feed)
        wanted = self.config["jit"]
        for jit in [True, False] if wanted is None else [wanted]:
            try:
                steps = self.build_steps(data, jit)
                repeatable.refuse_another_build(self, jit)
                steps.run(self.session, np.zeros([0, size]), {self.lr: 0.0})
                break
            except tf.errors.OpError as error:
                memory = isinstance(error, tf.errors.ResourceExhaustedError)
                if jit is False or wanted is not None or memory:
                    raise
                reason = error.message.splitlines()[0]
                print(f"XLA cannot compile these steps, training without (--nojit): {reason}")
        self.steps, self.config["jit"] = steps, jit

    def build_data(self):
        """Build variables for the training arrays; see training/steps.py."""
        with self.graph.as_default(), tf.name_scope("training_data"):
            return on_device(self.load("train"))

    def build_steps(self, data, jit):
        """Build the loop over train_step, on the variables of the training arrays."""
        size, saved = self.config["batch_size"], self.saved.values()
        seeded = repeatable.seeded(self.config["random_seed"])
        with self.graph.as_default(), tf.name_scope("training"), seeded:
            steps = Steps(self.train_step, data, saved, size, jit)
        refuse_hidden_state(self.graph)
        return steps

    def learn_from_epoch(self, stop):
        """Train on the coming batches, up to step `stop` or for a second at most.

        Returns the loss of each step's own batch, float32 [steps]; Diverged if a value is not
        finite. A model with an unusual epoch overrides this.
        """
        seed, size = self.config["random_seed"], self.config["batch_size"]
        count = min(stop - self.step, self.steps.limit)
        rows = batch_rows(seed, self.step, count, self.examples, size)
        began = time.perf_counter()
        losses, finite = self.steps.run(self.session, rows, {self.lr: self.config["lr"]})
        self.steps.adapt(len(losses), time.perf_counter() - began)
        self.step += len(losses)
        if not (finite and np.isfinite(losses).all()):
            raise Diverged(losses)
        return losses

    def train(self, until=None, final=True):
        """Train up to step max_iter (or pause at `until`) in a run folder; see training/loop.py.

        final: whether a complete run ends with the test split and the model's own report.
        Returns {"status", "step", "loss", "valid": {...}, "test": {...}, "result_dir"}.
        """
        return loop.train(self, until, final)

    def evaluate(self, split):
        """Average loss and metrics over all examples of a split, as {name: float}."""
        return evaluation.evaluate(self, split)

    def infer(self, inputs):
        """Return the predictions for {name: array [examples, ...]}, as {name: array}.

        The arrays have names, dtypes and shapes as in `inputs`; ValueError names one that has not.
        """
        feed = fed(self.batch, inputs)
        try:
            return self.session.run(self.predicted, feed)
        except tf.errors.InvalidArgumentError as error:
            missing = [n for n in self.batch if f"tensor '{n}'" in error.message]
            if not missing:
                raise
            raise ValueError(f"the predictions need the input {missing[0]}, too") from None

    def weights(self):
        """All saved variables, optimizer and global step included, as {name: array}."""
        return self.session.run(self.saved)

    def save(self, checkpoints):
        """Write the files of a checkpoint. Returns the weights in it, as {name: array}."""
        weights = self.weights()
        if weights["global_step"] != self.step:
            raise ValueError("train_step must count: call self.update, or pass global_step")
        with self.graph.as_default():
            checkpoints.write(self.saver, self.session, self.step)
        return weights

    def restore(self, step=None):
        """Load a checkpoint of result_dir: by number, "best", or the newest. Returns its step."""
        path = Path(self.config["result_dir"])
        refuse_patterns(path.absolute())
        checkpoints = Checkpoints(path, self.config)
        self.load_checkpoint(checkpoints, checkpoints.find(step))
        return self.step

    def load_checkpoint(self, checkpoints, record):
        """Load the checkpoint of one line of checkpoints.jsonl."""
        checkpoints.refuse_misfit(record["step"], self.saved)
        with self.graph.as_default():
            self.saver.restore(self.session, checkpoints.prefix(record["step"]))
        self.step = record["step"]
