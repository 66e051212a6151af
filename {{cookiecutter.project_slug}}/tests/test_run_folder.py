"""A result folder is a whole experiment."""

import logging
import os
import re
import socket
import subprocess
import sys
import time

import pytest
from runs import digests, metrics, read, train

from models import make_model
from training.folders import new_folder
from training.metrics import Metrics
from training.run import Run
from training.status import Status


def test_a_finished_run_holds_everything(finished, small):
    folder, result = finished
    small["result_dir"] = str(folder)
    names = {p.name for p in folder.iterdir()} - {".lock"}  # Windows removes it after the run
    assert names == {
        "config.json", "status.json", "metrics.jsonl", "train.log", "checkpoints", "train",
        "valid", "curves.png", "report.html",
    }  # fmt: skip
    config = read(folder, "config.json")
    assert config["config"] == small | config["config"]
    assert {"argv", "git", "host", "processor", "versions", "time"} <= set(config["environment"])
    assert re.fullmatch("[0-9a-f]{64}", config["data_checksum"])
    status = read(folder, "status.json")
    assert (status["status"], status["step"], result["status"]) == ("complete", 120, "complete")
    splits = [(r["step"], r["split"]) for r in metrics(folder)]
    train_records = [(step, "train") for step in range(20, 121, 20)]
    assert sorted(splits) == sorted(
        [
            *train_records,
            *((step, split) for step in (40, 80, 120) for split in ("train_sample", "valid")),
            (120, "test"),
        ]
    )
    assert list(digests(folder)) == [0, 40, 80, 120]
    pointer = (folder / "checkpoints" / "checkpoint").read_text()
    assert pointer == 'model_checkpoint_path: "model.ckpt-120"\n'


def test_the_last_step_is_recorded_and_evaluated_wherever_it_falls(small, tmp_path):
    train(small | {"max_iter": 50})
    records = [(r["step"], r["split"]) for r in metrics(tmp_path / "run")]
    evaluated = ["train", "train_sample", "valid"]
    expected = [(20, "train"), *((step, split) for step in (40, 50) for split in evaluated)]
    assert records == [*expected, (50, "test")]


def test_what_is_recorded_of_a_split_is_what_the_model_reaches_on_it(finished):
    folder, result = finished
    with make_model({"result_dir": str(folder)}) as model:
        splits = {split: model.evaluate(split) for split in ("train_sample", "valid", "test")}
    assert {split: result[split] for split in splits} == splits
    assert len({values["loss"] for values in splits.values()}) == 3


def test_making_a_model_writes_nothing(small, tmp_path):
    make_model(small).close()
    assert list(tmp_path.iterdir()) == []


def test_a_path_may_hold_anything_but_what_tensorflow_takes_for_a_pattern(small, tmp_path):
    folder = tmp_path / ("my run é" if os.name == "nt" else "my run *é")
    train(small | {"result_dir": str(folder)}, until=20)
    assert train({"result_dir": str(folder)})["step"] == 120
    with pytest.raises(ValueError, match=r"run\[1\]: TensorFlow cannot read"):
        train(small | {"result_dir": str(tmp_path / "run[1]")})
    assert not (tmp_path / "run[1]").exists()


def test_a_folder_in_use_is_refused_with_who_uses_it(small):
    with make_model(small) as model, Run(dict(model.config)) as run:
        run.start(model)
        with pytest.raises(BlockingIOError, match=f"in use by process {os.getpid()} on .* since"):
            model.train()


def test_starts_in_the_same_second_never_share_a_folder(results):
    folders = {new_folder("MNIST") for _ in range(50)}
    assert len(folders) == len(list((results / "MNIST").iterdir())) == 50


