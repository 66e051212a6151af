"""Clipping, weight decay, warm-up and schedules do what their formulas say."""

import numpy as np
import pytest
import tensorflow as tf
from toy import Toy

from models import make_model
from settings import ConfigError
from training import optimizers
from training.loop import advance

LR = 0.5


def weights_after(steps, **config):
    """(the weights before, after so many steps): {name: array}."""
    with make_model({"model_name": "Line", "random_seed": 3, "lr": LR, "jit": "off"} | config) as m:
        for variable in m.variables:
            if variable.shape.rank == 1:  # biases are zero at first, which no decay would change
                variable.load(np.full(variable.shape, 0.5, np.float32), m.session)
        before = m.weights()
        for _ in advance(m, steps):
            pass
        return before, m.weights()


class Line(Toy):
    """Without dropout, so that the gradient follows from weights and batch alone."""

    def dropout(self, values, rate, salt):
        return values


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(make_model.__globals__["MODELS"], "Line", Line)


def length(changes):
    return float(np.sqrt(sum(np.square(array).sum() for array in changes.values())))


def changes(before, after):
    """What training added to each weight."""
    names = ("hidden/weights", "hidden/biases", "logits/weights", "logits/biases")
    return {name: after[name] - before[name] for name in names}


def test_a_longer_gradient_is_shortened_to_clip_norm_and_a_shorter_one_left():
    free = changes(*weights_after(1))
    norm = length(free) / LR
    clipped = changes(*weights_after(1, clip_norm=norm / 2))
    assert length(clipped) == pytest.approx(LR * norm / 2, rel=1e-4)
    for name, change in clipped.items():
        np.testing.assert_allclose(change, free[name] / 2, rtol=1e-3, atol=1e-7)
    longer = changes(*weights_after(1, clip_norm=norm * 2))
    assert length(longer) == pytest.approx(length(free), rel=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_weight_decay_takes_a_part_of_each_matrix_beside_the_gradient(optimizer):
    before, plain = weights_after(1, optimizer=optimizer)
    _, decayed = weights_after(1, optimizer=optimizer, weight_decay=0.1)
    for name in changes(before, plain):
        expected = LR * 0.1 * before[name] if before[name].ndim > 1 else 0.0
        if before[name].ndim > 1:
            assert np.abs(expected).max() > 0.001
        np.testing.assert_allclose(plain[name] - decayed[name], expected, rtol=1e-3, atol=1e-6)


def test_each_average_of_adam_decays_by_its_own_beta():
    gradient = -changes(*weights_after(1))["hidden/weights"] / LR
    _, after = weights_after(1, optimizer="adam", beta1=0.5, beta2=0.75)
    for slot, expected in [("Adam", 0.5 * gradient), ("Adam_1", 0.25 * gradient**2)]:
        (found,) = (a for name, a in after.items() if name.endswith(f"hidden/weights/{slot}"))
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-7)


class Table(Line):
    """Looks up rows of a table, some of them in many examples of a batch."""

    def inference(self, batch, training):
        ids = tf.cast(batch["points"][:, 0] > 0.5, tf.int32)
        return self.embedding("table", ids, 3, 2)


def test_a_row_that_many_examples_look_up_counts_once_for_clip_norm():
    config = {"random_seed": 3, "lr": LR, "jit": "loop"}
    found = []
    for clip_norm in (0.0, 0.01):
        with Table(config | {"clip_norm": clip_norm}) as model:
            before = model.weights()["table/weights"]
            for _ in advance(model, 1):
                pass
            found.append(model.weights()["table/weights"] - before)
    free, clipped = found
    assert np.linalg.norm(free) > 0.01 * LR
    assert np.linalg.norm(clipped) == pytest.approx(0.01 * LR, rel=1e-3)


def test_a_weight_without_a_gradient_does_not_decay(monkeypatch):
    def inference(self, batch, training):
        frozen = self.truncated_normal("frozen", [2, 2], 1.0)
        return Toy.inference(self, batch, training) + tf.stop_gradient(batch["points"] @ frozen)

    monkeypatch.setattr(Line, "inference", inference)
    before, after = weights_after(2, weight_decay=0.5)
    assert np.array_equal(before["frozen"], after["frozen"])
    assert not np.array_equal(before["hidden/weights"], after["hidden/weights"])


def rates(steps, **config):
    """The learning rates of the first steps."""
    config = {"random_seed": 1, "lr": LR, "jit": "off"} | config
    with Toy(config) as model, model.graph.as_default():
        rate, found = optimizers.learning_rate(model), []
        for step in range(steps):
            model.global_step.load(step, model.session)
            found.append(float(model.session.run(rate, {model.lr: LR})))
        return found


def test_the_learning_rate_grows_in_warm_up_and_falls_by_steps():
    assert rates(6, warmup_steps=4) == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.5, 0.5])
    stepped = rates(7, lr_schedule="step", decay_steps=3, decay_rate=0.1)
    assert stepped == pytest.approx([0.5, 0.5, 0.5, 0.05, 0.05, 0.05, 0.005])
    both = rates(5, lr_schedule="step", decay_steps=3, decay_rate=0.1, warmup_steps=2)
    assert both == pytest.approx([0.25, 0.5, 0.5, 0.05, 0.05])


def test_what_is_off_adds_nothing_to_the_graph():
    sizes = []
    for config in ({}, {"clip_norm": 1.0}, {"weight_decay": 0.1}, {"warmup_steps": 5}):
        with Toy({"random_seed": 1} | config) as model:
            sizes.append(len(model.graph.get_operations()))
    assert all(size > sizes[0] for size in sizes[1:])


def test_a_part_of_more_than_all_is_no_weight_decay():
    with pytest.raises(
        ConfigError, match="weight_decay=1.5 is not allowed: it must be from 0 to 1"
    ):
        Toy({"weight_decay": 1.5})
