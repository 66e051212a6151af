"""The models learn what they are there to learn, and say what they cannot use."""

import json
import os
import re

import numpy as np
import pytest
import tensorflow as tf

from models import MODELS, ConfigError, get_model_class, make_model
from models.basic_model import BasicModel
from models.mnist import MNIST
from settings import Setting
from training import evaluation
from training.loop import advance

DIGITS = {
    "model_name": "MNIST", "fake_data": True, "random_seed": 7, "max_iter": 120, "hidden1": 16,
    "hidden2": 8, "save_every": 40, "eval_every": 40,
}  # fmt: skip
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def small(tmp_path):
    return DIGITS | {"result_dir": str(tmp_path / "run")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of MNIST: (folder, what train returned)."""
    folder = tmp_path_factory.mktemp("digits") / "run"
    with make_model(DIGITS | {"result_dir": str(folder)}) as model:
        return folder, model.train()


def test_the_registry_gives_models_by_name_and_names_the_nearest_to_a_wrong_one():
    assert get_model_class({"model_name": "MNIST"}) is MNIST
    assert get_model_class({}).__name__ == "LinearRegression"
    with pytest.raises(ConfigError, match="mean MNIST.*known: LinearRegression, MNIST"):
        make_model({"model_name": "NMIST"})


def test_linear_regression_ends_at_the_least_squares_solution(line_run):
    folder, _ = line_run
    with make_model({"result_dir": str(folder)}) as model:
        model.restore()
        points, weights = model.load("train"), model.weights()
    columns = np.stack([points["x"], np.ones(100)], axis=1)
    w, b = np.linalg.lstsq(columns, points["y"], rcond=None)[0]
    assert weights["weight"] == pytest.approx(w, abs=1e-5)
    assert weights["bias"] == pytest.approx(b, abs=1e-5)
    assert weights["weight"] == pytest.approx(3, abs=0.3)


def test_linear_regression_infers_about_6_at_2_and_draws_the_line(line_run):
    folder, _ = line_run
    with make_model({"result_dir": str(folder)}) as model:
        model.restore()
        assert model.infer({"x": np.float32([2])})["y"] == pytest.approx([6], abs=0.6)
    assert (folder / "fit.png").read_bytes().startswith(PNG)


def test_the_first_weight_follows_initial_mean_and_initial_stddev():
    with make_model({"initial_mean": 100.0, "initial_stddev": 0.0}) as model:
        assert model.weights()["weight"] == 100
    spread = []
    for seed in range(8):
        with make_model({"initial_stddev": 10.0, "random_seed": seed}) as model:
            spread.append(float(model.weights()["weight"]))
    assert np.std(spread) > 2


def test_points_are_fresh_in_each_split_and_for_each_seed():
    with make_model({"random_seed": 1}) as one, make_model({"random_seed": 2}) as two:
        ys = [one.load(split)["y"] for split in ("train", "valid", "test")]
        ys.append(two.load("train")["y"])
    assert all(
        abs(np.corrcoef(ys[i] - ys[j], ys[i])[0, 1]) < 0.9 for i in range(4) for j in range(i)
    )
    assert all(not np.array_equal(ys[i], ys[j]) for i in range(4) for j in range(i))


def test_mnist_is_far_above_chance_on_fake_data(small):
    with make_model(small | {"max_iter": 1000, "hidden1": 128, "hidden2": 32}) as model:
        result = model.train()
    assert result["test"]["accuracy"] > 0.7  # chance is 0.1


def test_mnist_reaches_its_accuracy_on_the_real_digits(tmp_path, monkeypatch):
    monkeypatch.setattr("data.loaders.FOLDER", tmp_path / "mnist")
    if not os.environ.get("MNIST_MIRROR"):
        pytest.skip("MNIST_MIRROR does not name a folder or URL with the real files")
    with make_model({"model_name": "MNIST", "random_seed": 0}) as model:
        result = model.train()
    assert result["test"]["accuracy"] >= 0.975
    assert result["step"] == 11_000


def test_mnist_starts_with_narrow_weights_and_zero_biases(small):
    with make_model(small | {"hidden1": 128, "hidden2": 32}) as model:
        weights = model.weights()
    for name, fan_in in [("hidden1", 784), ("hidden2", 128), ("softmax_linear", 32)]:
        assert weights[f"{name}/weights"].shape[0] == fan_in
        # A truncated normal is 0.88 times as wide as the normal that it is cut from.
        assert np.std(weights[f"{name}/weights"]) == pytest.approx(0.88 * fan_in**-0.5, rel=0.1)
        assert not weights[f"{name}/biases"].any()


def test_an_evaluation_averages_over_every_example(finished, monkeypatch):
    folder, _ = finished
    with make_model({"result_dir": str(folder)}) as model:
        model.restore()
        model.splits["valid"] = {n: a[:777] for n, a in model.load("valid").items()}
        arrays = model.load("valid")
        predicted = model.infer({"images": arrays["images"]})["digit"]
        expected = np.mean(predicted == arrays["labels"])
        at_once = model.evaluate("valid")
        assert at_once["accuracy"] == pytest.approx(expected, abs=1e-9)
        monkeypatch.setattr(evaluation, "BATCH", 100)  # the last part is smaller than the others
        assert model.evaluate("valid") == pytest.approx(at_once, rel=1e-5)
        monkeypatch.setitem(model.splits, "valid", {n: a[:700] for n, a in arrays.items()})
        assert model.evaluate("valid") != pytest.approx(at_once, rel=1e-5)


def test_gpu_memory_is_taken_as_it_is_needed(small):
    with make_model(small) as model:
        config = model.session._config
    assert config.gpu_options.allow_growth
    assert config.intra_op_parallelism_threads == model.config["threads"]
    with make_model(small | {"device": "cpu"}) as model:
        assert model.session._config.device_count["GPU"] == 0


def test_a_gpu_that_is_not_there_is_refused(small):
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError, match="--device=gpu.*no GPU"):
        make_model(small | {"device": "gpu"})


def test_a_model_whose_initial_values_cannot_be_computed_opens_no_second_session(small):
    class Failing(MNIST):
        def build_graph(self, examples):
            super().build_graph(examples)
            self.initializers = "no such operation"

    model = Failing(small)
    with pytest.raises(ValueError, match="no such operation"), model:
        pass
    assert "session" not in vars(model) and tf.executing_eagerly()


def test_a_closed_model_gives_its_session_back(small):
    with make_model(small) as model:
        model.weights()
    with pytest.raises(RuntimeError, match="closed"):
        model.weights()


def test_a_cosine_ends_at_zero_so_that_weights_stay(small):
    config = small | {"lr_schedule": "cosine", "decay_steps": 20}
    with make_model(config) as model:
        model.prepare_steps()
        seen = []
        for stop in (10, 20, 30):
            for _ in advance(model, stop):
                pass
            seen.append(model.weights()["hidden1/weights"])
    assert not np.array_equal(seen[0], seen[1])
    assert np.array_equal(seen[1], seen[2])


def test_without_xla_a_model_learns_too_and_says_so(small, monkeypatch, capsys):
    real = tf.function

    def without_xla(*functions, jit_compile=None, **options):
        if jit_compile:
            raise tf.errors.UnimplementedError(None, None, "no XLA on this machine")
        return real(*functions, jit_compile=jit_compile, **options)

    monkeypatch.setattr(tf, "function", without_xla)
    with make_model(small) as model:
        assert model.train()["valid"]["accuracy"] > 0.2
        assert model.config["jit"] == "off"
    assert "--jit=off" in capsys.readouterr().out


class Line(MODELS["LinearRegression"]):
    """To be spoilt in one method by a test."""


@pytest.mark.parametrize(
    "method, spoilt, message",
    [
        ("loss", lambda self, outputs, batch: outputs - batch["y"], "not one float32 number"),
        ("evaluation", lambda self, outputs, batch: {"loss": outputs}, "loss is taken"),
        ("evaluation", lambda self, outputs, batch: outputs, "a tensor, not a dictionary"),
        ("evaluation", lambda self, o, batch: {"e": tf.reduce_mean(o)}, "e must have one value"),
    ],
)
def test_a_model_that_cannot_work_is_refused_when_it_is_made(monkeypatch, method, spoilt, message):
    monkeypatch.setattr(Line, method, spoilt)
    with pytest.raises(ValueError, match=message):
        Line({})


@pytest.mark.parametrize(
    "method, spoilt, message",
    [
        ("loss", lambda self, outputs, batch: None, r"Line.loss returns nothing \(is its `return`"),
        ("inference", lambda self, batch, training: None, "Line.inference returns nothing"),
        ("predictions", lambda self, outputs: outputs, "Line.predictions returns a tensor, not a"),
        ("train_step", lambda self, batch: None, "Line.train_step returns nothing"),
        ("evaluation", lambda self, outputs, batch: {"e": 1.0}, "Line.evaluation: e must have one"),
        ("inputs", lambda self, split: (1, 2), r"inputs\('train'\) returns tuple, not a dict"),
        ("inputs", lambda self, split: None, r"inputs\('train'\) returns nothing"),
        ("max_iter", 0, "Line.max_iter: the default --max_iter=0 is not allowed"),
        ("loss", lambda self, outputs, batch: tf.zeros([]), "Line.loss does not depend on any"),
    ],
)  # fmt: skip
def test_what_a_model_gives_wrongly_is_named_with_its_method(monkeypatch, method, spoilt, message):
    monkeypatch.setattr(Line, method, spoilt)
    with pytest.raises(ValueError, match=message):
        Line({})


@pytest.mark.parametrize(
    "setting, message",
    [
        (Setting("units", int, 200, "", 1, 64), "default --units=200 is not allowed.* 1 to 64"),
        (Setting("units", int, 2.5, ""), "the default --units=2.5 is not of type int"),
        (Setting("step", int, 2, ""), "the name step is taken"),
        (Setting("search", int, 2, ""), "the name search is taken"),
        (Setting("lr", float, 2.0, ""), "the name lr is taken"),
        (
            Setting("layers", list, [1, 2], ""),
            "layers is of type list, not of .*, list\\[int\\]",
        ),
        (Setting("layers", list[int], (1, 2), ""), "layers has the default .*, which is no list"),
        (Setting("layers", list[int], [1, 0], "", 1), "the default --layers=1,0 is not allowed"),
        (Setting("layers", list[int], [1], "", lengths=(2, 3)), "--layers=1 .* 2 to 3 integers"),
        (Setting("layers", list[str], ["a"], ""), "layers is a list of str without choices"),
        (Setting("layers", int, 2, "", lengths=(1, 2)), "layers is no list, and has lengths"),
        (Setting("rate", int, 2, "", only_with=("later", 1)), "rate has only_with, .* before it"),
        (Setting("rate", int, 2, "", only_with=("lr",)), "rate has only_with, .* it is .'lr',"),
        (Setting("rate", int, 2, "", only_with=("optimizer", "x")), "cannot be: --optimizer=x is"),
    ],
)
def test_a_line_of_the_table_that_cannot_work_is_named(monkeypatch, shell, setting, message):
    monkeypatch.setattr(Line, "hyperparameters", (*Line.hyperparameters, setting))
    monkeypatch.setitem(MODELS, "LinearRegression", Line)
    status, output, errors = shell()
    assert status == 1 and re.fullmatch(f"error: Line.hyperparameters: .*{message}.*\n", errors)
    assert "damaged" not in errors
    if setting.name != "search":  # a flag of the shell only
        with pytest.raises(ValueError, match=message):
            Line({})


@pytest.mark.parametrize(
    "constraint, message",
    [
        (("lr", "<"), "is not two numbers of the table with a sign between them"),
        (("lr", "<", 3), "is not two numbers of the table"),
        (("lr", "below", "batch_size"), "batch_size.*; <, <=, >, >=, ==, !=$"),
        (("lr", "<", "optimizer"), "is not two numbers of the table"),
        (
            ("batch_size", "<", "lr"),
            "the defaults --batch_size=100 and --lr=0.5 do not go",
        ),
    ],
)
def test_a_constraint_that_cannot_be_kept_is_named(monkeypatch, constraint, message):
    monkeypatch.setattr(Line, "constraints", (constraint,))
    with pytest.raises(ValueError, match=f"Line.constraints: .*{message}"):
        Line({})


def only_when_training(self, batch, training):
    outputs = MODELS["LinearRegression"].inference(self, batch, training)
    return outputs * self.truncated_normal("b", [], stddev=1.0) if training else outputs


def calls_python(self, batch, training):
    outputs = MODELS["LinearRegression"].inference(self, batch, training)
    return tf.ensure_shape(tf.numpy_function(lambda v: v, [outputs], tf.float32), [None])


@pytest.mark.parametrize(
    "inference, message",
    [
        (only_when_training, "Line.inference makes the variable b only when training"),
        (calls_python, "calls Python, by tf.numpy_function"),
    ],
)
def test_an_inference_that_cannot_be_trained_says_why(monkeypatch, inference, message):
    monkeypatch.setattr(Line, "inference", inference)
    with pytest.raises(ValueError, match=message):
        Line({})


def test_a_variable_made_in_the_training_step_alone_is_named(monkeypatch):
    def train_step(self, batch):
        factor = tf.compat.v1.get_variable("factor", [], initializer=tf.ones_initializer())
        return factor * self.update(self.loss(factor * batch["x"], batch))

    monkeypatch.setattr(Line, "train_step", train_step)
    with pytest.raises(ValueError, match="Line.train_step makes the variable factor, which"):
        Line({"optimizer": "sgd"})


def test_values_that_are_not_finite_are_counted_and_the_first_is_located(monkeypatch):
    def inputs(self, split):
        table = np.ones([50, 3], np.float32)
        table[[17, 30], [2, 0]] = np.nan, np.inf
        return {"table": table}

    monkeypatch.setattr(Line, "inputs", inputs)
    message = r"table of train: 2 of 150 values are not finite, the first at \[17, 2\]; drop or"
    with pytest.raises(ValueError, match=message):
        Line({})


def test_what_xla_cannot_compile_is_named(monkeypatch, capsys):
    def inference(self, batch, training):
        outputs = MODELS["LinearRegression"].inference(self, batch, training)
        return outputs + 0 * tf.strings.to_number(tf.strings.as_string(outputs))

    monkeypatch.setattr(Line, "inference", inference)
    with Line({"max_iter": 1}) as model:
        model.prepare_steps()
        assert model.config["jit"] == "off"
    assert "training without (--jit=off): it has no AsString\n" in capsys.readouterr().out


def test_a_method_that_is_not_written_is_named_with_its_class():
    class Half(BasicModel):
        def inputs(self, split):
            return {"x": np.zeros(10, np.float32)}

    with pytest.raises(NotImplementedError, match="Half.inference is not written; docs/write-a-mo"):
        Half({})


class Ranked(MODELS["LinearRegression"]):
    """Has a metric that is no mean over examples: the largest error."""

    objective = ("largest", "min")

    def metrics_of_split(self, values):
        return {"largest": values["absolute_error"].max(), "count": len(values["absolute_error"])}


def test_a_metric_of_a_whole_split_takes_all_examples_and_can_be_the_objective(tmp_path):
    with Ranked({"max_iter": 60, "eval_every": 20, "result_dir": str(tmp_path / "run")}) as model:
        result = model.train()
        arrays = model.load("valid")
        errors = np.abs(model.infer({"x": arrays["x"]})["y"] - arrays["y"])
    assert result["valid"]["largest"] == pytest.approx(errors.max(), rel=1e-6)
    assert result["valid"].keys() == {"loss", "largest", "count"}
    assert result["valid"]["count"] == 100 and errors.max() > 2 * errors.mean()
    best = json.loads((tmp_path / "run" / "checkpoints" / "best.json").read_text())
    assert "largest" in best["valid"]


@pytest.mark.parametrize(
    "metrics, message",
    [
        ({"smallest": 1.0}, "Ranked.objective is largest, which is no metric; .*loss, smallest"),
        ({"largest": 1.0, "step": 2}, "Ranked.metrics_of_split: step is taken"),
        (None, "Ranked.metrics_of_split returns nothing"),
    ],
)
def test_wrong_metrics_of_a_split_are_refused_before_training(
    monkeypatch, tmp_path, metrics, message
):
    monkeypatch.setattr(Ranked, "metrics_of_split", lambda self, values: metrics)
    folder = tmp_path / "run"
    with Ranked({"result_dir": str(folder)}) as model, pytest.raises(ValueError, match=message):
        model.train()
    assert not folder.exists()


def test_a_run_is_inferred_from_and_evaluated_without_its_training_data(
    finished, tmp_path, shell, monkeypatch
):
    folder, _ = finished
    with make_model({"result_dir": str(folder)}) as model:
        images = model.load("valid")["images"][:3]
        model.restore()
        expected = model.infer({"images": images})
    np.save(tmp_path / "x.npy", images)
    monkeypatch.setattr(MNIST, "inputs", missing := lambda self, split: 1 / 0)
    with make_model({"result_dir": str(folder)}) as model:
        model.restore()
        found = model.infer({"images": images})
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    flags = ["--infer", f"--result_dir={folder}", f"--input={tmp_path / 'x.npy'}"]
    status, output, errors = shell(*flags)
    assert (status, errors) == (0, "") and output.count("digit = ") == 3
    status, _, errors = shell("--infer", f"--result_dir={folder}")  # examples of valid: not there
    assert status == 1 and "ZeroDivisionError" in errors
    monkeypatch.setattr(MNIST, "inputs", lambda self, split: only_test(missing, self, split))
    status, output, _ = shell("--evaluate", f"--result_dir={folder}")
    assert status == 0 and output.startswith("test at step 120: loss = ")


def only_test(missing, model, split):
    """The test split, where the others are missing."""
    from data.fake_digits import fake_digits

    return fake_digits(split) if split == "test" else missing(model, split)


def test_other_training_data_than_was_recorded_is_refused(finished, monkeypatch, shell):
    original = MNIST.inputs
    monkeypatch.setattr(
        MNIST, "inputs", lambda self, split: {n: a[:999] for n, a in original(self, split).items()}
    )
    status, _, errors = shell(f"--result_dir={finished[0]}", "--max_iter=130")
    assert status == 1 and "the training data is not what" in errors


def test_an_objective_that_is_no_metric_is_refused(monkeypatch):
    monkeypatch.setattr(Line, "objective", ("accuracy", "max"))
    with pytest.raises(ValueError, match="accuracy, which is no metric"):
        Line({})


def test_a_metric_that_is_averaged_already_is_refused(monkeypatch):
    def average(self, outputs, batch):  # of a shape that is known only when it runs
        return {"error": tf.compat.v1.placeholder_with_default(tf.reduce_mean(outputs), None)}

    monkeypatch.setattr(Line, "evaluation", average)
    with Line({}) as model, pytest.raises(ValueError, match="error must have one value for each"):
        model.evaluate("valid")


def test_a_step_that_does_not_count_is_refused(monkeypatch):
    def train_step(self, batch):
        loss = self.loss(batch["x"], batch)
        return loss

    monkeypatch.setattr(Line, "train_step", train_step)
    with Line({}) as model, pytest.raises(ValueError, match="train_step must count"):
        model.train()


def test_a_model_may_bring_an_optimizer_of_its_own(monkeypatch):
    def update(self, loss):
        if not hasattr(self, "own"):
            self.own = tf.compat.v1.train.RMSPropOptimizer(self.lr)
        pairs = zip(tf.gradients(loss, self.variables), self.variables, strict=True)
        return self.own.apply_gradients(pairs, global_step=self.global_step)

    monkeypatch.setattr(Line, "update", update)
    with Line({"lr": 0.05, "max_iter": 100}) as model:
        assert model.train()["status"] == "complete"
        assert model.config["jit"] == "off" or "weight/RMSProp" in model.weights()
        assert abs(model.weights()["weight"] - 3) < 1


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_variable_that_only_training_or_nothing_uses_is_no_obstacle(monkeypatch, optimizer):
    original = Line.inference

    def inference(self, batch, training):
        extra = self.truncated_normal("extra", [3], stddev=1.0)
        self.truncated_normal("unused", [3], stddev=1.0)
        picked = tf.gather(extra, tf.constant([1, 1]))  # its gradient is sparse
        return original(self, batch, training) + (tf.reduce_sum(picked) if training else 0.0)

    monkeypatch.setattr(Line, "inference", inference)
    with Line({"optimizer": optimizer, "max_iter": 20}) as model:
        assert model.train()["status"] == "complete"
    with Line({"optimizer": optimizer, "lr": 1000.0, "batch_size": 10}) as model:
        result = model.train()
    assert result["status"] == ("diverged" if optimizer == "sgd" else "complete")


def test_a_model_is_what_its_subclass_says():
    with pytest.raises(NotImplementedError):
        BasicModel({})


def test_an_input_that_does_not_fit_is_refused_and_not_cast(finished):
    with make_model({"result_dir": str(finished[0])}) as model:
        model.restore()
        images = model.load("valid")["images"][:3]
        assert set(model.infer({"images": images})) == {"digit", "probability"}
        wanted = r"images must be uint8 \[n, 28, 28\], not"
        for inputs, message in [
            ({"images": images / 255.0}, rf"{wanted} float64 \[3, 28, 28\]"),
            ({"images": images.astype(np.int64) + 256}, f"{wanted} int64"),
            ({"images": images[:, :27]}, rf"{wanted} uint8 \[3, 27, 28\]"),
            ({"images": images[0, 0, 0]}, rf"{wanted} uint8 \[\]"),
            ({"pixels": images}, "no input pixels; the inputs are images, labels"),
            ({"images": images, "labels": np.zeros([2], np.uint8)}, "equally long.*3.*2"),
            ({"labels": np.zeros([2], np.uint8)}, "need the input images, too"),
        ]:
            with pytest.raises(ValueError, match=message):
                model.infer(inputs)


def test_floats_may_be_rounded_and_integers_converted_if_they_fit(line_run):
    with make_model({"result_dir": str(line_run[0])}) as model:
        model.restore()
        assert model.infer({"x": np.array([0.5])})["y"].dtype == np.float32
        assert model.infer([2])["y"] == model.infer({"x": np.float32([2])})["y"]
        with pytest.raises(ValueError, match=r"x must be float32 \[n\], not int64 \[1\]"):
            model.infer({"x": [2**25 + 1]})


def test_an_input_that_is_not_finite_is_refused(line_run):
    with make_model({"result_dir": str(line_run[0])}) as model:
        model.restore()
        assert np.isfinite(model.infer({"x": np.array([3e38])})["y"]).shape == (1,)
        for value in (np.nan, -np.inf, 1e300):  # the last is infinite as a float32
            with pytest.raises(ValueError, match="the input x must be finite in float32"):
                model.infer({"x": np.array([0.5, value])})


def test_a_split_of_other_names_or_dtypes_than_the_training_data_is_refused(monkeypatch):
    original = Line.inputs

    def inputs(self, split):
        arrays = original(self, split)
        return arrays if split == "train" else arrays | {"x": (100 * arrays["x"]).astype(int)}

    with monkeypatch.context() as patch:
        patch.setattr(Line, "inputs", inputs)
        with Line({}) as model, pytest.raises(ValueError, match="x must be float32"):
            model.evaluate("valid")
    fewer = {"train": ("x", "y"), "valid": ("x",)}
    monkeypatch.setattr(
        Line, "inputs", lambda self, split: {n: original(self, split)[n] for n in fewer[split]}
    )
    message = r"of valid are \['x'\], those of train"
    with Line({}) as model, pytest.raises(ValueError, match=message):
        model.evaluate("valid")


def test_the_best_known_configuration_is_read_and_checked(small):
    best = MNIST.get_best_config()
    with make_model(small | best) as model:
        assert {name: model.config[name] for name in best} == best

    class Unknown(MNIST):
        pass

    with pytest.raises(ConfigError, match="there is no"):
        Unknown.get_best_config()
