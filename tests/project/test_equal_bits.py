"""Speed and interruptions never change results: equal digests mean equal runs.

Beside every equality stands a negative control: a change that must be seen.
"""

import numpy as np
import pytest
import tensorflow as tf
from toy import Toy

from models import make_model
from training import batches
from training.digests import weights_sha256
from training.loop import advance

STEPS = 120


def train(model, steps=STEPS, chunk=None):
    """Train without a run folder, in chunks of a given length. Returns weights_sha256."""
    with model:
        model.prepare_steps()
        if chunk:
            loop = model.compiled_loop
            loop.adapt = lambda count, seconds: setattr(loop, "limit", chunk)
        for _ in advance(model, steps):
            pass
        return weights_sha256(model.weights())


@pytest.fixture(scope="module")
def dropout_config():
    return {"random_seed": 7, "lr": 0.01}


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(small):
    first = train(make_model(small))
    assert train(make_model(small)) == first
    assert train(make_model(small | {"random_seed": 8})) != first


def test_seed_zero_is_a_seed_like_any_other(small):
    model = make_model(small | {"random_seed": 0})
    assert model.config["random_seed"] == 0
    model.close()


@pytest.mark.parametrize(
    "optimizer, jit",
    [("sgd", "loop"), ("momentum", "loop"), ("adam", "loop"), ("adam", "step"), ("adam", "off")],
)
def test_any_chunk_length_gives_the_same_weights(dropout_config, optimizer, jit):
    config = dropout_config | {"optimizer": optimizer, "jit": jit}
    assert len({train(Toy(config), chunk=chunk) for chunk in (1, 7, STEPS)}) == 1


def test_the_loss_of_a_step_is_its_own_whatever_chunk_it_is_in(small):
    losses = {}
    for stops in ([STEPS], [1, 50, 70, STEPS], [60, STEPS]):
        with make_model(small) as model:
            model.prepare_steps()
            found, model.compiled_loop.limit = [], STEPS
            for stop in stops:
                for chunk in advance(model, stop):
                    found += chunk.tolist()
            losses[len(stops)] = found
    assert losses[1] == losses[2] == losses[4]
    assert len(losses[1]) == len(set(losses[1])) == STEPS


def test_another_batch_order_would_be_seen(dropout_config, monkeypatch):
    right = train(Toy(dropout_config))
    order = batches.epoch_order
    monkeypatch.setattr(batches, "epoch_order", lambda *a: np.roll(order(*a), 1))
    assert train(Toy(dropout_config)) != right


def test_another_dropout_mask_would_be_seen(dropout_config, monkeypatch):
    right = train(Toy(dropout_config))
    original = Toy.dropout
    monkeypatch.setattr(
        Toy, "dropout", lambda self, values, rate, salt: original(self, values, rate, "other")
    )
    assert train(Toy(dropout_config)) != right


def test_dropout_differs_from_step_to_step_and_from_layer_to_layer(dropout_config):
    with Toy(dropout_config) as model, model.graph.as_default():
        masks = [model.dropout(tf.ones([1000]), 0.5, salt) for salt in ("a", "b")]
        at_0 = model.session.run(masks)
        again = model.session.run(masks)
        model.global_step.load(1, model.session)
        at_1 = model.session.run(masks)
    assert np.array_equal(at_0, again)
    for one, other in [(at_0[0], at_0[1]), (at_0[0], at_1[0]), (at_0[1], at_1[1])]:
        assert 400 < np.sum((one > 0) != (other > 0)) < 600


def test_epochs_shorter_than_a_chunk_and_remainders_are_stepped_through_alike():
    config = {"random_seed": 1, "batch_size": 25}  # 2 steps an epoch, 10 of 60 points left out
    assert len({train(Toy(config), chunk=chunk) for chunk in (1, 3, 100)}) == 1


def test_initialising_twice_gives_the_same_weights(small):
    with make_model(small) as model:
        first = weights_sha256(model.weights())
        model.init()
        assert weights_sha256(model.weights()) == first
        model.prepare_steps()
        model.learn_from_epoch(1)
        assert weights_sha256(model.weights()) != first


def test_first_weights_follow_from_the_name_and_not_from_what_else_is_there(small):
    class Wider(Toy):
        def inference(self, batch, training):
            self.truncated_normal("another", [3], stddev=1.0)
            return super().inference(batch, training)

    with make_model(small) as plain, Wider(small | {"model_name": "Wider"}) as wider:
        name = "hidden/weights"
        assert np.array_equal(plain.weights()[name], wider.weights()[name])
        assert not np.array_equal(
            plain.weights()["logits/weights"][:2], plain.weights()[name][:, :2]
        )


def test_random_operations_with_hidden_state_are_refused(small):
    class Hidden(Toy):
        def inference(self, batch, training):
            return super().inference(batch, training) + tf.random.normal([2])

    class NoInitializer(Toy):
        def inference(self, batch, training):
            tf.compat.v1.get_variable("forgotten", [3])
            return super().inference(batch, training)

    class HiddenInTraining(Toy):
        def inference(self, batch, training):
            outputs = super().inference(batch, training)
            return tf.nn.dropout(outputs, 0.5) if training else outputs

    class Sampler(Toy):
        def inference(self, batch, training):
            sampled = tf.random.uniform_candidate_sampler([[1]], 1, 5, True, 10)[0]
            return super().inference(batch, training) + tf.cast(sampled[0], tf.float32)

    class Python(Toy):
        def inference(self, batch, training):
            random = tf.ensure_shape(tf.numpy_function(np.random.rand, [], tf.float64), [])
            return super().inference(batch, training) + tf.cast(random, tf.float32)

    for model_class in (Hidden, Sampler, Python):
        with pytest.raises(ValueError, match="hidden state.*stateless|calls Python"):
            model_class(small)
    with pytest.raises(ValueError, match="forgotten.*initializer"):
        NoInitializer(small)
    with pytest.raises(ValueError, match="hidden state"), HiddenInTraining(small) as model:
        model.prepare_steps()


def test_an_array_that_its_caller_changes_later_changes_nothing(small):
    arrays = {}

    class Shared(Toy):
        def inputs(self, split):
            own = {name: array.copy() for name, array in super().inputs(split).items()}
            arrays[split] = own
            return {name: array[:] for name, array in own.items()}

    right = train(Shared(small))
    model = Shared(small)
    model.prepare_steps()
    arrays["train"]["points"][:] = 0
    assert train(model) == right
    assert model.load("train")["points"].any()
