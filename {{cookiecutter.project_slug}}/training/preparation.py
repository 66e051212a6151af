"""From a model to its graph, and to its compiled steps with the training data on the device."""

import contextlib
import itertools
import logging
import re

import numpy as np
import tensorflow as tf

from settings import ConfigError
from training import contract, device, optimizers, shares, variables, workers
from training.batches import checked_inputs, description, is_stored, without_examples
from training.collectives import build_sharing
from training.compilation import ANNOUNCED, check_order_of_sums, suitable
from training.digests import weights_sha256
from training.feeding import Feed
from training.messages import one_line
from training.provenance import OTHER_DATA, recorded_inputs
from training.repeatable import digest, first_difference, operations, seeded
from training.steps import CompiledLoop, check_hidden_state, chunk_steps

log = logging.getLogger(__name__)
UNLOADED = {"result_dir": None, "from_checkpoint": None, "step": None}  # a config's: from scratch
SAMPLED = 1000
compared = set()  # the classes of models whose second build was equal


def load(model, split: str) -> dict[str, np.ndarray]:
    """The arrays of a split, checked and read-only: {name: array [examples, ...]}."""
    if split not in model.splits:
        names = None if split == "train" else model.described["arrays"].keys()
        arrays = checked_inputs(split, model.inputs(split), names)
        if split == "train" and model.described not in (None, description(arrays)):
            raise ValueError(OTHER_DATA.format(model.config["result_dir"]))
        model.splits[split] = arrays
    return model.splits[split]


def data_checksum(model) -> str:
    """SHA-256 over the arrays of train and valid, computed like weights_sha256.

    Of a split above LARGE, or of records, over SAMPLED examples, evenly spaced, and their numbers.
    """
    found = {}
    for split in ("train", "valid"):
        arrays = model.load(split)
        if is_stored(arrays):
            rows = np.linspace(0, len(next(iter(arrays.values()))) - 1, SAMPLED).astype(np.int64)
            arrays = {name: array[rows] for name, array in arrays.items()} | {"rows": rows}
        found |= {f"{split}/{name}": array for name, array in arrays.items()}
    return weights_sha256(found)


def build(model) -> None:
    """Set up the process, look at the training data, and build the model's graph.

    The folder of a run says what its data looks like: nothing is loaded then.
    """
    device.prepare_device(model.config)
    model.graph, model.described = tf.Graph(), recorded_inputs(model.config["result_dir"])
    model.described = model.described or description(model.load("train"))
    model.examples = model.described["examples"]
    with model.graph.as_default(), seeded(model.config["random_seed"]):
        model.build_graph(without_examples(model.described))
    check_hidden_state(model.graph)


def build_graph(model, examples: dict[str, np.ndarray]) -> None:
    """Build evaluation first: it creates the variables, which the training steps reuse."""
    v1 = tf.compat.v1
    model.global_step = v1.train.create_global_step()
    model.lr = v1.placeholder(tf.float32, [], "lr")
    model.collective_keys = itertools.count(2)  # 1 is the cluster's own
    model.worker, model.replica = None, 0
    if model.config["nb_workers"] > 1:
        model.worker = v1.placeholder_with_default(np.int64(0), [], "worker")
    model.batch = {
        name: v1.placeholder(array.dtype, [None, *array.shape[1:]], name)
        for name, array in examples.items()
    }
    model.made = []
    with tf.name_scope("inference"), variables.recorded(model.made):
        outputs = model.inference(model.batch, training=False)
    contract.check_outputs(model, outputs)
    with tf.name_scope("loss"):
        model.evaluation_loss = model.loss(outputs, model.batch)
    with tf.name_scope("evaluation"):
        model.metrics = model.evaluation(outputs, model.batch)
    with tf.name_scope("predictions"):
        model.predicted = contract.named_predictions(model, model.predictions(outputs))
    model.needed = needed_inputs(model)
    contract.check_methods(model)
    model.variables = v1.trainable_variables()
    known = {id(v) for v in (model.global_step, *model.variables)}
    model.state = [v for v in v1.global_variables() if id(v) not in known]

    model.optimizer = optimizers.make_optimizer(model)
    gradients = gradients_of(model.evaluation_loss, model.variables)
    with tf.name_scope("watched"):
        model.watched_scalars = watched(model, gradients)
    update = contract.build_step(model)
    if all(gradient is not None for gradient in gradients) and not contract.has_own_step(model):
        with contextlib.suppress(Exception), tf.name_scope("update"):
            # On the layers above, for TensorBoard's graph page: a picture stops no training.
            update = model.update(model.evaluation_loss)
    with tf.name_scope("summaries"):
        own = model.summaries(model.batch, outputs, model.evaluation_loss)
        model.summary = v1.summary.merge(own) if own else None
    model.graph_page = [model.evaluation_loss, model.metrics, model.predicted, update]
    model.saver = v1.train.Saver(max_to_keep=None)
    model.saved = {v.op.name: v for v in v1.global_variables()}
    contract.check_saved(model)
    model.initializers = v1.global_variables_initializer()
    if model.config["nb_workers"] > 1:
        with tf.name_scope("workers"):
            model.sharing = build_sharing(model)