def test_of_two_starts_on_one_folder_one_runs_and_the_other_is_told(toy_project, shell, tmp_path):
    first = start_in(toy_project, tmp_path / "run")
    try:
        status, _, errors = shell(f"--result_dir={tmp_path / 'run'}")
        holder = rf"in use by process (\d+) on {re.escape(socket.gethostname())} since 20"
        assert status == 1 and (found := re.search(holder, errors)), errors
        # On Windows the Python of an environment only starts another one, which trains.
        assert os.name == "nt" or int(found[1]) == first.pid
    finally:
        first.kill()
        first.communicate()
    last = list(digests(tmp_path / "run"))[-1] + 10
    after = train({"result_dir": str(tmp_path / "run"), "max_iter": last, "model_name": "Toy"})
    assert after["step"] == last  # what the killed process held is free


def start_in(project, folder):
    """A long run, once it has saved something."""
    command = [
        sys.executable,
        "main.py",
        f"--result_dir={folder}",
        "--max_iter=1000000000",
        "--jit=off",
    ]
    run = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (folder / "checkpoints" / "checkpoints.jsonl").exists():
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    return run


def test_a_clone_without_a_results_folder_trains(results):
    assert not results.exists()
    result = train({"model_name": "Toy", "max_iter": 10, "jit": "off"})
    assert [str(p) for p in results.glob("Toy/*")] == [result["result_dir"]]


def test_a_folder_with_something_else_in_it_is_left_alone(small, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("ten years of work")
    with pytest.raises(FileExistsError, match="holds thesis.txt but no run"):
        train(small)
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_a_run_that_cannot_go_on_says_so_in_its_status(small, monkeypatch, tmp_path):
    def disk_full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("training.run.Run.log_losses", disk_full)
        with pytest.raises(OSError, match="No space left"):
            train(small)
    status = read(tmp_path / "run", "status.json")
    assert status["status"] == "failed" and "No space left" in status["reason"]
    assert train(small)["status"] == "complete"


def test_a_value_that_is_not_finite_is_null_in_the_records(tmp_path):
    Metrics(tmp_path).add(("valid", 3, {"loss": float("nan"), "a": -float("inf"), "b": 0.5}))
    line = '{"step": 3, "split": "valid", "loss": null, "a": null, "b": 0.5}\n'
    assert (tmp_path / "metrics.jsonl").read_text() == line


def test_who_holds_a_folder_is_said_only_while_it_says_that_it_is_running(tmp_path):
    status = Status(tmp_path)
    assert status.holder() == "another process"  # which has written nothing yet
    status.start()
    status.write("running", 0)
    assert status.holder().startswith(f"process {os.getpid()} on ")
    status.write("complete", 0)
    assert status.holder() == "another process"


def test_the_seconds_of_a_run_are_those_of_all_its_processes(tmp_path):
    for start, end in [(100.0, 107.5), (0.0, 2.25)]:
        status = Status(tmp_path, clock=iter([start, end]).__next__)
        status.start()
        status.write("interrupted", 20)
    assert read(tmp_path, "status.json")["seconds"] == 7.5 + 2.25


def test_a_resumed_run_goes_on_counting_its_seconds(small, tmp_path):
    train(small, until=20)
    before = read(tmp_path / "run", "status.json")["seconds"]
    train(small)
    assert read(tmp_path / "run", "status.json")["seconds"] > before > 0


def test_messages_appear_once_where_the_root_logger_has_a_handler(small, capfd):
    handler = logging.StreamHandler()
    logging.getLogger().addHandler(handler)
    try:
        train(small, until=0)
    finally:
        logging.getLogger().removeHandler(handler)
    output, errors = capfd.readouterr()
    assert output.count("Toy with random_seed") == 1 and "Toy with random_seed" not in errors


def test_the_log_of_a_run_has_the_lines_of_the_console(small, tmp_path, capsys):
    train(small, until=60)
    train(small)
    console = [line for line in capsys.readouterr().out.splitlines() if "Compiling" not in line]
    assert (tmp_path / "run" / "train.log").read_text().splitlines() == console
    assert console[0] == "Toy with random_seed 7" and console[-1].startswith("Step 120: train loss")
