"""Several devices of one process share its batches; here they are devices of the processor."""

import numpy as np
import pytest
import tensorflow as tf
from runs import digests, metrics
from toy import Toy

import models
from models import ConfigError, make_model
from training import optimizers

LINE = {"model_name": "LinearRegression", "random_seed": 3, "max_iter": 60, "log_every": 10,
        "eval_every": 20, "save_every": 20, "jit": "off", "lr": 0.01}  # fmt: skip


def trained(folder, config, **options):
    """Train in a folder. Returns (digests, losses of all records)."""
    with make_model(config | {"result_dir": str(folder)}) as model:
        model.train(**options)
    return digests(folder), [record["loss"] for record in metrics(folder)]


@pytest.mark.parametrize("count", [2, 5])
def test_replicas_lose_what_one_device_loses_up_to_the_order_of_sums(count, tmp_path):
    one, losses = trained(tmp_path / "one", LINE)
    several, others = trained(tmp_path / "several", LINE | {"nb_replicas": count})
    np.testing.assert_allclose(others, losses, rtol=1e-5)
    assert several[0] == one[0]
    assert several[60] != one[60]  # what differs can be seen


def test_a_run_with_replicas_is_equal_each_time_and_resumed_exactly(small, tmp_path):
    config = small | {"nb_replicas": 2}
    straight, _ = trained(tmp_path / "straight", config)
    trained(tmp_path / "resumed", config, until=50)
    assert trained(tmp_path / "resumed", config)[0] == straight | {
        50: digests(tmp_path / "resumed")[50]
    }
    with make_model(config | {"result_dir": str(tmp_path / "other"), "random_seed": 8}) as model:
        model.train()
    assert digests(tmp_path / "other")[120] != straight[120]


def test_each_replica_computes_on_a_device_of_its_own(small):
    with make_model(small | {"nb_replicas": 2}) as model:
        model.prepare_steps()
        stats = tf.compat.v1.RunMetadata()
        full = tf.compat.v1.RunOptions(trace_level=tf.compat.v1.RunOptions.FULL_TRACE)
        loop, rows = model.compiled_loop, model.feed.rows(0, 1)
        loop.buffer[:1] = rows
        fed = {loop.rows: loop.buffer, loop.count: 1, model.lr: 0.1}
        model.session.run(loop.outputs, fed, options=full, run_metadata=stats)
    products = {
        device.device[-5:]: sum("MatMul" in node.timeline_label for node in device.node_stats)
        for device in stats.step_stats.dev_stats
    }
    assert products["CPU:0"] > 0 and products["CPU:1"] > 0


def test_dropout_of_two_replicas_drops_other_places(small):
    with make_model(small | {"nb_replicas": 2}) as model:
        with model.graph.as_default():
            masks = []
            for model.replica in (0, 1, 0):
                masks.append(model.dropout(tf.ones([1000]), 0.5, "test"))
        first, second, again = model.session.run(masks)
    assert (first == again).all()
    assert 400 < (first != second).sum() < 600


class OwnUpdate(Toy):
    def update(self, loss):
        return optimizers.update(self, loss)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"batch_size": 15}, "--batch_size=15 cannot be shared equally"),
        ({"jit": "step"}, "--jit=step: XLA compiles no exchange of gradients; use off"),
        ({"jit": "loop"}, "--jit=loop"),
        ({"model_name": "OwnUpdate"}, "OwnUpdate has an update of its own; use as many workers"),
    ],
)
def test_what_replicas_cannot_share_is_refused(settings, words, small, monkeypatch, tmp_path):
    monkeypatch.setitem(models.MODELS, "OwnUpdate", OwnUpdate)
    with make_model(small | {"nb_replicas": 2} | settings) as model:
        with pytest.raises(ConfigError) as refused:
            model.train()
    assert words in str(refused.value)
    assert not (tmp_path / "run").exists()
