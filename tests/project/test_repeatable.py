"""A model is the same whenever it is built, layers of Keras included, or it is refused."""

import random
import time

import numpy as np
import pytest
import tensorflow as tf
from runs import digests, train

from models import MODELS
from models.mnist import MNIST
from training import preparation
from training.digests import weights_sha256

FAKE = {"model_name": "MNIST", "hidden1": 16, "hidden2": 8, "fake_data": True}
OWN = {"hidden1": 16, "hidden2": 8, "fake_data": True, "lr": 0.05, "save_every": 20}


def images_of(batch):
    return tf.reshape(tf.cast(batch["images"], tf.float32) / 255, [-1, 784])


@pytest.fixture
def own():
    return FAKE | {"random_seed": 7}


@pytest.fixture
def keras_model(monkeypatch):
    """A model with a stack of Keras's layers, as its owner would write it."""

    class Stack(MNIST):
        def inference(self, batch, training):
            if not hasattr(self, "layers"):
                layers = tf.keras.layers
                self.layers = [layers.Dense(16, activation="relu"), layers.Dropout(0.3)]
                self.layers.append(layers.Dense(10))
            values = images_of(batch)
            for layer in self.layers:
                dropout = isinstance(layer, tf.keras.layers.Dropout)
                values = layer(values, training=training) if dropout else layer(values)
            return values

    monkeypatch.setitem(MODELS, "Stack", Stack)
    return Stack


def test_a_stack_of_keras_layers_follows_from_the_seed_and_resumes(keras_model, tmp_path):
    config = OWN | {"model_name": "Stack", "max_iter": 60, "optimizer": "adam"}
    folders = {name: str(tmp_path / name) for name in ("straight", "paused", "other")}
    train(config | {"random_seed": 3, "result_dir": folders["straight"]})
    train(config | {"random_seed": 3, "result_dir": folders["paused"]}, until=30)
    train({"result_dir": folders["paused"]})
    train(config | {"random_seed": 4, "result_dir": folders["other"]})
    straight, paused, other = (digests(tmp_path / name) for name in folders)
    assert paused.pop(30) and paused == straight
    assert not set(other.values()) & set(straight.values())


def test_layers_that_were_made_before_with_seeds_of_their_own_are_accepted(own):
    class Seeded(MNIST):
        def __init__(self, config):
            initializer = tf.keras.initializers.GlorotUniform(seed=1)
            self.layer = tf.keras.layers.Dense(10, kernel_initializer=initializer, name="only")
            super().__init__(config)

        def inference(self, batch, training):
            return self.layer(images_of(batch))

    with Seeded(own) as one, Seeded(own) as two:
        one.prepare_steps()
        assert weights_sha256(one.weights()) == weights_sha256(two.weights())


def drawn_by_keras(self, batch):
    return self.layer(images_of(batch))


def keras_layer():
    return tf.keras.layers.Dense(10, name="embedding")


@pytest.mark.parametrize(
    "make, use, name",
    [
        (keras_layer, lambda layer, v: layer(v), "inference/embedding/kernel/Initializer"),
        (random.random, lambda drawn, v: v[:, :10] * tf.constant(drawn, name="a"), "inference/a"),
        (time.perf_counter, lambda now, v: v[:, :10] + tf.constant(now, name="b"), "inference/b"),
        (
            lambda: next(COUNTER),
            lambda count, v: tf.nn.relu(v[:, :10], name=f"relu_{count}"),
            "inference/relu_",
        ),
    ],
    ids=["keras", "random", "time", "name"],
)
def test_what_is_drawn_before_the_graph_is_built_is_refused_by_name(own, make, use, name):
    class Hidden(MNIST):
        def __init__(self, config):
            self.drawn = make()
            super().__init__(config)

        def inference(self, batch, training):
            values = use(self.drawn, images_of(batch))
            return values + self.truncated_normal("bias", [10], stddev=1.0)

    for _ in range(2):  # not once only
        model = Hidden(own)
        with (
            model,
            pytest.raises(ValueError, match=f"Hidden builds another graph.*first in {name}.*seed"),
        ):
            model.prepare_steps()


COUNTER = iter(range(100))


def test_what_only_the_training_step_draws_is_refused_too(own):
    class Hidden(MNIST):
        def inference(self, batch, training):
            outputs = super().inference(batch, training)
            return outputs + time.perf_counter() if training else outputs

    with Hidden(own) as model, pytest.raises(ValueError, match=r"first in .*\badd"):
        model.prepare_steps()


def test_pythons_and_numpys_generators_follow_from_the_seed_and_are_left_as_they_were(own):
    class Drawing(MNIST):
        def inference(self, batch, training):
            self.drawn = [*vars(self).get("drawn", []), random.random(), np.random.rand()]
            return super().inference(batch, training)

    random.seed(1), np.random.seed(1)
    expected = random.random(), np.random.rand()
    random.seed(1), np.random.seed(1)
    drawn = []
    for seed in (7, 7, 8):
        with Drawing(own | {"random_seed": seed}) as model:
            model.prepare_steps()
            drawn.append(model.drawn)
    assert drawn[0] == drawn[1] and len(drawn[0]) == 6  # evaluation, and twice training
    assert not set(drawn[0]) & set(drawn[2])
    assert (random.random(), np.random.rand()) == expected


def test_two_builds_are_compared_once_for_a_class(own, monkeypatch):
    class Counted(MNIST):
        builds = 0

        def build_graph(self, examples):
            Counted.builds += 1
            super().build_graph(examples)

    for builds in (2, 3):
        with Counted(own) as model:
            model.prepare_steps()
        assert Counted.builds == builds
    assert Counted in preparation.compared


def lstm(self, batch, training):
    if not hasattr(self, "stack"):
        layers = tf.keras.layers
        self.stack = [layers.Embedding(256, 4), layers.LSTM(8), layers.Dense(10)]
    values = tf.cast(tf.reshape(batch["images"], [-1, 784])[:, ::98], tf.int32)
    for layer in self.stack:
        values = layer(values)
    return values


def convolution(self, batch, training):
    if not hasattr(self, "stack"):
        layers = tf.keras.layers
        self.stack = [layers.Conv2D(4, 5, strides=4), layers.BatchNormalization()]
        self.stack += [layers.Flatten(), layers.Dense(10)]
    values = tf.cast(batch["images"], tf.float32)[..., tf.newaxis]
    for layer in self.stack:
        values = layer(values)
    return values


def conditions_and_tables(self, batch, training):
    keys = tf.constant([1, 2], tf.int64)
    values = tf.lookup.KeyValueTensorInitializer(keys, tf.constant([1.0, 2.0]))
    table = tf.lookup.StaticHashTable(values, default_value=0.0)  # TensorFlow draws its name
    outputs = MNIST.inference(self, batch, training)
    doubled = tf.map_fn(lambda row: 2.0 * row, outputs)
    return tf.cond(outputs[0, 0] > 0, lambda: outputs, lambda: doubled) + table.lookup(keys[:1])


@pytest.mark.parametrize(
    "inference, jits",
    [
        (lstm, ["loop"]),  # without XLA the sums of an embedding do not repeat
        (convolution, ["loop", "off"]),
        (conditions_and_tables, [None, "off"]),  # XLA has no tables
    ],
)
def test_what_tensorflow_counts_or_draws_for_its_own_names_is_no_difference(own, inference, jits):
    model_class = type("Own", (MNIST,), {"inference": inference})
    for jit in jits:
        preparation.compared.discard(model_class)
        with model_class(own | {"jit": jit}) as model:
            model.prepare_steps()
            assert model_class in preparation.compared