def needed_inputs(model) -> list[str]:
    """The names of the inputs that the predictions follow from."""
    found, left = set(), [tensor.op for tensor in model.predicted.values()]
    while left:
        operation = left.pop()
        if operation not in found:
            found.add(operation)
            left += [tensor.op for tensor in operation.inputs] + list(operation.control_inputs)
    return [name for name, tensor in model.batch.items() if tensor.op in found]


def session(model) -> "tf.compat.v1.Session":
    """The session, opened when it is first used, with the initial values of all variables."""
    if model.cluster:
        opened = model.cluster.open(model.graph)
    else:
        opened = tf.compat.v1.Session("", model.graph, device.session_config(model.config))
    try:
        opened.run(model.initializers)
    except BaseException:  # for example, out of memory
        opened.close()
        raise
    return opened


def gradients_of(loss, variables):
    """The gradients of the loss of an evaluation; None for a variable without one.

    All are None if an operation has no gradient: training may use others.
    """
    try:
        return optimizers.dense(tf.gradients(loss, variables, name="gradient_norm"))
    except LookupError:
        return [None] * len(variables)


def watched(model, gradients):
    """What is recorded at each evaluation beside loss and metrics: {tag: float32 scalar}."""
    found = {"training/learning_rate": optimizers.learning_rate(model)}
    if any(gradient is not None for gradient in gradients):
        found["training/gradient_norm"] = tf.linalg.global_norm(gradients)
    return found


def compiled_loop(model) -> tuple[CompiledLoop, str]:
    """Bring training data to the device and compile the steps, without training.

    Returns the loop and its --jit: what is given, or what suits the model and XLA can compile.
    """
    size, wanted = model.config["batch_size"], model.config["jit"]
    wanted = None if wanted == "short" else wanted
    if workers.is_shared(model):
        workers.check(model)
    if size > model.examples:
        raise ConfigError(f"--batch_size={size} is more than the {model.examples} training "
                          "examples")  # fmt: skip
    chosen, reason = (wanted, "") if wanted else suitable(model)
    if chosen != "off" or reason:  # it takes a while, or was not asked for
        log.info(ANNOUNCED[chosen] + (f", --jit={chosen}: {reason}" if reason else " ..."))
    if not model.config["data"]:
        model.config["data"] = "stream" if is_stored(model.load("train")) else "device"
    model.feed = build_feed(model)
    model.feed.rows(model.step, 1)  # brings the data to the device
    for jit in dict.fromkeys([chosen] if wanted else [chosen, "off"]):
        try:
            loop = build_loop(model, model.feed.variables, jit)
            if jit == "off":
                check_order_of_sums(model.graph, model.config)
            if not model.graph_sha256:  # no other loop is in the graph yet
                check_second_build(model, jit)
            if not model.cluster:  # this compiles, and trains nothing
                loop.run(model.session, np.zeros([0, size]), {model.lr: 0.0})
            elif jit == "step":  # what it assigns is set again when training starts
                model.session.run(model.alone, {model.lr: 0.0})
            return loop, jit
        except tf.errors.OpError as error:
            is_memory = isinstance(error, tf.errors.ResourceExhaustedError)
            if jit == "off" or wanted or is_memory:
                raise
            found = sorted(set(re.findall(r"No registered '(\w+)' OpKernel", error.message)))
            reason = f"it has no {' and no '.join(found)}" if found else one_line(error)
            log.info(f"XLA cannot compile these steps, training without (--jit=off): {reason}")


def build_feed(model):
    """Build variables for the training data; see training/feeding.py."""
    with model.graph.as_default(), tf.name_scope("training_data"):
        return Feed(model, chunk_steps(model.config["batch_size"] // model.config["nb_workers"]))


def build_loop(model, data, jit):
    """Build the loop over train_step, which reads the variables of the training arrays."""
    step, seed, saved = model.train_step, model.config["random_seed"], model.saved.values()
    size = model.config["batch_size"] // model.config["nb_workers"]
    with model.graph.as_default(), tf.name_scope("training"), seeded(seed):
        if workers.is_shared(model):
            step, jit = shares.train_step(model, jit), "off"
        loop = CompiledLoop(step, data, saved, size, jit)
    check_hidden_state(model.graph)
    return loop


def twin(model, **changes):
    """A second model with the same settings but for some, untrained; it shares the data."""
    second = object.__new__(type(model))
    second.splits = model.splits
    second.__init__(model.config | UNLOADED | changes)
    return second


def check_second_build(model, jit):
    """ValueError if a model and its steps differ when they are built again; once for each class.

    It costs as much as building a graph, and takes no memory for weights. The digest is for another
    process, in which hash(), the time or a process's number are different.
    """
    built = operations(model.graph)
    model.graph_sha256 = digest(built)
    if type(model) in compared:
        return
    second = twin(model)
    build_loop(second, build_feed(second).variables, jit)
    name = first_difference(built, operations(second.graph))
    if name:
        raise ValueError(
            f"{type(model).__name__} builds another graph the second time, first in {name}: it "
            "must follow from random_seed and the other settings, not from a clock or a generator "
            "such as np.random.default_rng(). Create layers of Keras in inference, which may keep "
            "them in self, or give each of them a seed"
        )
    compared.add(type(model))
