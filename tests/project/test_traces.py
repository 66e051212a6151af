"""--trace_every: what a trace holds, and that it changes no bit of a run."""

import json

import pytest
import tensorflow as tf
from runs import digests, lines, metrics, train
from toy import Toy

from models import MODELS, make_model
from models.basic_model import BasicModel
from training import traces


def read_timeline(folder, step):
    return json.loads((folder / "traces" / f"step-{step}.json").read_text())["traceEvents"]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_traced_run_has_the_bits_of_one_without_traces(small, tmp_path, optimizer):
    settings = small | {"optimizer": optimizer}
    train(settings | {"result_dir": str(tmp_path / "straight")})
    train(settings | {"trace_every": 25}, until=80)
    train({"result_dir": small["result_dir"], "trace_every": 7})  # a resumed run may change it
    assert digests(tmp_path / "run") == digests(tmp_path / "straight")
    assert metrics(tmp_path / "run") == metrics(tmp_path / "straight")
    names = {path.name for path in (tmp_path / "run" / "traces").iterdir()}
    steps = [25, 50, 75, *range(84, 120, 7)]
    assert names == {f"step-{step}.json" for step in steps}
    assert not (tmp_path / "straight" / "traces").exists()


def descents(model):
    """What a trace must not run: the operations that change a model's weights."""
    kind = "ResourceApplyGradientDescent"
    return [operation for operation in model.graph.get_operations() if operation.type == kind]


def test_a_trace_that_trains_would_be_seen(small, tmp_path, monkeypatch):
    train(small | {"result_dir": str(tmp_path / "straight")})
    monkeypatch.setattr(traces, "targets", descents)
    train(small | {"trace_every": 60})
    traced, straight = digests(tmp_path / "run"), digests(tmp_path / "straight")
    assert traced[40] == straight[40] and traced[80] != straight[80]


def changed_by_a_trace(model):
    model.init()
    before = model.weights()
    traces.trace(model)
    after = model.weights()
    return [name for name in before if before[name].tobytes() != after[name].tobytes()]


class Normalized(Toy):
    """Updates moving averages when it trains."""

    def inference(self, batch, training):
        values = self.batch_norm("norm", batch["points"], training)
        return super().inference({"points": values}, training)


class Own(Toy):
    """Has a step of its own."""

    def train_step(self, batch):
        loss = super().train_step(batch)
        with tf.control_dependencies([loss]):
            return tf.identity(loss)


class Recurrent(Toy):
    """Has a loop, which reads variables."""

    def inference(self, batch, training):
        values = self.recurrent("loop", batch["points"][..., None], 2)
        return super().inference({"points": values[:, -1]}, training)

    def dense(self, name, inputs, units, initializer=None):
        return BasicModel.dense(self, name, inputs, units)


@pytest.mark.parametrize(
    "model_class, optimizer",
    [(Toy, "adam"), (Normalized, "momentum"), (Recurrent, "adam"), (Own, "sgd")],
)
def test_a_trace_changes_no_variable(small, model_class, optimizer, monkeypatch):
    monkeypatch.setitem(MODELS, model_class.__name__, model_class)
    about = {"model_name": model_class.__name__, "optimizer": optimizer, "clip_norm": 1.0}
    with make_model(small | about | {"result_dir": None}) as model:
        assert changed_by_a_trace(model) == []
        monkeypatch.setattr(traces, "targets", lambda model: [model.graph_page[-1]])
        assert changed_by_a_trace(model)


def test_the_gradients_of_a_loop_are_traced(small, monkeypatch):
    monkeypatch.setitem(MODELS, "Recurrent", Recurrent)
    with make_model(small | {"model_name": "Recurrent", "result_dir": None}) as model:
        devices = traces.trace(model).step_stats.dev_stats
    names = {node.node_name for device in devices for node in device.node_stats}
    body = [n for n in names if n.startswith("update/gradients/inference/loop/while_grad/")]
    assert any("matmul" in name.lower() for name in body)


def test_a_timeline_has_the_layers_the_loss_and_the_gradients_one_beside_the_other(small, tmp_path):
    train(small | {"trace_every": 60}, until=60)
    process, *events = read_timeline(tmp_path / "run", 60)
    assert process["ph"] == "M" and process["args"]["name"].endswith("CPU:0")
    found = {event["args"]["name"]: event for event in events}
    gradient = next(n for n in found if n.startswith("update/gradients/") and "/hidden/" in n)
    assert {"inference/Relu", "loss/Mean"} <= set(found) and gradient
    assert found["loss/Mean"]["name"] == "Mean" and found["inference/Relu"]["args"]["bytes"] > 0
    rows = {line: [e for e in events if e["tid"] == line] for line in {e["tid"] for e in events}}
    for row in rows.values():
        for one, other in zip(row, row[1:], strict=False):
            assert one["ts"] + one["dur"] <= other["ts"]
    assert min(event["ts"] for event in events) == 0


def test_the_traces_of_a_killed_run_are_made_again(small, tmp_path):
    train(small | {"trace_every": 30}, until=80)
    file = tmp_path / "run" / "traces" / "step-90.json"
    file.write_text("of a process that was killed after step 80")
    train({"result_dir": small["result_dir"]})
    assert read_timeline(tmp_path / "run", 90)
    assert [r["step"] for r in lines(tmp_path / "run" / "metrics.jsonl")][-1] == 120


def test_a_search_has_no_traces(shell):
    status, _, errors = shell("--search=random", "--trace_every=5")
    assert status == 2 and errors == "error: --trace_every goes with training\n"
