"""What a person sees of a run: train and valid side by side, pictures, checkpoints."""

import numpy as np
import pytest
from runs import curves, kept, metrics, train
from toy import Toy

from models import make_model
from training import checkpoints
from training.evaluation import arrays_of


def test_each_evaluation_shows_train_and_valid_side_by_side(small, capsys, tmp_path):
    train(small)
    lines = [line for line in capsys.readouterr().out.splitlines() if "|" in line]
    records = {(r["step"], r["split"]): r for r in metrics(tmp_path / "run")}
    expected = []
    for step in (40, 80, 120):
        train_sample, valid = (records[step, split] for split in ("train_sample", "valid"))
        expected.append(
            f"Step {step}: train loss = {train_sample['loss']:.4g}, "
            f"accuracy = {train_sample['accuracy']:.4g} | valid loss = {valid['loss']:.4g}, "
            f"accuracy = {valid['accuracy']:.4g}"
        )
    assert lines == expected


def test_the_sample_of_train_is_fixed_by_the_seed_and_evaluated_without_dropout(small):
    with Toy(small | {"eval_examples": 20}) as model, Toy(small | {"eval_examples": 60}) as all_of:
        sample, again = (arrays_of(model, "train_sample") for _ in range(2))
        assert all(np.array_equal(sample[name], again[name]) for name in sample)
        assert sample["points"].shape == (20, 2)
        points = {tuple(point) for point in model.load("train")["points"]}
        assert len({tuple(point) for point in sample["points"]} & points) == 20
        assert all_of.evaluate("train_sample") == all_of.evaluate("train")
        assert model.evaluate("train_sample") == model.evaluate("train_sample")  # no dropout
        assert model.evaluate("train_sample") != model.evaluate("train")
    with Toy(small | {"eval_examples": 20, "random_seed": 8}) as other:
        rows = [np.flatnonzero((m.load("train")["points"][:, None] == arrays_of(m, "train_sample")[
            "points"]).all(-1).any(1)) for m in (model, other)]  # fmt: skip
        assert not np.array_equal(*rows)


def test_the_size_of_the_sample_changes_no_weights_and_may_change_on_resume(small, tmp_path):
    train(small, until=60)
    result = train({"result_dir": small["result_dir"], "eval_examples": 5})
    assert result["examples"] == {"train_sample": 5, "valid": 60, "test": 60}
    straight = train(small | {"result_dir": str(tmp_path / "straight")})
    assert straight["examples"]["train_sample"] == 60 and straight["valid"] == result["valid"]
    assert straight["train_sample"] != result["train_sample"]


@pytest.mark.parametrize("bytes_kept, count", [(10**9, 50), (1, 5)])
def test_by_default_50_checkpoints_are_kept_of_a_small_model_and_5_of_a_large_one(
    small, tmp_path, monkeypatch, bytes_kept, count
):
    monkeypatch.setattr(checkpoints, "KEPT_BYTES", bytes_kept)
    settings = small | {"max_to_keep": None, "save_every": 2, "eval_every": 120}
    train(settings)
    assert kept(tmp_path / "run") == list(range(120, 120 - 2 * count, -2))[::-1]


def test_a_paused_run_has_the_curves_of_one_that_never_stopped(small, tmp_path):
    straight = tmp_path / "straight"
    train(small | {"result_dir": str(straight)})
    for until in (30, 70, 120):
        train(small, until=until)
    assert curves(tmp_path / "run") == curves(straight)
    with make_model(small) as model:
        assert model.config["eval_examples"] == 1000
