"""Variables and random numbers that follow from random_seed, a name and the step alone.

Nothing here keeps a state: the same call gives the same numbers in any process, at any time.
"""

import contextlib
import itertools
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from training.batches import model_rows


def full_name(name: str) -> str:
    """The name of a variable with the scopes around it."""
    return "/".join(filter(None, [tf.compat.v1.get_variable_scope().name, name]))


def truncated_normal(
    model, name: str, shape: list[int], stddev: float, mean: float = 0.0
) -> "tf.Variable":
    """A float32 variable of random weights, which follow from random_seed and its name.

    Normal, without values beyond two standard deviations.
    """

    def initializer(shape, dtype=tf.float32, partition_info=None):
        seed = [model.config["random_seed"], zlib.crc32(whole.encode())]
        return tf.random.stateless_truncated_normal(shape, seed, mean, stddev, dtype)

    whole = full_name(name)
    return tf.compat.v1.get_variable(name, shape, initializer=initializer)


def variable(
    model, name: str, shape: list[int], initializer: str = "glorot_uniform", **options
) -> "tf.Variable":
    """A float32 variable with an initializer of Keras, which follows from random_seed and its name.

    initializer: "glorot_uniform", "he_normal", "orthogonal", "random_uniform", "zeros" and so on;
    options: its arguments, such as minval. ValueError if there is no such initializer.
    """

    def initial(shape, dtype=tf.float32, partition_info=None):
        return chosen(shape, dtype)

    initializers = tf.keras.initializers
    if "seed" in initializers.get(initializer).get_config():
        whole = f"{model.config['random_seed']} {full_name(name)}"
        options = {"seed": zlib.crc32(whole.encode())} | options
    chosen = initializers.get({"class_name": initializer, "config": options})
    return tf.compat.v1.get_variable(name, shape, initializer=initial)


def dropout(model, values: "tf.Tensor", rate: float, salt: str) -> "tf.Tensor":
    """Dropout whose mask follows from random_seed, salt (a name for this layer), step and share.

    With --jit=off the masks are different: XLA has its own random number generator.
    """
    layer = zlib.crc32(salt.encode()) << 31 | model.config["random_seed"]
    seed = tf.stack([tf.constant(layer, tf.int64), number_of_share(model)])
    return tf.nn.experimental.stateless_dropout(values, rate, seed, rng_alg="philox")


def number_of_share(model) -> "tf.Tensor":
    """The step, int64; among workers or replicas a number for each one's share of its batch."""
    number, replicas = tf.cast(model.global_step, tf.int64), model.config["nb_replicas"]
    if model.config["nb_workers"] > 1:
        number = number * model.config["nb_workers"] + model.worker
    return number * replicas + model.replica if replicas > 1 else number


@contextlib.contextmanager
def recorded(made: list) -> Iterator[None]:
    """Add (name, variable) to a list for those that are made within it without get_variable.

    Keras's layers make such variables, and so does tf.Variable.
    """

    def creator(next_creator, **about):
        variable = next_creator(**about)
        if "collections" not in about:  # get_variable finds its own again, by their names
            made.append((about["name"], variable))
        return variable

    with tf.variable_creator_scope(creator):
        yield


@contextlib.contextmanager
def reused(model) -> Iterator[None]:
    """Within it, inference makes nothing new: get_variable gives the variables that are there by
    name, and Keras's layers and tf.Variable are given those of the first call, in order.

    ValueError names a variable that the first call did not make.
    """
    left = iter(model.made)

    def creator(next_creator, **about):
        if "collections" in about:
            return next_creator(**about)
        name, variable = next(left, (None, None))
        shape = about.get("shape") or getattr(about["initial_value"], "shape", None)
        is_same = variable is not None and name == about["name"]
        if not (is_same and variable.shape.is_compatible_with(tf.TensorShape(shape))):
            raise ValueError(
                f"{type(model).__name__}.inference makes the variable {about['name']} only when "
                "training: it is called for evaluation first, and must make every variable then"
            )
        return variable

    scope = tf.compat.v1.get_variable_scope()
    with tf.compat.v1.variable_scope(scope, reuse=True), tf.variable_creator_scope(creator):
        yield


def make_default(model) -> None:
    """Make a model's graph and session the default ones, until model.defaults is closed."""
    if model.defaults:
        raise ValueError("a model's block is within another block of the same model")
    graph, session = model.graph.as_default(), model.session.as_default()
    model.defaults = contextlib.ExitStack()
    model.defaults.enter_context(graph)
    model.defaults.enter_context(session)


@contextlib.contextmanager
def outside(model) -> Iterator[None]:
    """Within it, the model's graph and session are not the default ones: TensorFlow is eager."""
    if model.defaults and tf.compat.v1.get_default_graph() is not model.graph:
        raise ValueError("leave the block of the other model or graph first")
    defaults, model.defaults = model.defaults, None
    if defaults:
        defaults.close()
    try:
        yield
    finally:
        if defaults:
            make_default(model)


@contextlib.contextmanager
def eager(model) -> Iterator[dict[str, Any]]:
    """`with model.eager() as batch`: within it, the model's methods can be called step by step.

    batch is the next batch of training, {name: tensor}. Results are ordinary values, and variables
    have those of the model: for debugging. Layers of Keras that are kept in self belong to the
    graph, and cannot be called.
    """
    with outside(model):
        if not tf.executing_eagerly():
            raise ValueError("eager() needs eager execution: it is off, or a graph is the default")
        weights = model.weights()
        made = itertools.cycle(model.made)  # without get_variable: the same ones at each call
        (rows,) = model_rows(model, model.step, 1)
        batch = {name: tf.constant(array[rows]) for name, array in model.load("train").items()}

        def with_its_value(next_creator, **about):
            name = about["name"] if "collections" in about else next(made)[1].op.name
            return next_creator(**about | {"initial_value": np.asarray(weights[name])})

        in_graph = model.global_step, model.worker
        model.global_step, model.worker = tf.constant(model.step, tf.int64), np.int64(0)
        try:
            with tf.variable_creator_scope(with_its_value):
                yield batch
        finally:
            model.global_step, model.worker = in_graph
