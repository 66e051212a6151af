"""Pictures: of each complete run its curves, of MNIST what it gets wrong and what it looks for."""

import io
import math

import numpy as np
import pytest
from PIL import Image
from runs import train

from models import make_model
from models.mnist_pictures import (
    confusion,
    draw_confusion,
    draw_mistakes,
    draw_weights,
    most_confident_mistakes,
)
from training.curves import curves_of, draw_curves


def pixels(source):
    """A PNG as an array [height, width, 3]."""
    with Image.open(source) as image:
        return np.array(image.convert("RGB"))


def ink(source):
    """How much of a picture is not white."""
    return (pixels(source) < 250).any(axis=2).mean()


def records(scale=1.0, evaluations=10, steps=100, metrics=("accuracy",)):
    """What a run would have recorded, with a loss that falls."""
    batch = [
        {"step": n, "split": "train", "loss": scale / n, "examples_per_second": 9}
        for n in range(1, steps + 1)
    ]
    valid = [
        {"step": n * steps // evaluations, "split": split, "loss": scale / n + len(split) / 100}
        | {name: 1 - 0.5 / n for name in metrics}
        for n in range(1, evaluations + 1)
        for split in ("train_sample", "valid")
    ]
    return batch + valid


def test_curves_are_drawn_of_each_complete_run(line_run, small, tmp_path):
    height, width, _ = pixels(line_run[0] / "curves.png").shape
    assert (height, width) == (600, 1680)  # loss and one metric, side by side
    assert ink(line_run[0] / "fit.png") > 0.01
    train(small, until=40)
    assert not list((tmp_path / "run").glob("*.png"))
    train(small, final=False)  # a trial of a search
    assert not list((tmp_path / "run").glob("*.png"))


def test_a_picture_of_curves_takes_what_is_finite_and_leaves_out_test():
    found = [
        {"step": 10, "split": "train", "loss": 2.0, "examples_per_second": 9},
        {"step": 20, "split": "valid", "loss": None, "accuracy": 0.5},
        {"step": 20, "split": "test", "loss": 3.0},
        {"step": 30, "split": "train", "loss": math.inf},
        {"step": 40, "split": "train", "loss": math.nan},
        {"step": 5, "split": "train", "loss": 1.0, "examples_per_second": 8},
    ]
    assert curves_of(found) == {
        ("train", "loss"): ([5, 10], [1.0, 2.0]),
        ("valid", "accuracy"): ([20], [0.5]),
    }


def test_curves_show_the_values_and_the_best_step(tmp_path):
    shown = {}
    for name, found, best in [
        ("one", records(), 50),
        ("same", records(), 50),
        ("other", records(scale=3.0), 50),
        ("later", records(), 60),
    ]:
        draw_curves(curves_of(found), tmp_path / f"{name}.png", best)
        shown[name] = pixels(tmp_path / f"{name}.png")
    assert np.array_equal(shown["one"], shown["same"])
    assert not np.array_equal(shown["one"], shown["other"])
    assert not np.array_equal(shown["one"], shown["later"])


@pytest.mark.parametrize(
    "found",
    [
        records(evaluations=1, steps=1),
        records(evaluations=200, steps=10_000),
        records(metrics=[f"metric {n}" for n in range(7)]),
        records(metrics=["$\\frac{", "_", "a\nb", "<b>", "&amp;"]),
        records(metrics=[])[:1],
        [{"step": n, "split": "valid", "loss": loss} for n, loss in enumerate([1e99, -1e99, 0.0])],
    ],
    ids=["one record", "10,000 records", "7 metrics", "odd names", "no evaluation", "far apart"],
)
def test_curves_are_drawn_of_whatever_was_recorded(found):
    file = io.BytesIO()
    draw_curves(curves_of(found), file, 1)
    assert ink(file) > 0.005


def test_a_picture_of_a_model_that_fails_does_not_fail_its_run(
    small, tmp_path, monkeypatch, caplog
):
    def report(self, folder):
        raise RuntimeError("no ink")

    monkeypatch.setattr("toy.Toy.report", report)
    assert train(small)["status"] == "complete"
    assert "Toy.report failed: RuntimeError: no ink" in (tmp_path / "run/train.log").read_text()
    assert (tmp_path / "run" / "report.html").exists()


def test_a_full_disk_does_fail_it(small, monkeypatch):
    def report(self, folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("toy.Toy.report", report)
    with pytest.raises(OSError, match="No space left"):
        train(small)


def test_a_confusion_matrix_has_the_digits_in_rows_and_the_answers_in_columns():
    labels = np.array([0, 1, 1, 2, 9], np.uint8)
    perfect = confusion(labels, labels.astype(np.int64))
    assert np.array_equal(perfect, np.diag([1, 2, 1, 0, 0, 0, 0, 0, 0, 1]))
    counts = confusion(labels, np.array([0, 1, 7, 2, 4]))
    assert counts[1, 7] == counts[9, 4] == counts[1, 1] == 1 and counts[7, 1] == 0
    assert counts.sum() == len(labels) and counts.trace() == 3


def test_the_surest_mistakes_come_first_and_right_answers_never():
    labels, digits = np.array([1, 2, 3, 4, 5]), np.array([1, 0, 0, 4, 0])
    probability = np.array([1.0, 0.5, 0.9, 0.8, 0.7])
    assert most_confident_mistakes(labels, digits, probability).tolist() == [2, 4, 1]
    assert most_confident_mistakes(labels, digits, probability, 2).tolist() == [2, 4]
    assert most_confident_mistakes(labels, labels, probability).tolist() == []


@pytest.mark.parametrize("hidden1", [1, 5, 64, 100])
def test_mnist_draws_its_mistakes_and_any_first_layer(hidden1, tmp_path):
    config = {"model_name": "MNIST", "fake_data": True, "random_seed": 1, "jit": "off"}
    config |= {"hidden1": hidden1, "max_iter": 30, "result_dir": str(tmp_path / "run")}
    with make_model(config) as model:
        model.train()
        weights = model.weights()["hidden1/weights"]
    found = {path.name for path in (tmp_path / "run").glob("*.png")}
    assert found == {"curves.png", "confusion.png", "mistakes.png", "weights.png"}
    assert all(ink(tmp_path / "run" / name) > 0.01 for name in found)
    draw_weights(tmp_path / "again.png", weights)
    draw_weights(tmp_path / "other.png", -weights)
    again, other = (pixels(tmp_path / f"{name}.png") for name in ("again", "other"))
    assert np.array_equal(pixels(tmp_path / "run" / "weights.png"), again)
    assert not np.array_equal(again, other)


def test_mnist_without_a_mistake_or_with_weights_of_zero_is_drawn_too(tmp_path):
    nothing = np.zeros([0]), np.zeros([0]), np.zeros([0])
    draw_mistakes(tmp_path / "mistakes.png", np.zeros([0, 28, 28], np.uint8), *nothing)
    draw_confusion(tmp_path / "confusion.png", np.eye(10, dtype=int) * 100)
    draw_weights(tmp_path / "weights.png", np.zeros([784, 3], np.float32))
    assert all(ink(path) > 0.001 for path in tmp_path.glob("*.png"))
