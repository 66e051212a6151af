"""The layers of models/layers.py compute what Keras's compute, and resume to equal bits."""

import numpy as np
import pytest
import tensorflow as tf
from bits import MNIST
from runs import digests, train
from toy import Toy

from models import MODELS, make_model
from models.layers import STDDEV
from training.digests import weights_sha256
from training.verification import verify

RANDOM = np.random.Generator(np.random.Philox(key=4))
SEQUENCES = RANDOM.normal(size=[3, 5, 4]).astype(np.float32)
IMAGES = RANDOM.normal(size=[2, 7, 7, 3]).astype(np.float32)
LAYERS = tf.keras.layers
# {name: (a layer of ours, of Keras, inputs)}
PAIRS = {
    "dense": (lambda m, x: m.dense("n", x, 6), lambda: LAYERS.Dense(6), SEQUENCES),
    "conv": (
        lambda m, x: m.conv("n", x, 4, 3),
        lambda: LAYERS.Conv2D(4, 3, padding="same"),
        IMAGES,
    ),
    "strided": (
        lambda m, x: m.conv("n", x, 4, 3, strides=2),
        lambda: LAYERS.Conv2D(4, 3, strides=2, padding="same"),
        IMAGES,
    ),
    "max_pool": (lambda m, x: m.max_pool(x), lambda: LAYERS.MaxPool2D(padding="same"), IMAGES),
    "embedding": (
        lambda m, x: m.embedding("n", x, 9, 5),
        lambda: LAYERS.Embedding(9, 5),
        np.arange(8).reshape(2, 4),
    ),
    "lstm": (
        lambda m, x: m.recurrent("n", x, 6, "lstm"),
        lambda: LAYERS.LSTM(6, return_sequences=True),
        SEQUENCES,
    ),
    "gru": (
        lambda m, x: m.recurrent("n", x, 6, "gru"),
        lambda: LAYERS.GRU(6, return_sequences=True),
        SEQUENCES,
    ),
}


@pytest.fixture
def model():
    """A model that makes variables: its own graph is not used."""
    return MNIST({"fake_data": True, "random_seed": 5})


def as_keras_has_them(name, found):
    """Our variables, {name: array}, in the order of Keras's layer. Its gates may be in another."""
    arrays = [found[n] for n in sorted(found, key=lambda n: (n.endswith("biases"), n))]
    if name == "lstm":  # the forget gate's 1, which Keras adds to its biases at the start
        biases = arrays[-1].copy()
        biases[6:12] += 1
        order = np.r_[0:12, 18:24, 12:18]  # ours: i, f, o, new; Keras's: i, f, new, o
        return [array[..., order] for array in (*arrays[:-1], biases)]
    if name == "gru":  # a second row of biases, which ours does not have
        return [*arrays[:-1], np.stack([arrays[-1], np.zeros_like(arrays[-1])])]
    return arrays


@pytest.mark.parametrize("name", PAIRS)
def test_a_layer_computes_what_that_of_keras_computes(model, name):
    ours, make, inputs = PAIRS[name]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        outputs = ours(model, tf.constant(inputs))
        variables = tf.compat.v1.global_variables()
        session.run(tf.compat.v1.global_variables_initializer())
        for variable in variables:  # no zeros, so that each of them matters
            variable.load(RANDOM.normal(size=variable.shape).astype(np.float32), session)
        found = {v.op.name: session.run(v) for v in variables}
        outputs = session.run(outputs)
    layer = make()
    layer.build(inputs.shape)
    layer.set_weights(as_keras_has_them(name, found))
    expected = layer(inputs).numpy()
    assert outputs.shape == expected.shape
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    if found:  # the control: other weights are seen
        layer.set_weights([array + 0.1 for array in layer.get_weights()])
        assert not np.allclose(outputs, layer(inputs), rtol=1e-2)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_computes_what_that_of_keras_computes_and_moves_its_averages(model, training):
    layer = LAYERS.BatchNormalization(momentum=0.99, epsilon=1e-3)
    expected = layer(IMAGES, training=training).numpy()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        outputs = model.batch_norm("n", tf.constant(IMAGES), training)
        session.run(tf.compat.v1.global_variables_initializer())
        np.testing.assert_allclose(session.run(outputs), expected, rtol=1e-4, atol=1e-5)
        found = {v.op.name: session.run(v) for v in tf.compat.v1.global_variables()}
        trained = [variable.op.name for variable in tf.compat.v1.trainable_variables()]
    np.testing.assert_allclose(found["n/mean"], layer.moving_mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["n/variance"], layer.moving_variance, rtol=1e-4)
    assert np.any(found["n/mean"] != 0) == training
    assert trained == ["n/offset", "n/scale"]


