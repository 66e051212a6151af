"""--promote: what is there and what comes are shown, and a worse one needs --force."""

import json

import pytest
from runs import read

from models import MODELS


@pytest.fixture
def promote(tmp_path, monkeypatch, shell):
    """Promote a winner with these figures: promote(0.98) is (status, output, errors)."""
    monkeypatch.setattr("hpsearch.promotion.PROJECT", tmp_path)
    (tmp_path / "models").mkdir()

    def call(score, *flags, model="MNIST", direction="max", max_iter=1100, run=None):
        folder = tmp_path / "search"
        folder.mkdir(exist_ok=True)
        name = MODELS[model].objective[0]
        settings = {"model_name": model, "search": "random", "search_seed": 0, "run": run or {}}
        settings |= {"max_iter": max_iter, "fixed_params": {}, "ranges": {}, "sampler": "tpe"}
        settings |= {"objective": [name, direction]}
        (folder / "search.json").write_text(json.dumps(settings))
        best = {
            "trial": 3,
            "run": "trials/0003",
            "hyperparameters": {"lr": 0.1},
            "mean": score,
            "spread": 0.00123,
        }
        best |= {"seeds": 3, "scores": [score] * 3, "valid": {name: score}, "settings": settings}
        (folder / "best.json").write_text(json.dumps(best | {"weights_sha256": "0"}))
        return shell("--promote", f"--result_dir={folder}", *flags)

    return call


def stored(tmp_path, model="MNIST"):
    return read(tmp_path, f"models/best/{model}.json")


def test_the_first_winner_has_nothing_to_beat(promote, tmp_path):
    status, output, errors = promote(0.5)
    assert (status, errors) == (0, "")
    assert output.splitlines()[:2] == [
        "Now:    nothing",
        "Winner: accuracy = 0.5 ± 0.0012 (1,100 steps, 3 seeds); lr = 0.1",
    ]
    content = stored(tmp_path)
    assert content["config"] == {"lr": 0.1} and content["valid"] == {"accuracy": 0.5}
    assert (content["seeds"], content["spread"], content["from"]["trial"]) == (3, 0.00123, 3)


def test_a_worse_winner_is_refused_without_force_and_what_is_there_stays(promote, tmp_path):
    promote(0.9863, max_iter=11_000)
    status, output, errors = promote(0.976)
    assert status == 2 and errors.count("\n") == 1
    assert "accuracy = 0.976 ± 0.0012 (1,100 steps, 3 seeds) is worse than" in errors
    assert "accuracy = 0.9863 ± 0.0012 (11,000 steps, 3 seeds)" in errors and "--force" in errors
    assert "Now:    accuracy = 0.9863" in output and "Winner: accuracy = 0.976" in output
    assert stored(tmp_path)["valid"]["accuracy"] == 0.9863
    status, _, errors = promote(0.976, "--force")
    assert (status, errors) == (0, "") and stored(tmp_path)["valid"]["accuracy"] == 0.976


def test_a_better_or_an_equal_winner_is_taken(promote, tmp_path):
    for score in (0.9, 0.91, 0.91 - 1e-9):
        assert promote(score)[0] == 0 and stored(tmp_path)["valid"]["accuracy"] == score
    assert promote(0.9099)[0] == 2


def test_the_direction_of_the_objective_counts(promote, tmp_path):
    of_line = {"model": "LinearRegression", "direction": "min"}
    assert promote(0.09, **of_line)[0] == promote(0.08, **of_line)[0] == 0
    assert promote(0.09, **of_line)[0] == 2
    assert stored(tmp_path, "LinearRegression")["valid"] == {"loss": 0.08}


def test_a_score_on_generated_digits_is_none_for_real_ones(promote, tmp_path):
    promote(0.98)
    status, _, errors = promote(1.0, run={"fake_data": True})
    assert status == 2 and "--fake_data" in errors and stored(tmp_path)["valid"]["accuracy"] == 0.98
    assert promote(1.0, "--force", run={"fake_data": True})[0] == 0
    assert promote(0.97, "--force")[0] == 0


def test_a_file_that_was_written_by_hand_is_compared_too(promote, tmp_path):
    (tmp_path / "models" / "best").mkdir()
    file = tmp_path / "models" / "best" / "MNIST.json"
    file.write_text('{"config": {"lr": 1.0}, "valid": {"accuracy": 0.9}, "from": "by hand"}')
    status, output, _ = promote(0.8)
    assert status == 2 and "Now:    accuracy = 0.9 (1 seed); lr = 1" in output
    file.write_text('{"config": {"lr": 1.0}, "valid": {}, "from": "by hand"}')
    status, output, _ = promote(0.8)
    assert status == 0 and "Now:    accuracy = unknown" in output


@pytest.mark.parametrize("files, words", [([], "holds no search"), (["search.json"], "no best")])
def test_a_folder_without_a_winner_is_refused(shell, tmp_path, files, words):
    for name in files:
        (tmp_path / name).write_text("{}")
    status, _, errors = shell("--promote", f"--result_dir={tmp_path}")
    assert status == 1 and words in errors and errors.count("\n") == 1


def test_the_next_command_has_the_flags_of_the_search_but_for_the_threads_of_a_trial(promote):
    run = {"fake_data": True, "jit": "off", "deterministic": False, "threads": 1}
    _, output, _ = promote(0.5, run=run)
    assert output.splitlines()[-1].endswith(" --model_name=MNIST --best --fake_data --jit=off")
    _, output, _ = promote(0.6, run=run | {"jit": "short"})
    assert output.splitlines()[-1].endswith(" --model_name=MNIST --best --fake_data")
