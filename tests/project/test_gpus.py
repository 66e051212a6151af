"""What GPUs need, as far as it can be tested without one; docs/how-it-works.md says what ran."""

import json
import sys

import numpy as np
import pytest
import tensorflow as tf
from runs import digests, read, train
from toy import Toy

from models import MNIST, make_model
from models.basic_model import BasicModel
from settings import ConfigError, optimization
from training import compilation, device, launcher, processors, run_page
from training.feeding import as_held
from training.messages import one_line
from training.records import records
from training.steps import all_nodes
from training.verification import verify

NAME = "NVIDIA H100 80GB HBM3"


class Words(BasicModel):
    """Sums of weights of words: its inputs are int32, and some are negative."""

    hyperparameters = optimization(lr=0.1, batch_size=20, decay_steps=100)
    max_iter = 40
    seen = []

    def inputs(self, split):
        words = np.random.default_rng(0).integers(-(2**31), 2**31, [60, 4], np.int64)
        return {"words": words.astype(np.int32), "sum": (words % 7).sum(1).astype(np.float32)}

    def inference(self, batch, training):
        self.seen.append(batch["words"].dtype)
        table = self.truncated_normal("table", [7, 1], stddev=0.3)
        return tf.reduce_sum(tf.one_hot(tf.math.floormod(batch["words"], 7), 7) @ table, [1, 2])

    def loss(self, outputs, batch):
        return tf.reduce_mean(tf.square(outputs - batch["sum"]))

    def evaluation(self, outputs, batch):
        return {}


class ReadWords(Words):
    """The same, read by a function."""

    def inputs(self, split):
        arrays = super().inputs(split)
        return records(60, lambda rows: {name: array[rows] for name, array in arrays.items()})


@pytest.mark.parametrize("jit", ["loop", "off"])
@pytest.mark.parametrize("data", ["device", "stream"])
@pytest.mark.parametrize("words", [Words, ReadWords])
def test_int32_is_held_as_what_a_gpu_can_hold_and_reaches_the_model_as_it_is(words, jit, data):
    config = {"random_seed": 1, "jit": jit, "data": data}
    with words(config) as model:
        model.prepare_steps()
        nodes = [n for n in all_nodes(model.graph) if n.op == "VarHandleOp"]
        assert set(model.seen) == {tf.int32}
        held = {n.attr["dtype"].type for n in nodes if n.name.startswith("training_data/")}
        assert held == {tf.uint32.as_datatype_enum, tf.float32.as_datatype_enum}
        rows = model.feed.rows(0, 1)[0]
        with model.graph.as_default():
            found = model.session.run(model.feed.variables["words"].rows(tf.constant(rows)))
        expected = np.asarray(model.load("train")["words"])
        if data == "device":
            assert (found == expected[rows]).all()
        assert found.dtype == np.int32 and (found < 0).any() and np.isin(found, expected).all()


def test_an_array_of_int32_is_fed_without_a_copy():
    array = np.arange(-3, 3, dtype=np.int32)
    array.flags.writeable = False
    assert np.shares_memory(as_held(array), array) and as_held(array).dtype == np.uint32
    assert as_held(floats := np.zeros(2)) is floats


def test_an_error_of_xla_says_what_and_not_where():
    """TensorFlow writes pages before it. Here, the variable is on another device than the sum."""
    device.set_up_threads({"threads": processors.count(), "device": "auto"})
    with tf.Graph().as_default():
        with tf.device("CPU:0"):
            held = tf.compat.v1.get_variable("held", initializer=np.int32([1]), use_resource=True)
        with tf.device("CPU:1"):
            total = tf.function(lambda: held + 1, jit_compile=True, autograph=False)()
        two = tf.compat.v1.ConfigProto(device_count={"CPU": 2})
        with tf.compat.v1.Session(config=two) as session:
            session.run(held.initializer)
            with pytest.raises(tf.errors.InvalidArgumentError) as error:
                session.run(total)
    assert one_line(error.value).startswith("INVALID_ARGUMENT: Trying to access resource held")


