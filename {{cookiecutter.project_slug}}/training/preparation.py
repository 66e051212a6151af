"""From a model to its graph, and to its compiled steps with the training data on the device."""

import logging

import numpy as np
import tensorflow as tf

from settings import ConfigError
from training import evaluation
from training.repeatable import digest, first_difference, operations, seeded
from training.steps import (
    OPTIMIZERS,
    CompiledLoop,
    check_hidden_state,
    learning_rate,
    on_device,
)

log = logging.getLogger(__name__)
compared = set()  # the classes of models whose second build was equal


def build_graph(model, examples: dict[str, np.ndarray]) -> None:
    """Build evaluation first: it creates the variables, which the training steps reuse."""
    v1 = tf.compat.v1
    model.global_step = v1.train.create_global_step()
    model.lr = v1.placeholder(tf.float32, [], "lr")
    model.batch = {
        name: v1.placeholder(array.dtype, [None, *array.shape[1:]], name)
        for name, array in examples.items()
    }
    with tf.name_scope("inference"):
        outputs = model.inference(model.batch, training=False)
    with tf.name_scope("loss"):
        model.evaluation_loss = model.loss(outputs, model.batch)
    with tf.name_scope("evaluation"):
        model.metrics = model.evaluation(outputs, model.batch)
    evaluation.check(model)
    with tf.name_scope("predictions"):
        model.predicted = model.predictions(outputs)
    model.variables = v1.trainable_variables()

    model.optimizer = OPTIMIZERS[model.config["optimizer"]](
        lambda: learning_rate(model.config, model.lr, model.global_step), model.config
    )
    # Never run: it creates the optimizer's slots here, not in the compiled function's graph.
    with tf.name_scope("optimizer"):
        model.update(tf.add_n([tf.reduce_sum(tf.cast(v, tf.float32)) for v in model.variables]))

    with tf.name_scope("summaries"):
        own = model.summaries(model.batch)
        model.summary = v1.summary.merge(own) if own else None
    model.saver = v1.train.Saver(max_to_keep=None)
    model.saved = {v.op.name: v for v in v1.global_variables()}
    model.initializers = v1.global_variables_initializer()


def compiled_loop(model) -> tuple[CompiledLoop, bool]:
    """Copy the training data to the device and compile the steps, without training.

    Returns the loop, and whether XLA has compiled it: if --jit is not given, XLA is tried first.
    """
    size, wanted = model.config["batch_size"], model.config["jit"]
    if size > model.examples:
        raise ConfigError(
            f"--batch_size={size} is more than the {model.examples} training examples"
        )
    if wanted is not False:
        log.info("Compiling the training steps ...")
    data, fill, feed = build_data(model)
    model.session.run(fill, feed)
    for jit in [True, False] if wanted is None else [wanted]:
        try:
            loop = build_loop(model, data, jit)
            if not model.graph_sha256:  # XLA is tried first: no other loop is in the graph yet
                check_second_build(model, jit)
            loop.run(
                model.session, np.zeros([0, size]), {model.lr: 0.0}
            )  # compiles, trains nothing
            return loop, jit
        except tf.errors.OpError as error:
            is_memory = isinstance(error, tf.errors.ResourceExhaustedError)
            if jit is False or wanted is not None or is_memory:
                raise
            reason = error.message.splitlines()[0]
            log.info(f"XLA cannot compile these steps, training without (--nojit): {reason}")


def build_data(model):
    """Build variables for the training arrays; see training/steps.py."""
    with model.graph.as_default(), tf.name_scope("training_data"):
        return on_device(model.load("train"))


def build_loop(model, data, jit):
    """Build the loop over train_step, which reads the variables of the training arrays."""
    size, saved = model.config["batch_size"], model.saved.values()
    seed = model.config["random_seed"]
    with model.graph.as_default(), tf.name_scope("training"), seeded(seed):
        loop = CompiledLoop(model.train_step, data, saved, size, jit)
    check_hidden_state(model.graph)
    return loop


def check_second_build(model, jit):
    """ValueError if a model and its steps differ when they are built again; once for each class.

    It costs as much as building a graph, and takes no memory for weights. The digest is for another
    process, in which hash(), the time or a process's number are different.
    """
    built = operations(model.graph)
    model.graph_sha256 = digest(built)
    if type(model) in compared:
        return
    second = object.__new__(type(model))
    second.splits = model.splits
    second.__init__(model.config)
    build_loop(second, build_data(second)[0], jit)
    name = first_difference(built, operations(second.graph))
    if name:
        raise ValueError(
            f"{type(model).__name__} builds another graph the second time, first in {name}: it "
            "must follow from random_seed and the other settings, not from a clock or a generator "
            "such as np.random.default_rng(). Create layers of Keras in inference, which may keep "
            "them in self, or give each of them a seed"
        )
    compared.add(type(model))
