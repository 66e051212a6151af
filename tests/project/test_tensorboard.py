"""What a run records for TensorBoard, and a run without TensorBoard."""

import collections
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from runs import curves, metrics, train
from toy import Toy

from models import MODELS, make_model
from settings import Setting
from training.evaluation import arrays_of
from training.files import PROJECT


def events(folder):
    """The events of a folder, file after file."""
    for path in sorted(folder.glob("events.*")):
        yield from tf.compat.v1.train.summary_iterator(str(path))


def points(folder):
    """{tag: [step, ...]} of all summaries."""
    found = collections.defaultdict(list)
    for event in events(folder):
        for value in event.summary.value:
            found[value.tag].append(event.step)
    return {tag: steps for tag, steps in found.items() if not tag.startswith("_")}


def test_curves_and_variables_are_recorded(finished):
    folder, _ = finished
    logged, evaluated = [20, 40, 60, 80, 100, 120], [40, 80, 120]
    variables = [
        f"{layer}/{name}" for layer in ("hidden", "logits") for name in ("weights", "biases")
    ]
    assert points(folder / "train") == {
        "loss": evaluated,
        "accuracy": evaluated,
        "training/batch_loss": logged,
        "training/examples_per_second": logged,
        "training/learning_rate": evaluated,
        "training/gradient_norm": evaluated,
        **dict.fromkeys(variables, evaluated),  # histograms, and no curves beside them
    }
    assert points(folder / "valid") == {
        "loss": evaluated,
        "accuracy": evaluated,
        "summaries/points": evaluated,
        "summaries/twice_the_loss": evaluated,
    }


class Deep(Toy):
    hyperparameters = (
        *Toy.hyperparameters, Setting("hidden", list[int], [8, 4], "widths", 1, 64)
    )  # fmt: skip


def test_the_hparams_page_gets_what_is_used_and_a_list_as_its_flag(small, tmp_path, monkeypatch):
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    monkeypatch.setitem(MODELS, "Deep", Deep)
    train(small | {"model_name": "Deep", "max_iter": 2, "optimizer": "momentum"})
    found = {}
    for event in events(tmp_path / "run" / "valid"):
        for value in event.summary.value:
            data = HParamsPluginData.FromString(value.metadata.plugin_data.content)
            found |= dict(data.session_start_info.hparams)
    assert found["hidden"].string_value == "8,4" and found["momentum"].number_value == 0.9
    names = {setting.name for setting in Deep.hyperparameters} | {"model_name", "random_seed"}
    assert names - set(found) == {"beta1", "beta2", "decay_steps", "decay_rate"}


def test_curves_have_the_values_of_the_records_and_of_the_model(finished, small):
    folder, drawn = finished[0], curves(finished[0])
    for split, writer in (("train_sample", "train"), ("valid", "valid")):
        for name in ("loss", "accuracy"):
            records = [r for r in metrics(folder) if r["split"] == split]
            expected = [(r["step"], pytest.approx(r[name])) for r in records]
            assert drawn[writer, name] == expected and expected
    rates = [(step, pytest.approx(0.3)) for step in (40, 80, 120)]
    assert drawn["train", "training/learning_rate"] == rates
    with make_model({"result_dir": str(folder)}) as model:
        model.restore()
        few = {n: array[:16] for n, array in arrays_of(model, "train_sample").items()}
        with model.graph.as_default():
            gradients = tf.gradients(model.evaluation_loss, model.variables)
        feed = {model.batch[name]: array for name, array in few.items()}
        parts = model.session.run(gradients, feed)
        few = {n: array[:16] for n, array in model.load("valid").items()}  # of --batch_size
        feed = {model.batch[name]: array for name, array in few.items()}
        loss = model.session.run(model.evaluation_loss, feed)
    assert dict(drawn["valid", "summaries/twice_the_loss"])[120] == pytest.approx(2 * loss)
    norm = np.sqrt(sum(np.sum(np.square(part)) for part in parts))
    assert dict(drawn["train", "training/gradient_norm"])[120] == pytest.approx(norm)


def test_a_variable_that_is_one_number_is_one_curve(line_run):
    folder, _ = line_run
    drawn = curves(folder)
    with make_model({"result_dir": str(folder)}) as model:
        model.restore()
        weights = model.weights()
    for name in ("weight", "bias"):
        steps, values = zip(*drawn["train", f"variables/{name}"], strict=True)
        assert list(steps) == list(range(20, 201, 20)) and values[-1] == weights[name]
    assert not [tag for tag in points(folder / "train") if "weight" in tag][1:]


def test_the_learning_rate_that_is_drawn_follows_the_schedule(small, tmp_path):
    train(small | {"lr_schedule": "cosine", "decay_steps": 80})
    drawn = dict(curves(tmp_path / "run")["train", "training/learning_rate"])
    assert drawn == {40: pytest.approx(0.15), 80: pytest.approx(0), 120: pytest.approx(0)}


def drawn_graph(folder):
    graph = tf.compat.v1.GraphDef()
    (text,) = [event.graph_def for event in events(folder / "train") if event.graph_def]
    graph.ParseFromString(text)
    return graph


