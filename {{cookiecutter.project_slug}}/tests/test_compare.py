"""--compare puts runs beside each other, whatever state they are in."""

import json
import shutil
import statistics
from pathlib import Path

import pytest
from runs import read

from training.folders import locked


def copy(finished, folder, score=None, status=None, **settings):
    """A copy of the finished run with other settings, another best score, another status."""
    shutil.copytree(finished[0], folder)
    changes = {"config.json": ("config", settings)}
    changes["checkpoints/best.json"] = ("valid", {} if score is None else {"accuracy": score})
    for name, (part, values) in changes.items():
        content = read(folder, name)
        content[part] |= values
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
    if status:
        (folder / "status.json").write_text(json.dumps(read(folder, "status.json") | status))


@pytest.fixture
def compared(shell):
    """Compare in JSON: compared(folder, ...) returns {name of a run's folder: its columns}."""

    def call(*flags):
        status, output, errors = shell("--compare", *map(str, flags), "--format=json")
        assert status == 0, errors
        return {Path(run["folder"]).name: run for run in json.loads(output)}

    return call


def test_a_run_is_shown_with_what_its_files_say(finished, compared):
    folder, result = finished
    run = compared(folder)["run"]
    assert (run["model_name"], run["status"], run["step"]) == ("Toy", "complete", 120)
    assert run["duration"] == read(folder, "status.json")["seconds"]
    for split in ("train_sample", "valid", "test"):
        found = {name: run[f"{split}_{name}"] for name in ("loss", "accuracy")}
        assert found == result[split]
    best = read(folder / "checkpoints", "best.json")
    assert (run["best_accuracy"], run["best_step"]) == (best["valid"]["accuracy"], best["step"])


def test_a_run_is_shown_with_its_last_evaluation(copy_of_finished, compared):
    before = compared(copy_of_finished)["copy"]
    with open(copy_of_finished / "metrics.jsonl", "a") as file:
        file.write('{"step": 120, "split": "valid", "loss": 9.0, "accuracy": 0.5}\n')
    after = compared(copy_of_finished)["copy"]
    changed = {name for name in after if after[name] != before[name]}
    assert {"valid_loss", "valid_accuracy"} <= changed and after["valid_loss"] == 9.0
    assert not {"best_accuracy", "train_sample_loss", "test_loss"} & changed


def test_the_best_of_the_complete_runs_stands_first_and_is_marked(finished, compared, tmp_path):
    for lr, score in [(0.1, 0.8), (0.2, 0.95), (0.4, 0.9)]:
        copy(finished, tmp_path / str(lr), score, lr=lr)
    copy(finished, tmp_path / "stopped", 0.99, {"status": "interrupted"}, lr=0.8)
    runs = compared(tmp_path)
    assert list(runs) == ["stopped", "0.2", "0.4", "0.1"]  # accuracy: from the highest
    assert [name for name, run in runs.items() if run["best"]] == ["0.2"]
    assert {run["lr"] for run in runs.values()} == {0.1, 0.2, 0.4, 0.8}
    assert "optimizer" not in runs["0.1"]  # it does not differ
    assert list(compared(tmp_path, "--sort_by=lr")) == ["0.1", "0.2", "0.4", "stopped"]


def test_seeds_of_one_configuration_are_a_line_with_mean_and_deviation(finished, shell, tmp_path):
    scores = [0.75, 0.875, 0.8125]
    for seed, score in enumerate(scores):
        copy(finished, tmp_path / f"seed{seed}", score, random_seed=seed, log_every=seed + 1)
    copy(finished, tmp_path / "other", 0.5, lr=0.4)
    copy(finished, tmp_path / "bad", 0.1, {"status": "diverged", "reason": "loss inf"})
    status, output, _ = shell("--compare", str(tmp_path))
    assert status == 0 and "(4 complete, 1 diverged), by best_accuracy" in output
    mean, deviation = statistics.fmean(scores), statistics.stdev(scores)
    (line,) = [line for line in output.splitlines() if "seed" in line and "±" in line]
    assert line.split()[:4] == ["best", f"{mean:g}", "±", f"{deviation:.2g}"]
    assert line.rstrip().endswith("seed1 and 2 more")
    assert f"{tmp_path / 'bad'} is diverged: loss inf" in output
    (line,) = [line for line in output.splitlines() if line.rstrip().endswith(" other")]
    assert "±" not in line


def test_a_run_says_running_only_while_a_process_has_it(finished, compared, tmp_path):
    copy(finished, tmp_path / "run", status={"status": "running"})
    assert compared(tmp_path)["run"]["status"] == "killed"
    lock = locked(tmp_path / "run", lambda: "nobody")
    assert compared(tmp_path)["run"]["status"] == "running"
    lock.release()


def test_a_damaged_run_is_shown_with_the_reason(finished, compared, tmp_path):
    copy(finished, tmp_path / "whole")
    for name in ("config.json", "status.json"):
        copy(finished, tmp_path / name)
        (tmp_path / name / name).write_text("{")
    copy(finished, tmp_path / "lost")
    (tmp_path / "lost" / "config.json").unlink()
    runs = compared(tmp_path)
    for name in ("config.json", "status.json"):
        assert runs[name]["status"] == "damaged" and f"{name} is damaged" in runs[name]["reason"]
    assert runs["lost"]["status"] == "damaged" and "config.json" in runs["lost"]["reason"]
    assert runs["whole"]["status"] == "complete"


def test_a_choice_by_the_test_split_is_warned_of(finished, shell):
    warning = "A run chosen on the test split looks better than it is"
    assert warning in shell("--compare", str(finished[0]), "--sort_by=test_accuracy")[1]
    assert warning not in shell("--compare", str(finished[0]), "--sort_by=valid_accuracy")[1]


def test_an_unknown_column_is_refused_with_those_there_are(finished, shell):
    status, _, errors = shell("--compare", str(finished[0]), "--sort_by=valid_los")
    assert status == 2 and "did you mean valid_loss" in errors and "test_accuracy" in errors
