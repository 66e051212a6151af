"""What is not finite any more ends a run before the update that made it so."""

import numpy as np
import pytest
import tensorflow as tf
from runs import digests, metrics, read

from models.basic_model import BasicModel
from settings import optimization
from training.batches import batch_rows
from training.digests import weights_sha256


class Overflow(BasicModel):
    """One weight, from 1 downwards or upwards; what overflows is the subclass's."""

    hyperparameters = optimization(lr=0.1, batch_size=8, decay_steps=10)
    max_iter = 100

    def inputs(self, split):
        return {"x": np.ones(16, np.float32)}

    def inference(self, batch, training):
        one = tf.ones_initializer()
        return tf.compat.v1.get_variable("weight", [], initializer=one) * batch["x"]

    def evaluation(self, outputs, batch):
        return {"output": outputs}


class InTheLoss(Overflow):
    def loss(self, outputs, batch):
        return tf.reduce_mean(tf.exp(10 * outputs) * -1.0)


class InTheLossAlone(Overflow):
    """The logarithm of 0, where the weight gets in steps of 1/8, without its gradient."""

    def loss(self, outputs, batch):
        output = tf.reduce_mean(outputs)
        return output - tf.stop_gradient(tf.math.log(output))


class InTheGradient(Overflow):
    """The root of 0 is 0, its slope is not finite: the weight gets there in steps of 1/8."""

    def loss(self, outputs, batch):
        return tf.reduce_mean(tf.sqrt(tf.square(outputs)))


class InTheOptimizer(Overflow):
    """The square of a gradient of 1e25, which adam averages, is beyond float32."""

    def loss(self, outputs, batch):
        return tf.reduce_mean(outputs) * 1e25


@pytest.mark.parametrize(
    "model_class, settings, loss, norm, variable",
    [
        (InTheLoss, {}, "-inf", "inf", "the loss|weight"),
        (InTheLossAlone, {"lr": 0.125}, "inf", "1", "the loss"),
        (InTheGradient, {"lr": 0.125}, "0", "nan|inf", "weight"),
        (InTheOptimizer, {"optimizer": "adam"}, "1e+25", "1e+25", "weight/Adam_1"),
    ],
)
def test_a_run_ends_with_the_weights_before(tmp_path, model_class, settings, loss, norm, variable):
    settings |= {"result_dir": str(tmp_path / "run"), "random_seed": 1, "debug": True}
    settings["log_every"] = 1
    with model_class(settings) as model:
        result = model.train()
        last = weights_sha256(model.weights())
        assert all(np.isfinite(array).all() for array in model.weights().values())
    status = read(tmp_path / "run", "status.json")
    details = status["details"]
    assert result["status"] == status["status"] == "diverged"
    assert details["bad_step"] == status["step"] + 1
    assert details["loss"] == loss
    assert details["gradient_norm"] in norm.split("|")
    assert details["variable"] in variable.split("|")
    assert details["batch"] == batch_rows(1, status["step"], 1, 16, 8)[0].tolist()
    assert digests(tmp_path / "run")[status["step"]] == last
    records = [r for r in metrics(tmp_path / "run") if r["split"] == "train"]
    assert [r["step"] for r in records] == list(range(1, status["step"] + 1))
    assert all(r["loss"] is not None for r in records)
    if model_class is not InTheOptimizer:  # whose forward and backward pass are finite
        assert details["operation"].startswith("diverged/")


def test_a_run_that_stays_finite_is_left_alone(tmp_path):
    with InTheGradient({"result_dir": str(tmp_path / "run"), "lr": 0.1}) as model:
        assert model.train()["status"] == "complete"