def test_the_graph_page_shows_inputs_layers_loss_metrics_and_optimizer(finished, line_run):
    graph = drawn_graph(finished[0])
    boxes = {node.name.split("/")[0] for node in graph.node if "/" in node.name}
    single = {node.name for node in graph.node if "/" not in node.name}
    assert boxes == {"hidden", "logits", "loss", "evaluation", "predictions", "update"}
    assert single == {"points", "labels", "lr", "global_step", "Relu", "predictions"} - boxes
    operations = {node.name: node for node in graph.node}
    assert "hidden/matmul" in operations and "hidden/weights" in operations  # in one box
    for node in graph.node:
        assert all(name.strip("^").split(":")[0] in operations for name in node.input)
    gradients = [n for n in operations if n.startswith("update/gradients/")]
    assert any(name.startswith("update/gradients/hidden/matmul_grad") for name in gradients)
    assert not graph.library.function  # the compiled steps are one opaque node
    line = {node.name.split("/")[0] for node in drawn_graph(line_run[0]).node}
    assert {"x", "weight", "mul", "bias", "add", "y", "loss", "update"} <= line


class Branches(Toy):
    """Calls functions in its layers, and has a variable on which only training depends."""

    def inference(self, batch, training):
        outputs = super().inference(batch, training)
        extra = self.truncated_normal("extra", [2], stddev=0.1)
        big = tf.reduce_sum(batch["points"]) > 0
        outputs = tf.cond(big, lambda: outputs, lambda: tf.nn.relu(outputs))
        return outputs + extra if training else outputs


def test_a_model_with_conditions_and_variables_of_training_alone_is_drawn(small, monkeypatch):
    monkeypatch.setitem(MODELS, "Branches", Branches)
    settings = small | {"model_name": "Branches", "optimizer": "momentum", "eval_every": 20}
    train(settings, until=40)
    folder = Path(small["result_dir"])
    graph = drawn_graph(folder)
    called = {value.func.name for node in graph.node for value in node.attr.values()} - {""}
    assert called <= {function.signature.name for function in graph.library.function} and called
    with tf.Graph().as_default():
        tf.import_graph_def(graph, name="")  # a whole graph, with no end loose
    assert "training/gradient_norm" in points(folder / "train")
    with make_model({"result_dir": str(folder)}) as model:
        model.restore()
        assert np.any(model.weights()["extra/Momentum"])


class Hard(Toy):
    """Has an operation without a gradient, except when it trains."""

    def inference(self, batch, training):
        outputs = super().inference(batch, training)
        if training:
            return outputs
        pictures = tf.stack([outputs, outputs, outputs], -1)[:, None]
        return tf.raw_ops.AdjustHue(images=pictures, delta=0.0)[:, 0, :, 0]


def test_a_model_whose_evaluation_has_no_gradient_trains_and_has_slots(small, monkeypatch):
    monkeypatch.setitem(MODELS, "Hard", Hard)
    train(small | {"model_name": "Hard", "optimizer": "momentum"}, until=40)
    found = points(Path(small["result_dir"]) / "train")
    assert found["training/learning_rate"] == [40] and "training/gradient_norm" not in found


def test_a_resumed_run_tells_tensorboard_what_to_forget(small, tmp_path):
    with make_model(small) as model:
        model.train(until=50)
    with make_model(small) as model:
        model.train()
    starts = [
        event.step
        for event in events(tmp_path / "run" / "train")
        if event.session_log.status == tf.compat.v1.SessionLog.START
    ]
    assert starts == [51]
    found = points(tmp_path / "run" / "train")["training/batch_loss"]
    assert found == [20, 40, 60, 80, 100, 120]


def test_a_run_goes_on_when_an_event_file_was_deleted(small, tmp_path):
    for until in (20, 40):
        with make_model(small) as model:
            model.train(until=until)
    next(iter((tmp_path / "run" / "train").glob("*.00000"))).unlink()
    with make_model(small) as model:
        assert model.train()["status"] == "complete"
    assert points(tmp_path / "run" / "train")["training/batch_loss"] == [40, 60, 80, 100, 120]


def test_without_the_tensorboard_package_a_run_works_all_the_same(tmp_path):
    code = (
        "import sys; sys.modules['tensorboard'] = None; import main;"
        f"sys.exit(main.main(['main.py', '--max_iter=10', {f'--result_dir={tmp_path}'!r}]))"
    )
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert points(tmp_path / "valid")["loss"] == [10]


@pytest.mark.parametrize("lr, status", [(0.3, "STATUS_SUCCESS"), (1000.0, "STATUS_FAILURE")])
def test_the_hparams_page_is_told_how_a_run_ended(tmp_path, lr, status):
    pytest.importorskip("tensorboard")
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

    settings = {"lr": lr, "jit": "off", "random_seed": 0, "result_dir": str(tmp_path)}
    train(settings, until=2)
    assert ends(tmp_path, plugin_data_pb2) == []  # a run that is paused has not ended
    train(settings)
    assert ends(tmp_path, plugin_data_pb2) == [api_pb2.Status.Value(status)]


def ends(folder, plugin_data_pb2):
    """The status in each end of a session that is recorded for the HPARAMS page."""
    found = []
    for event in events(folder / "valid"):
        for value in event.summary.value:
            if value.tag == "_hparams_/session_end_info":
                data = plugin_data_pb2.HParamsPluginData()
                data.ParseFromString(value.metadata.plugin_data.content)
                found.append(data.session_end_info.status)
    return found