def test_first_weights_have_the_spread_of_their_initializer(model):
    for name, stddev in STDDEV.items():
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            model.dense(name, tf.zeros([1, 300]), 200, name)
            weights, biases = tf.compat.v1.global_variables()
            session.run(tf.compat.v1.global_variables_initializer())
            spread = 0.8796 * stddev(300, 200)  # of a normal distribution without its tails
            assert np.std(session.run(weights)) == pytest.approx(spread, rel=0.02)
            assert not session.run(biases).any()


class EveryLayer(MNIST):
    def inputs(self, split):
        return {name: array[:200] for name, array in super().inputs(split).items()}

    def inference(self, batch, training):
        images = tf.cast(batch["images"], tf.float32) / 255
        filtered = self.conv("conv", images[..., tf.newaxis], 4, 5, strides=2)
        filtered = self.max_pool(tf.nn.relu(self.batch_norm("norm", filtered, training)))
        read = self.recurrent("lstm", images[:, ::4], 8)[:, -1]
        read += self.recurrent("gru", images[:, ::4], 8, "gru")[:, -1]
        looked_up = self.embedding("table", tf.cast(batch["images"][:, 14, ::4], tf.int32), 256, 4)
        parts = (tf.reshape(filtered, [-1, 7 * 7 * 4]), read, tf.reshape(looked_up, [-1, 28]))
        return self.dense("logits", tf.concat(parts, axis=1), 10)


# Without XLA an embedding does not repeat. Compiling the loop takes longest.
@pytest.mark.parametrize("jit", [pytest.param("loop", marks=pytest.mark.slow), "step"])
def test_a_model_of_all_layers_learns_and_resumes_to_the_same_bits(tmp_path, monkeypatch, jit):
    monkeypatch.setitem(MODELS, "EveryLayer", EveryLayer)
    config = {"model_name": "EveryLayer", "fake_data": True, "random_seed": 1, "max_iter": 12}
    config |= {"lr": 0.1, "jit": jit, "save_every": 6, "batch_size": 20}
    straight, paused = (str(tmp_path / name) for name in ("straight", "paused"))
    with EveryLayer(config | {"result_dir": straight}) as model:
        before = model.evaluate("train")["loss"]
        result = model.train()
        assert model.evaluate("train")["loss"] < before and result["status"] == "complete"
        assert weights_sha256(model.weights()) == digests(tmp_path / "straight")[12]
    train(config | {"result_dir": paused}, until=5)
    train({"result_dir": paused})
    found, expected = digests(tmp_path / "paused"), digests(tmp_path / "straight")
    assert found.pop(5) and found == expected
    with EveryLayer(config | {"random_seed": 2}) as other:
        assert weights_sha256(other.weights()) != expected[0]


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_every_optimizer_trains_a_table_with_xla(optimizer):
    with EveryLayer({"fake_data": True, "optimizer": optimizer, "lr": 0.01}) as model:
        model.prepare_steps()
        assert model.config["jit"] != "off"


WRONG = {
    "dense 'n' takes float32 values, not uint8; cast": lambda m: m.dense("n", BYTES, 3),
    "dense 'n': values of shape (4,) have no last axis; give": lambda m: m.dense("n", VECTOR, 3),
    "conv 'n' takes float32 values": lambda m: m.conv("n", BYTES, 3, 5),
    "layers know no 'he_normal'; there are lecun, glorot, he": lambda m: m.dense(
        "n", tf.constant(SEQUENCES), 3, "he_normal"
    ),
    "layers know no 'LSTM'; there are gru, lstm": lambda m: m.recurrent(
        "n", tf.constant(SEQUENCES), 3, "LSTM"
    ),
}
BYTES, VECTOR = tf.zeros([2, 2], tf.uint8), tf.zeros([4])


@pytest.mark.parametrize("message", WRONG)
def test_wrong_values_and_words_are_named_with_the_layer(model, message):
    with tf.Graph().as_default(), pytest.raises(ValueError) as raised:
        WRONG[message](model)
    assert str(raised.value).startswith(message)


def test_looking_for_what_diverged_leaves_moving_averages_as_they_were(tmp_path, monkeypatch):
    class Diverging(Toy):
        def inference(self, batch, training):
            hidden = self.batch_norm("norm", self.dense("hidden", batch["points"], 4), training)
            return self.dense("logits", hidden, 2)

        def loss(self, outputs, batch):
            factor = tf.where(self.global_step < 7, 1.0, np.inf)
            return super().loss(outputs, batch) * factor

    monkeypatch.setitem(MODELS, "Diverging", Diverging)
    config = {"model_name": "Diverging", "random_seed": 1, "max_iter": 20, "save_every": 5}
    folder = str(tmp_path / "run")
    assert train(config | {"result_dir": folder, "eval_every": 20})["status"] == "diverged"
    with make_model({"result_dir": folder}) as model:
        verdict = verify(model)
    assert verdict.equal and len(digests(tmp_path / "run")) == 3, verdict.lines
