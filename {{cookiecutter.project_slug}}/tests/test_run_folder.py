"""A result folder is a whole experiment."""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time

import pytest
from runs import digests, metrics, read, train

from models import make_model
from training.files import PROJECT
from training.run_folder import RunFolder, new_folder


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


def test_a_path_may_hold_anything_but_what_tensorflow_takes_for_a_pattern(small, tmp_path):
    folder = tmp_path / "my run *é"
    train(small | {"result_dir": str(folder)}, until=20)
    assert train({"result_dir": str(folder)})["step"] == 120
    with pytest.raises(ValueError, match=r"run\[1\]: TensorFlow cannot read"):
        train(small | {"result_dir": str(tmp_path / "run[1]")})
    assert not (tmp_path / "run[1]").exists()


def test_a_folder_in_use_is_refused_with_who_uses_it(small):
    with make_model(small) as model, RunFolder(dict(model.config)) as run:
        run.record_config("checksum", parent=None)
        run.set_status("running", 0)
        with pytest.raises(BlockingIOError, match=f"in use by process {os.getpid()} on .* since"):
            model.train()


def test_starts_in_the_same_second_never_share_a_folder(results):
    folders = {new_folder("MNIST") for _ in range(50)}
    assert len(folders) == len(list((results / "MNIST").iterdir())) == 50


def test_eight_processes_that_start_in_the_same_second_have_eight_folders(tmp_path):
    code = (
        "import sys, time, pathlib; from training import run_folder;"
        "run_folder.RESULTS = pathlib.Path(sys.argv[1]);"
        "time.sleep(float(sys.argv[2]) - time.time());"
        "run = run_folder.RunFolder({'result_dir': None, 'model_name': 'MNIST'});"
        "run.__enter__(); print(run.path, int(time.time()))"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(int(time.time()) + 3.1)]
    options = {"stdout": subprocess.PIPE, "text": True, "cwd": PROJECT}
    starts = [subprocess.Popen(command, **options) for _ in range(8)]
    answers = [start.communicate()[0].split() for start in starts]
    assert len({folder for folder, _ in answers}) == 8
    assert len({second for _, second in answers}) == 1


def test_of_two_starts_on_one_folder_one_runs_and_the_other_is_told(process, tmp_path):
    first = start_in(tmp_path / "run")
    try:
        second = process(f"--result_dir={tmp_path / 'run'}")
        holder = f"in use by process {first.pid} on {socket.gethostname()} since 20"
        assert second.returncode == 1 and holder in second.stderr
    finally:
        first.kill()
        first.communicate()
    last = list(digests(tmp_path / "run"))[-1] + 10
    after = train({"result_dir": str(tmp_path / "run"), "max_iter": last})
    assert after["step"] == last  # what the killed process held is free


def start_in(folder):
    """A long run, once it has saved something."""
    command = [sys.executable, "main.py", f"--result_dir={folder}", "--max_iter=1000000000"]
    run = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (folder / "checkpoints" / "checkpoints.jsonl").exists():
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    return run


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


def test_the_source_files_of_a_run_are_recorded_with_what_git_does_not_hold(tmp_path):
    """Also new files, which `git diff` leaves out: the moment when a model is added."""
    project = tmp_path / "project"
    ignored = shutil.ignore_patterns("results", "mnist", "__pycache__", ".venv")
    shutil.copytree(PROJECT, project, ignore=ignored)
    (project / "results").mkdir()
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *command], cwd=project, check=True)
    registry = project / "models" / "__init__.py"
    text = registry.read_text() + "\nfrom models import added\n"
    registry.write_text(text)
    (project / "models" / "added.py").write_text("NEW = 'ä'\n", encoding="utf-8")
    command = [sys.executable, "main.py", "--max_iter=1", "--nojit", "--random_seed=1"]
    subprocess.run([*command, "--result_dir=run"], cwd=project, check=True, capture_output=True)
    about = read(project / "run", "config.json")["environment"]
    sources = about["sources"]
    assert {path for path, source in sources.items() if "text" in source} == {
        "models/__init__.py", "models/added.py"
    }  # fmt: skip
    assert sources["models/added.py"]["text"] == "NEW = 'ä'\n"
    assert sources["models/__init__.py"]["text"] == text
    assert {"main.py", "models/basic_model.py", "training/steps.py"} <= sources.keys()
    for path, source in sources.items():
        assert source["sha256"] == hashlib.sha256((project / path).read_bytes()).hexdigest()
    # A resumed run records the files that changed meanwhile, and --verify names them.
    (project / "models" / "added.py").write_text("NEW = 2\n")
    command = [sys.executable, "main.py", "--result_dir=run"]
    subprocess.run([*command, "--max_iter=2"], cwd=project, check=True, capture_output=True)
    (resumed,) = read(project / "run", "config.json")["resumed"]
    assert list(resumed["sources"]) == ["models/added.py"]
    line = project / "models" / "linear_regression.py"
    line.write_text(line.read_text().replace("SLOPE, NOISE = 3.0", "SLOPE, NOISE = 2.0"))
    answer = subprocess.run([*command, "--verify"], cwd=project, capture_output=True, text=True)
    assert answer.returncode == 1
    assert "  code: models/linear_regression.py is not what it was when" in answer.stdout
    assert "  code: models/added.py is not what it was when it was started" in answer.stdout
    assert "models/mnist.py" not in answer.stdout
