"""A disk that is full stops a run with a clear word, and costs nothing that was saved."""

import os
import shutil
import subprocess
import sys

import pytest
from runs import digests, metrics, read, train

from training.files import PROJECT

SETTINGS = {
    "model_name": "MNIST", "fake_data": True, "random_seed": 1, "hidden1": 64, "jit": False,
    "max_iter": 200, "save_every": 10, "eval_every": 10, "log_every": 5, "max_to_keep": 100,
}  # fmt: skip


def can_mount():
    command = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    return shutil.which("unshare") and subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.skipif(sys.platform != "linux" or not can_mount(), reason="no small disk to be had")
def test_a_run_on_a_full_disk_fails_clearly_and_goes_on_when_there_is_room(tmp_path):
    disk, saved = tmp_path / "disk", tmp_path / "saved"
    disk.mkdir()
    flags = " ".join(f"--{name}={value}" for name, value in SETTINGS.items())
    # The small disk is there as long as this shell: what is on it then is copied.
    script = (
        f"mount -t tmpfs -o size=4m none {disk} || exit 99;"
        f"{sys.executable} main.py {flags} --result_dir={disk}/run; status=$?;"
        f"cp -r {disk}/run {saved}; exit $status"
    )
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert answer.returncode == 1, answer.stderr
    (line,) = answer.stderr.splitlines()
    assert line.startswith("error: ") and "space" in line.lower()
    status = read(saved, "status.json")
    assert status["status"] == "failed" and "space" in status["reason"].lower()
    assert len(digests(saved)) > 1
    assert train({"result_dir": str(saved)})["status"] == "complete"
    train(SETTINGS | {"result_dir": str(tmp_path / "straight")})
    assert digests(saved) == digests(tmp_path / "straight")
    assert metrics(saved) == metrics(tmp_path / "straight")


def run_with_a_limit(size, settings, folder):
    """Train in a process whose files may not be longer."""
    limit = (
        "import resource, sys, main;"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}));"
        "sys.exit(main.main(sys.argv))"
    )
    flags = [f"--{name}={value}" for name, value in settings.items()]
    command = [sys.executable, "-c", limit, *flags, f"--result_dir={folder}"]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limits on the size of files")
def test_a_file_that_may_not_grow_fails_clearly_too(tmp_path):
    answer = run_with_a_limit(150_000, SETTINGS, tmp_path / "run")
    assert answer.returncode == 1 and answer.stderr.count("\n") == 1, answer.stderr
    assert read(tmp_path / "run", "status.json")["status"] == "failed"
    assert train({"result_dir": str(tmp_path / "run")})["status"] == "complete"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limits on the size of files")
def test_events_that_cannot_be_written_are_said_in_one_line_too(tmp_path):
    settings = {"jit": False, "max_iter": 400, "eval_every": 1, "log_every": 50, "save_every": 50}
    answer = run_with_a_limit(60_000, settings, tmp_path / "run")
    assert answer.returncode == 1 and answer.stderr.count("\n") == 1, answer.stderr
    assert "events.out" in answer.stderr and "cannot be written" in answer.stderr