@pytest.mark.parametrize("model_class, expected", [(MNIST, False), (Toy, True)])
def test_no_gradient_of_mnist_adds_up_rows_with_deterministic(monkeypatch, model_class, expected):
    """On a GPU, XLA adds them one after the other. The toy, with a sparse loss, is a control."""
    options = sys.modules["tensorflow.python.framework.config"]
    monkeypatch.setattr(options, "is_op_determinism_enabled", lambda: True)
    config = {"random_seed": 1} | ({"fake_data": True} if model_class is MNIST else {})
    with model_class(config) as model:
        model.prepare_steps()
        found = compilation.first(all_nodes(model.graph), compilation.ADDS_IN_ANY_ORDER)
    assert bool(found) == expected


def test_a_gpu_is_on_record_and_a_run_that_leaves_it_says_so(small, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(device, "gpus", lambda config: [NAME])
        train(small, until=40)
        assert f"Training on {NAME}; to repeat runs, add --deterministic" in capsys.readouterr().out
        train(small, until=60)
        assert "was started on" not in capsys.readouterr().out
    folder = tmp_path / "run"
    about = read(folder, "config.json")["environment"]
    assert about["gpus"] == [NAME] and "nvidia-cudnn-cu12" in about["versions"]
    assert ("GPU", NAME) in run_page.environment(folder, {"random_seed": 7})
    train(small, until=80)
    output = capsys.readouterr().out
    assert f"was started on {NAME}, and now trains on the processor: its weights" in output
    assert read(folder, "config.json")["resumed"][-1]["gpus"] == []


def test_a_run_of_a_gpu_can_be_used_without_one(small, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(device, "gpus", lambda config: [NAME])
        train(small, until=40)
    file = tmp_path / "run" / "config.json"
    about = json.loads(file.read_text())
    file.write_text(json.dumps(about | {"config": about["config"] | {"device": "gpu"}}))
    config = {"result_dir": str(tmp_path / "run")}
    with pytest.raises(ConfigError, match="--device=gpu.*use --device=auto"):
        make_model(config)
    for own in ({"device": "auto"}, {"device": "cpu"}):
        with make_model(config | own) as model:
            assert model.step == 40 and model.evaluate("valid")
    train(config | {"device": "cpu"}, until=60)
    assert f"was started on {NAME}, and now trains on the processor" in capsys.readouterr().out


def test_verify_names_the_gpu(small, tmp_path, monkeypatch):
    monkeypatch.setattr(device, "gpus", lambda config: [NAME])
    train(small, until=40)
    right = Toy.loss
    monkeypatch.setattr(Toy, "loss", lambda self, outputs, batch: 2 * right(self, outputs, batch))
    with make_model({"result_dir": str(tmp_path / "run")}) as model:
        lines = verify(model).lines
    assert "  the GPU, on which runs repeat with --deterministic only" == lines[2]
    monkeypatch.setattr(device, "gpus", lambda config: [])
    with make_model({"result_dir": str(tmp_path / "run")}) as model:
        lines = verify(model).lines
    assert f"  GPU: {NAME} when it was started, None now" in lines


def test_runs_from_before_gpus_were_on_record_are_not_said_to_have_moved(small, tmp_path, capsys):
    train(small, until=40)
    file = tmp_path / "run" / "config.json"
    about = json.loads(file.read_text())
    del about["environment"]["gpus"]
    file.write_text(json.dumps(about))
    train(small, until=80)
    assert "was started on" not in capsys.readouterr().out
    assert 80 in digests(tmp_path / "run")


def test_sums_in_any_order_are_not_refused_on_a_gpu(monkeypatch):
    """Other operations do not repeat there, either; what runs there says so."""
    config = {"device": "auto", "threads": 16, "deterministic": False}
    assert compilation.is_unordered(config)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"])
    assert not compilation.is_unordered(config)
    assert compilation.is_unordered(config | {"device": "cpu"})


def test_one_gpu_is_not_many(monkeypatch):
    monkeypatch.setattr(launcher, "visible_gpus", lambda: ["0"])
    config = {"device": "auto", "nb_workers": 2, "nb_replicas": 1}
    with pytest.raises(ConfigError, match="nb_workers=2: there is 1 GPU here, and each worker"):
        launcher.gpus(config, 0)
    assert processors.as_gpus(0) == "0 GPUs"
