"""A disk that is full stops a run with a clear message, and loses nothing that was saved."""

import os
import shlex
import shutil
import subprocess
import sys

import pytest
from runs import digests, metrics, read, train
from searches import assert_same, ledger, search

from training.files import PROJECT

SETTINGS = {
    "model_name": "MNIST", "fake_data": True, "random_seed": 1, "hidden1": 64, "jit": "off",
    "max_iter": 200, "save_every": 10, "eval_every": 10, "log_every": 5, "max_to_keep": 100,
}  # fmt: skip


def can_mount():
    command = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    return shutil.which("unshare") and subprocess.run(command, capture_output=True).returncode == 0


needs_a_disk = pytest.mark.skipif(
    sys.platform != "linux" or not can_mount(), reason="this machine cannot mount a small disk"
)


def on_a_disk(options, folder, *flags):
    """Call main.py with its result_dir on a small disk, which is then copied to folder."""
    disk = folder.with_name(f"{folder.name} disk")
    disk.mkdir()
    # The disk exists as long as this shell.
    script = (
        f"mount -t tmpfs -o {options} none '{disk}' || exit 99;"
        f"{sys.executable} main.py {shlex.join(flags)} '--result_dir={disk}/run'; status=$?;"
        f"cp -r '{disk}/run' '{folder}'; exit $status"
    )
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)


@needs_a_disk
def test_a_run_on_a_full_disk_fails_clearly_and_goes_on_when_there_is_room(tmp_path):
    saved = tmp_path / "saved"
    flags = [f"--{name}={value}" for name, value in SETTINGS.items()]
    answer = on_a_disk("size=4m", saved, *flags)
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


@needs_a_disk
def test_a_search_on_a_full_disk_stops_clearly_and_goes_on_when_there_is_room(tmp_path):
    flags = ["--search=random", "--trials=6", "--max_iter=6", "--jit=off", "--confirm=0"]
    answer = on_a_disk("size=400k", tmp_path / "saved", *flags, "--nb_process=2")
    assert answer.returncode == 1, answer.stderr
    (line,) = answer.stderr.splitlines()
    assert "space" in line.lower() and line.endswith("then run the same command to resume")
    states = {record["state"] for record in ledger(tmp_path / "saved")}
    assert states == {"trained"}  # a disk says nothing about a trial
    for folder in (tmp_path / "saved", tmp_path / "straight"):
        assert search(folder, 2, common=flags).wait(300) == 0
    assert_same(tmp_path / "saved", tmp_path / "straight")


@needs_a_disk
@pytest.mark.parametrize("flags", [[], ["--search=random"]], ids=["run", "search"])
def test_a_disk_that_cannot_be_written_is_said_in_one_line(tmp_path, flags):
    answer = on_a_disk("ro", tmp_path / "saved", "--jit=off", *flags)
    assert answer.returncode == 1
    assert answer.stderr.splitlines()[0].endswith("/run: Read-only file system")
    assert "Traceback" not in answer.stderr


def run_with_a_limit(size, settings, folder):
    """Train in a process whose files may not be longer."""
    limit = (
        "import resource, sys, main; from training import provenance;"
        "provenance.TEXT_LIMIT = 0;"  # config.json stays below the limit
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
    settings = {"jit": "off", "max_iter": 400, "eval_every": 1, "log_every": 50, "save_every": 50}
    answer = run_with_a_limit(60_000, settings, tmp_path / "run")
    assert answer.returncode == 1 and answer.stderr.count("\n") == 1, answer.stderr
    assert "events.out" in answer.stderr and "cannot be written" in answer.stderr
