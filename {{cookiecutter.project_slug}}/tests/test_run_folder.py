"""A result folder is a whole experiment, and a run goes on from it as if never stopped."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from models import ConfigError, make_model
from training.checkpoints import Checkpoints, weights_sha256
from training.files import PROJECT, read_jsonl
from training.run_folder import RunFolder, new_folder


def train(config, **options):
    with make_model(config) as model:
        return model.train(**options)


def read(folder, name):
    return json.loads((folder / name).read_text())


def digests(folder):
    """{step: weights_sha256} as recorded."""
    records = read_jsonl(folder / "checkpoints" / "checkpoints.jsonl")
    return {record["step"]: record["weights_sha256"] for record in records}


def metrics(folder):
    """The records but for times."""
    records = read_jsonl(folder / "metrics.jsonl")
    return [{k: v for k, v in r.items() if k != "examples_per_second"} for r in records]


def kept(folder):
    return sorted(int(p.stem.split("-")[1]) for p in folder.glob("checkpoints/*.index"))


@pytest.fixture
def copy_of_digits(digits_run, tmp_path):
    """A copy of the finished small run, to be damaged."""
    folder = tmp_path / "copy"
    shutil.copytree(digits_run[0], folder)
    return folder


def test_a_finished_run_holds_everything(digits_run, small):
    folder, result = digits_run
    small["result_dir"] = str(folder)
    names = {p.name for p in folder.iterdir()}
    assert names == {
        ".lock", "config.json", "status.json", "metrics.jsonl", "checkpoints", "train", "valid"
    }  # fmt: skip
    config = read(folder, "config.json")
    assert config["config"] == small | config["config"]
    assert config["config"]["jit"] is True
    assert {"argv", "git", "host", "processor", "versions", "time"} <= set(config["environment"])
    assert re.fullmatch("[0-9a-f]{64}", config["data_checksum"])
    status = read(folder, "status.json")
    assert (status["status"], status["step"], result["status"]) == ("complete", 120, "complete")
    splits = [(r["step"], r["split"]) for r in metrics(folder)]
    train_records = [(step, "train") for step in range(20, 121, 20)]
    assert sorted(splits) == sorted(
        [*train_records, (40, "valid"), (80, "valid"), (120, "valid"), (120, "test")]
    )
    assert list(digests(folder)) == [0, 40, 80, 120]
    pointer = (folder / "checkpoints" / "checkpoint").read_text()
    assert pointer == 'model_checkpoint_path: "model.ckpt-120"\n'


def test_making_a_model_writes_nothing(small, tmp_path):
    make_model(small).close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_a_paused_and_resumed_run_equals_one_that_never_stopped(small, tmp_path, optimizer):
    small |= {"optimizer": optimizer, "lr": 0.01}
    straight, paused = (tmp_path / name for name in ("straight", "paused"))
    train(small | {"result_dir": str(straight)})
    first = train(small | {"result_dir": str(paused)}, until=50)
    assert (first["status"], first["step"]) == ("interrupted", 50)
    assert read(paused, "status.json")["reason"] == "paused at step 50"
    assert train({"result_dir": str(paused)})["step"] == 120
    assert metrics(paused) == metrics(straight)
    both = digests(paused)
    assert both.pop(50)
    assert both == digests(straight)


def test_max_iter_is_a_total_that_may_be_raised(small, tmp_path):
    folder = tmp_path / "run"
    assert train(small | {"max_iter": 40})["step"] == 40
    assert train({"result_dir": str(folder)})["step"] == 40
    assert train({"result_dir": str(folder), "max_iter": 120})["step"] == 120
    train(small | {"result_dir": str(tmp_path / "straight")})
    assert digests(folder) == digests(tmp_path / "straight")
    with pytest.raises(ConfigError, match="max_iter=80.*step 120 already"):
        train({"result_dir": str(folder), "max_iter": 80})
    assert read(folder, "config.json")["config"]["max_iter"] == 120


def test_a_resumed_run_takes_what_is_not_given_from_its_config(small, tmp_path):
    train(small, until=20)
    with make_model({"result_dir": small["result_dir"]}) as model:
        assert type(model).__name__ == "MNIST"
        assert model.config["random_seed"] == 7 and model.config["hidden1"] == 16
    with make_model({"result_dir": small["result_dir"], "log_every": 1}) as model:
        assert model.config["log_every"] == 1


def test_flags_that_contradict_a_run_are_refused_with_the_differences(small):
    train(small, until=20)
    with pytest.raises(ConfigError, match=r"lr=0.3 \(now 0.5\).*hidden1=16 \(now 8\)"):
        make_model({"result_dir": small["result_dir"], "lr": 0.5, "hidden1": 8})
    with pytest.raises(ConfigError, match=r"model_name=MNIST \(now LinearRegression\)"):
        make_model({"result_dir": small["result_dir"], "model_name": "LinearRegression"})


def test_other_training_data_than_at_the_start_is_refused(small, monkeypatch):
    train(small, until=20)
    monkeypatch.setattr("models.basic_model.BasicModel.data_checksum", lambda self: "other")
    with pytest.raises(ValueError, match="training data is not what"):
        train(small)


def test_old_checkpoints_go_across_restarts_and_the_best_one_stays(small, tmp_path, monkeypatch):
    values = iter([0.5, 0.9, 0.8, 0.7, 0.6, 0.5])
    evaluate = "models.basic_model.BasicModel.evaluate"
    monkeypatch.setattr(evaluate, lambda self, split: {"loss": 1.0, "accuracy": next(values, 0)})
    small |= {"max_to_keep": 2, "save_every": 20}
    folder = tmp_path / "run"
    train(small, until=60)
    assert kept(folder) == [40, 60]
    train(small | {"max_iter": 200})
    assert kept(folder) == [80, 180, 200]
    assert read(folder, "checkpoints/best.json") == {
        "step": 80, "valid": {"loss": 1.0, "accuracy": 0.9}
    }  # fmt: skip
    assert list(digests(folder)) == list(range(0, 201, 20))


def test_a_best_evaluation_is_saved_even_between_checkpoints(small, tmp_path):
    train(small | {"save_every": 1000})
    best = read(tmp_path / "run", "checkpoints/best.json")["step"]
    assert best in (40, 80, 120)
    with make_model({"result_dir": small["result_dir"]}) as model:
        assert model.restore("best") == best


def test_checkpoints_are_saved_by_the_clock_and_kept_by_the_hour(small, tmp_path):
    hour = iter(range(10**6))
    config = small | {"save_every": 10**6, "save_checkpoint_secs": 3600.0, "max_to_keep": 1}
    with make_model(config | {"keep_checkpoint_every_n_hours": 4.0}) as model:
        checkpoints = Checkpoints(tmp_path, model.config, clock=lambda: 3600 * next(hour))
        for model.step in range(1, 9):
            if checkpoints.is_due(model.step):
                model.save(checkpoints)
                checkpoints.rotate()
    permanent = [r["step"] for r in checkpoints.records if r.get("permanent")]
    assert permanent == [3, 5, 7] and kept(tmp_path) == [3, 5, 7, 8]
    never = Checkpoints(tmp_path, config | {"save_checkpoint_secs": 0.0}, clock=lambda: 1e12)
    assert not never.is_due(9)


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(copy_of_digits, capsys):
    straight = digests(copy_of_digits)
    data = copy_of_digits / "checkpoints" / "model.ckpt-120.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1] + b"\0")
    assert train({"result_dir": str(copy_of_digits)})["step"] == 120
    output = capsys.readouterr().out
    assert "step 120 is damaged" in output and "SHA-256" in output
    assert f"Resuming {copy_of_digits} at step 80" in output
    assert digests(copy_of_digits) == straight


def test_a_run_without_a_usable_checkpoint_never_starts_again_in_silence(copy_of_digits):
    for path in copy_of_digits.glob("checkpoints/*.index"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="no usable checkpoint"):
        train({"result_dir": str(copy_of_digits)})
    assert not read(copy_of_digits, "config.json")["resumed"]


def test_a_torn_last_line_is_mended_and_any_other_is_named(copy_of_digits):
    ledger = copy_of_digits / "metrics.jsonl"
    whole = metrics(copy_of_digits)
    with open(ledger, "a") as file:
        file.write('{"step": 12')
    train({"result_dir": str(copy_of_digits)})
    assert metrics(copy_of_digits) == whole and ledger.read_bytes().endswith(b"}\n")
    ledger.write_text("{torn\n" + ledger.read_text())
    with pytest.raises(ValueError, match="metrics.jsonl is damaged in line 1"):
        train({"result_dir": str(copy_of_digits)})


def test_any_kept_checkpoint_can_be_opened_and_another_lists_those(digits_run):
    with make_model({"result_dir": str(digits_run[0])}) as model:
        assert [model.restore(step) for step in (40, 120, None)] == [40, 120, 120]
        with pytest.raises(FileNotFoundError, match="--step=50 is not kept.*0, 40, 80, 120"):
            model.restore(50)


def test_a_folder_in_use_is_refused_with_who_uses_it(small):
    with make_model(small) as model, RunFolder(dict(model.config)) as run:
        run.record_config("checksum")
        run.set_status("running", 0)
        with pytest.raises(BlockingIOError, match=f"in use by process {os.getpid()} on .* since"):
            model.train()


def test_starts_in_the_same_second_never_share_a_folder(results):
    folders = {new_folder("MNIST") for _ in range(50)}
    assert len(folders) == len(list((results / "MNIST").iterdir())) == 50


def test_a_clone_without_a_results_folder_trains(results):
    assert not results.exists()
    result = train({"max_iter": 10})
    assert [str(p) for p in results.glob("LinearRegression/*")] == [result["result_dir"]]


def test_a_folder_with_something_else_in_it_is_left_alone(small, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("ten years of work")
    with pytest.raises(FileExistsError, match="holds thesis.txt but no run"):
        train(small)
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_a_run_that_cannot_go_on_says_so_in_its_status(small, monkeypatch, tmp_path):
    def disk_full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.loop.log", disk_full)
    with pytest.raises(OSError, match="No space left"):
        train(small)
    status = read(tmp_path / "run", "status.json")
    assert status["status"] == "failed" and "No space left" in status["reason"]
    monkeypatch.undo()
    assert train(small)["status"] == "complete"


def test_a_diverged_run_ends_before_the_bad_update(tmp_path):
    folder = tmp_path / "run"
    line = {"random_seed": 0, "lr": 100.0, "batch_size": 30, "max_iter": 1000, "debug": True}
    result = train(line | {"result_dir": str(folder)})
    status = read(folder, "status.json")
    details = status["details"]
    assert result["status"] == status["status"] == "diverged"
    assert status["step"] == result["step"] == details["bad_step"] - 1 > 0
    assert details["loss"] == "inf" and details["operation"].startswith("diverged/")
    assert details["variable"] == "the loss" and len(details["batch"]) == 30
    with make_model({"result_dir": str(folder)}) as model:
        assert model.restore() == status["step"]
        assert np.isfinite(model.weights()["weight"])
    # One that never saw the bad step has the same weights there, and another step others.
    with make_model(line) as straight:
        straight.prepare_steps()
        while straight.step < status["step"]:
            straight.learn_from_epoch(status["step"])
        assert weights_sha256(straight.weights()) == digests(folder)[status["step"]]
        assert weights_sha256(straight.weights()) != digests(folder)[0]


def start(folder, *flags):
    """Start a long run as a process; return it once it has saved a checkpoint beyond step 0."""
    flags = [*flags, f"--result_dir={folder}", "--random_seed=5", "--save_every=500"]
    command = [sys.executable, str(PROJECT / "main.py"), *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ledger, deadline = folder / "checkpoints" / "checkpoints.jsonl", time.monotonic() + 60
    while not ledger.exists() or len(ledger.read_bytes().splitlines()) < 3:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.01)
    return process


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send these signals to one process")
@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_in_good_order(tmp_path, number, status):
    process = start(tmp_path / "run", "--max_iter=1000000000")
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    step = read(tmp_path / "run", "status.json")["step"]
    assert read(tmp_path / "run", "status.json")["status"] == "interrupted"
    assert list(digests(tmp_path / "run"))[-1] == step
    assert f"Interrupted at step {step}" in output and errors == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_run_ends_with_the_weights_and_metrics_of_one_that_was_not(tmp_path):
    process = start(tmp_path / "killed", "--max_iter=1000000000")
    process.kill()
    process.communicate()
    # The number of steps is raised to what a run that was not killed does as well.
    reached = list(digests(tmp_path / "killed"))[-1]
    last = 1000 * (reached // 1000 + 3)
    for path in (tmp_path / "killed", tmp_path / "straight"):
        train({"result_dir": str(path), "max_iter": last, "random_seed": 5, "save_every": 500})
    assert digests(tmp_path / "killed") == digests(tmp_path / "straight")
    assert metrics(tmp_path / "killed") == metrics(tmp_path / "straight")
    assert len(metrics(tmp_path / "killed")) == last // 100 + last // 1000 + 1
