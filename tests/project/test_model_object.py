"""A model in Python: it is what its folder holds, trains an epoch, saves, and can be debugged."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from runs import digests, kept, read, train
from toy import Toy

from models import BasicModel, ConfigError, make_model
from models.mnist import MNIST
from training.checkpoints import Checkpoints
from training.digests import weights_sha256
from training.files import PROJECT
from training.loop import advance
from training.verification import verify


@pytest.fixture
def run(finished):
    """The folder of a finished run."""
    return finished[0]


def test_a_folder_that_holds_a_run_gives_its_newest_checkpoint_or_the_one_asked_for(run):
    found = digests(run)
    for step in kept(run):
        with make_model({"result_dir": str(run), "step": step}) as model:
            assert model.step == step and weights_sha256(model.weights()) == found[step]
    with make_model({"result_dir": str(run)}) as model:
        assert model.step == max(found) and weights_sha256(model.weights()) == found[model.step]
        few = {name: array[:10] for name, array in model.load("valid").items()}
        trained = model.infer(few)
        model.init()
        assert weights_sha256(model.weights()) != found[max(found)]  # what a new model would have
    with make_model({"result_dir": str(run), "step": "best"}) as model:
        assert model.step == read(run, "checkpoints/best.json")["step"]
    with pytest.raises(FileNotFoundError, match="--step=5 is not kept"):
        make_model({"result_dir": str(run), "step": "5"})
    assert trained["label"].shape == (10,)


def test_a_checkpoint_that_another_process_removes_meanwhile_gives_way_to_its_newest(
    copy_of_finished, monkeypatch
):
    lines = copy_of_finished / "checkpoints" / "checkpoints.jsonl"
    *older, newest = lines.read_text().splitlines(keepends=True)
    lines.write_text("".join(older))
    before, check_fit = kept(copy_of_finished)[-2], Checkpoints.check_fit

    def too_late(self, step, variables):
        if step == before:
            lines.write_text("".join(older) + newest)
            for path in self.path.glob(f"model.ckpt-{before}.*"):
                path.unlink()
        check_fit(self, step, variables)

    monkeypatch.setattr(Checkpoints, "check_fit", too_late)
    with make_model({"result_dir": str(copy_of_finished)}) as model:
        assert model.step == 120
    monkeypatch.setattr(Checkpoints, "check_fit", lambda *_: tf.train.load_checkpoint("none"))
    with pytest.raises(tf.errors.NotFoundError):  # nothing has changed in the meantime
        make_model({"result_dir": str(copy_of_finished)})


def test_verify_names_what_differs_also_where_no_checkpoint_can_be_loaded(
    copy_of_finished, shell, monkeypatch
):
    for path in copy_of_finished.glob("checkpoints/*.data-*"):
        path.write_bytes(b"damaged")
    status, output, errors = shell("--verify", f"--result_dir={copy_of_finished}")
    assert (status, errors) == (1, "") and "bit-identical at 4 of 4 recorded steps" in output
    assert "but " in output and "does not match" in output
    monkeypatch.setattr(Toy, "dense", lambda self, *of: dense(self, "other_" + of[0], *of[1:]))
    status, output, errors = shell("--verify", f"--result_dir={copy_of_finished}")
    assert (status, errors) == (1, "") and "different at step 0, first in other_hidden" in output


dense = Toy.dense


def test_a_path_with_a_tilde_is_the_folder_that_it_means(copy_of_finished, monkeypatch):
    monkeypatch.setenv("HOME", str(copy_of_finished.parent))
    with make_model({"result_dir": f"~/{copy_of_finished.name}"}) as model:
        assert model.step == 120


def test_saving_where_nothing_is_new_leaves_a_complete_run_as_it_is(copy_of_finished):
    before = {p: p.read_bytes() for p in copy_of_finished.rglob("*") if p.is_file()}
    with make_model({"result_dir": str(copy_of_finished)}) as model:
        assert model.save() == copy_of_finished
    assert {p: p.read_bytes() for p in copy_of_finished.rglob("*") if p.is_file()} == before


def test_training_does_not_go_on_from_an_older_checkpoint_in_silence(run):
    step = str(kept(run)[0])
    with make_model({"result_dir": str(run), "step": step}) as model:
        with pytest.raises(ConfigError, match=f"--step={step}: training goes on from the newest"):
            model.train()


def test_a_model_made_from_another_runs_checkpoint_has_its_weights(run):
    step, found = kept(run)[0], digests(run)
    branch = {"from_checkpoint": str(run), "step": step, "lr": 0.01}
    with make_model(branch) as model:
        assert model.step == step and weights_sha256(model.weights()) == found[step]
        model.learn_from_epoch()
        assert model.save().name and model.step > step
        about = read(Path(model.config["result_dir"]), "config.json")
    assert about["parent"]["step"] == step


def test_one_call_trains_to_the_end_of_the_epoch_as_training_does():
    config = {"model_name": "Toy", "random_seed": 3}
    with make_model(config) as model:
        epoch = model.examples // model.config["batch_size"]
        losses = model.learn_from_epoch()
        assert (len(losses), model.step) == (epoch, epoch)
        for _ in advance(model, epoch + 1):
            pass
        assert len(model.learn_from_epoch()) == epoch - 1
        by_epochs = weights_sha256(model.weights())
        model.init()
        for _ in advance(model, 2 * epoch):
            pass
        assert weights_sha256(model.weights()) == by_epochs
        model.init()
        for _ in advance(model, 2 * epoch - 1):
            pass
        assert weights_sha256(model.weights()) != by_epochs


def test_a_saved_model_is_a_run_that_goes_on_to_the_same_end(tmp_path):
    config = {"model_name": "Toy", "random_seed": 3, "max_iter": 30}
    straight, saved = tmp_path / "straight", tmp_path / "saved"
    train(config | {"result_dir": str(straight)})
    with make_model(config | {"result_dir": str(saved)}) as model:
        model.learn_from_epoch()
        assert model.save() == saved
        first = model.step
        model.save()  # the same step again changes nothing
        model.learn_from_epoch()
        model.save()
        second = model.step
    assert list(digests(saved)) == [first, second]
    assert read(saved, "status.json")["reason"] == f"saved at step {second}"
    with make_model({"result_dir": str(saved), "step": str(first)}) as model:
        with pytest.raises(ValueError, match=f"has gone on to step {second}, beyond step {first}"):
            model.save()
    train({"result_dir": str(saved)})
    assert digests(saved)[30] == digests(straight)[30] != digests(saved)[second]
    with make_model({"result_dir": str(saved)}) as model:
        assert verify(model).equal


def test_a_model_that_was_trained_beyond_max_iter_is_not_saved(small, tmp_path):
    with make_model(small | {"max_iter": 10}) as model:
        for _ in advance(model, 11):
            pass
        with pytest.raises(ValueError, match="step 11 is beyond max_iter=10"):
            model.save()
    assert not (tmp_path / "run").exists()


def test_without_periodic_saves_a_run_keeps_its_first_and_last_step(tmp_path):
    config = {"model_name": "Toy", "random_seed": 3, "max_iter": 30, "eval_every": 10}
    train(config | {"result_dir": str(tmp_path / "run"), "save_every": 0})
    assert kept(tmp_path / "run") == [0, 30]
    train(config | {"result_dir": str(tmp_path / "often"), "save_every": 10})
    assert digests(tmp_path / "run")[30] == digests(tmp_path / "often")[30]


def test_debug_names_what_is_saved_and_loaded(tmp_path, capsys):
    config = {"model_name": "Toy", "max_iter": 10, "result_dir": str(tmp_path / "run")}
    train(config)
    assert "model.ckpt-10" not in capsys.readouterr().out
    train(config | {"max_iter": 20, "debug": True})
    output = capsys.readouterr().out
    assert f"Loaded {tmp_path / 'run'}/checkpoints/model.ckpt-10\n" in output
    assert f"Saved {tmp_path / 'run'}/checkpoints/model.ckpt-20\n" in output


def test_the_best_known_configuration_can_be_asked_for_in_python():
    best = MNIST.get_best_config()
    with make_model({"model_name": "MNIST", "fake_data": True, "best": True, "lr": 0.25}) as model:
        assert {name: model.config[name] for name in best} == best | {"lr": 0.25}
        assert "best" not in model.config


def test_a_single_example_gives_a_single_prediction(run):
    with make_model({"result_dir": str(run)}) as model:
        points = model.load("valid")["points"][:3]
        many = model.infer({"points": points})["label"]
        one = model.infer({"points": points[1]})["label"]
        assert one.shape == () and one == many[1]
        with pytest.raises(ValueError, match=r"must be float32 \[n, 2\], not float32 \[3\]"):
            model.infer({"points": np.zeros(3, np.float32)})


@pytest.fixture
def own(monkeypatch):
    """Make a model of a class whose inference is a function of (model, batch, training)."""

    def make(inference, **config):
        model_class = type("Own", (Toy,), {"inference": inference})
        monkeypatch.setattr("models.MODELS", {"Own": model_class})
        return make_model({"model_name": "Own", "random_seed": 3, **config})

    return make


@pytest.mark.parametrize(
    "name, options, holds",
    [
        ("glorot_uniform", {}, lambda w: np.abs(w).max() <= np.sqrt(6 / 102)),
        ("he_normal", {}, lambda w: 0.8 < w.std() / np.sqrt(2 / 2) < 1.2),
        ("orthogonal", {}, lambda w: np.allclose(w @ w.T, np.eye(2), atol=1e-5)),
        ("random_uniform", {"minval": 2.0, "maxval": 3.0}, lambda w: 2 <= w.min() < w.max() <= 3),
        ("random_normal", {"stddev": 5.0}, lambda w: 4 < w.std() < 6),
        ("zeros", {}, lambda w: not w.any()),
    ],
)
def test_initial_values_follow_from_the_seed_and_the_name(own, name, options, holds):
    def inference(self, batch, training):
        one = self.variable("one", [2, 100], name, **options)
        other = self.variable("other", [2, 100], name, **options)
        return (batch["points"] @ (one + other))[:, :2]

    with own(inference) as model:
        first = model.weights()
        model.init()
        again = model.weights()
    assert all(np.array_equal(first[n], again[n]) for n in first) and holds(first["one"])
    if name != "zeros":
        assert not np.array_equal(first["one"], first["other"])
        with own(inference, random_seed=4) as model:
            assert not np.array_equal(model.weights()["one"], first["one"])


@pytest.mark.parametrize("draw, options", [("truncated_normal", {"stddev": 0.5}), ("variable", {})])
def test_weights_of_one_shape_start_apart_and_follow_from_seed_and_name(own, draw, options):
    def inference(self, batch, training):
        make = getattr(self, draw)
        weights = make("one", [2, 100], **options) + make("other", [2, 100], **options)
        with tf.compat.v1.variable_scope("inner"):
            weights += make("one", [2, 100], **options)
        return (batch["points"] @ weights)[:, :2]

    starts = []
    for seed in (3, 3, 4):
        with own(inference, random_seed=seed) as model:
            weights = model.weights()
        starts.append([weights[name].tobytes() for name in ("one", "other", "inner/one")])
    first, again, with_another_seed = starts
    assert first == again and len({*first, *with_another_seed}) == 6


def dense_of_keras(self, batch, training):
    hidden = tf.keras.layers.Dense(8, activation="relu")(batch["points"])
    return tf.keras.layers.Dense(2)(hidden)


def plain_variables(self, batch, training):
    return batch["points"] @ tf.Variable(tf.ones([2, 2]), name="w") + tf.Variable([0.0, 0.1])


@pytest.mark.parametrize("inference", [dense_of_keras, plain_variables])
def test_layers_and_variables_made_in_inference_are_trained_and_resumed(own, inference, tmp_path):
    def train_own(folder, **config):
        with own(inference, max_iter=20, result_dir=str(tmp_path / folder), **config) as model:
            return model.train()

    train_own("straight")
    with own(inference, max_iter=20, result_dir=str(tmp_path / "resumed")) as model:
        first = model.weights()
        model.train(until=10)
    train_own("resumed")
    found = digests(tmp_path / "straight")
    assert digests(tmp_path / "resumed")[20] == found[20] != found[0]
    assert len(first) == 5 - (inference is plain_variables) * 2  # global_step, and its own
    train_own("other", random_seed=4)
    assert digests(tmp_path / "other")[20] != found[20]


def more(self, batch, training):
    outputs = dense_of_keras(self, batch, training)
    return outputs + tf.Variable([1.0, 2.0], name="more") if training else outputs


def late(self, batch, training):
    points = batch["points"]
    if training:
        points = tf.keras.layers.Dropout(0.5)(points, training=True)
    return dense_of_keras(self, {"points": points}, training)


@pytest.mark.parametrize("inference", [more, late])
def test_a_variable_that_only_training_makes_is_named(own, inference):
    with pytest.raises(ValueError, match="Own.inference makes the variable (more|seed_gen.*) only"):
        own(inference)


def counted(self, batch, training):
    zeros = tf.zeros_initializer()
    seen = tf.compat.v1.get_variable(
        "seen", [], initializer=zeros, trainable=False, collections=["local_variables"]
    )
    return Toy.inference(self, batch, training) + seen


def measured_by_variables(self, batch, training):
    outputs = Toy.inference(self, batch, training)
    return outputs + tf.compat.v1.metrics.mean(outputs)[0]


@pytest.mark.parametrize(
    "inference, variable", [(counted, "seen"), (measured_by_variables, "inference/mean/total")]
)
def test_a_variable_that_no_checkpoint_would_hold_is_named(own, inference, variable):
    with pytest.raises(ValueError, match=f"no checkpoint would hold the variable {variable},"):
        own(inference)
    with own(Toy.inference) as model:  # nor is a variable missed that is among the others
        assert "hidden/weights" in model.saved


def test_what_a_models_file_draws_when_it_is_imported_is_the_same_in_every_process(tmp_path):
    """Such as the seed of an initializer of Keras."""
    program = "import models.mnist, random; print(models.mnist.drawn, random.random())"
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("results", "mnist"))
    with open(project / "models" / "mnist.py", "a") as file:
        file.write("\nimport random\n\ndrawn = random.random()\n")
    found = [
        subprocess.run(
            [sys.executable, "-c", program], cwd=project, capture_output=True, text=True, check=True
        ).stdout.splitlines()[-1].split(" ", 1)
        for _ in range(2)
    ]  # fmt: skip
    assert found[0][0] == found[1][0] and found[0][1] != found[1][1]


def test_the_methods_can_be_called_one_by_one_with_ordinary_values(run, own):
    with make_model({"result_dir": str(run)}) as model:
        right = model.evaluate("train")["loss"]
        model.config["batch_size"] = model.examples  # a batch that holds all
        with model.eager() as batch:
            outputs = model.inference(batch, training=False)
            loss = float(model.loss(outputs, batch))
            other = float(model.loss(model.inference(batch, training=True), batch))
            accuracy = np.mean(model.evaluation(outputs, batch)["accuracy"].numpy())
        assert loss == pytest.approx(right, rel=1e-5) and other != pytest.approx(right, rel=1e-5)
        assert accuracy == pytest.approx(model.evaluate("train")["accuracy"])
        graph = model.global_step
    with own(dense_of_keras) as model, model.eager() as batch:
        layers = model.inference(batch, training=True).numpy().argmax(1)
        right = model.infer({name: array.numpy() for name, array in batch.items()})["label"]
    assert np.array_equal(layers, right)
    with pytest.raises(ValueError, match="needs eager execution"):
        with tf.Graph().as_default(), model.eager():
            pass
    assert isinstance(graph, tf.Variable) and issubclass(Toy, BasicModel)


def looked_up(self, batch, training):
    table = self.truncated_normal("table", [4, 200], stddev=0.5)
    rows = tf.cast(batch["points"] * 2 + 2, tf.int32)
    return tf.reduce_sum(tf.gather(table, rows)[:, :, :2], axis=1)


def test_without_xla_sums_in_any_order_are_refused_unless_they_are_made_to_repeat(own):
    config = {"max_iter": 20, "batch_size": 60}
    with own(looked_up, jit="loop", **config) as model:
        model.learn_from_epoch()
    if model.config["threads"] > 1:
        with own(looked_up, jit="off", **config) as model:
            with pytest.raises(
                ConfigError, match="adds in an order that no run repeats; add --det"
            ):
                model.learn_from_epoch()
