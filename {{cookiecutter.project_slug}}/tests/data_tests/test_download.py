"""The folder, which is complete or not there whatever happens, and the command that fills it."""

import errno
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data import mirrors
from data.download import PROJECT, download, main
from data.loaders import load_mnist


def test_data_that_is_there_is_not_fetched_again(mirror, folder, dead_url, capsys):
    download(mirror, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    download(dead_url, folder)
    assert "nothing to fetch" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    with pytest.raises(ConnectionError):  # the control
        download(dead_url, folder.parent / "mnist-other")


def test_a_damaged_folder_is_neither_repaired_nor_removed(mirror, folder, assert_complete):
    download(mirror, folder)
    (folder / "valid" / "labels.npy").unlink()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="Delete the folder"):
        download(mirror, folder)
    assert (folder / "notes.txt").read_text() == "mine"
    shutil.rmtree(folder)  # what the message says
    download(mirror, folder)
    assert_complete(folder)


@pytest.mark.parametrize("call", [1, 4, 6])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_a_failure_in_the_middle_leaves_nothing(
    mirror, folder, assert_complete, monkeypatch, call, error
):
    save, calls = np.save, []

    def failing_save(path, array):
        save(path, array)
        calls.append(path)
        if len(calls) == call:
            raise error

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", failing_save)
        with pytest.raises(type(error)) as caught:
            download(mirror, folder)
    if isinstance(error, OSError):
        assert "No space left" in str(caught.value) and str(folder) in str(caught.value)
    assert len(calls) == call
    assert not list(folder.parent.iterdir())
    download(mirror, folder)
    assert_complete(folder)


def test_a_folder_that_cannot_be_written_is_named(mirror, tmp_path):
    (tmp_path / "file").write_text("a file")
    for parent in (tmp_path / "no" / "such", tmp_path / "file"):
        with pytest.raises(OSError, match="cannot be written") as caught:
            download(mirror, parent / "mnist")
        assert str(parent / "mnist") in str(caught.value)


def test_whoever_comes_second_takes_what_the_first_has_written(
    mirror, folder, assert_complete, monkeypatch
):
    fetch = mirrors.fetch

    def fetch_while_another_finishes(sources, temporary):
        with monkeypatch.context() as patch:
            patch.setattr(mirrors, "fetch", fetch)
            download(mirror, folder)
        return fetch(sources, temporary)

    monkeypatch.setattr(mirrors, "fetch", fetch_while_another_finishes)
    assert download(mirror, folder) == folder
    assert_complete(folder)


def test_the_command_says_where_the_data_is(mirror, folder, assert_complete, monkeypatch, capsys):
    monkeypatch.setattr(download, "__defaults__", (None, folder))
    assert main([f"--mirror={mirror}"]) == 0
    assert capsys.readouterr().out == (
        f"MNIST is ready in {folder}: train 50, valid 10, test 10.\n"
    )
    assert_complete(folder)


def test_the_command_fails_with_one_line_and_a_status(folder, dead_url, monkeypatch, capsys):
    monkeypatch.setattr(download, "__defaults__", (None, folder))
    assert main([f"--mirror={dead_url}"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert len(output.err.splitlines()) == 1 and output.err.startswith("error: MNIST could not")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(mirrors, "fetch", interrupted)
    assert main([f"--mirror={dead_url}"]) == 130
    assert capsys.readouterr().err == "Interrupted: nothing was written.\n"
    assert not list(folder.parent.iterdir())


@pytest.mark.parametrize(
    "wrong", [["--mirrors=x"], ["--mir=x"], ["stray"], ["--mirror="], ["--mirror"]]
)
def test_wrong_usage_is_status_2(wrong, folder):
    with pytest.raises(SystemExit) as caught:
        main(wrong)
    assert caught.value.code == 2
    assert not list(folder.parent.iterdir())


@pytest.fixture
def project(tmp_path):
    """A copy of the code, so that a process can run it without touching this project's data."""
    (tmp_path / "project" / "data").mkdir(parents=True)
    for path in Path(PROJECT, "data").glob("*.py"):
        shutil.copy(path, tmp_path / "project" / "data")
    return tmp_path / "project"


def start(project, *arguments):
    command = [sys.executable, str(project / "data" / "download.py"), *arguments]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def test_the_script_runs_from_any_folder_and_shows_no_traceback(project, mirror):
    process = start(project, f"--mirror={mirror}")  # whose digests are not those of the script
    output, errors = process.communicate()
    assert process.returncode == 1
    assert output == "" and len(errors.splitlines()) == 1
    assert errors.startswith("error: MNIST could not be fetched")
    assert not list(project.glob("data/mnist*"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without a signal")
def test_sigterm_leaves_nothing(project):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        process = start(project, f"--mirror=http://127.0.0.1:{server.getsockname()[1]}")
        with server.accept()[0]:  # now it waits for an answer, which never comes
            assert list(project.glob("data/mnist-*"))
            process.terminate()
            assert process.communicate() == ("", "")
    assert process.returncode == 143
    assert not list(project.glob("data/mnist*"))


def test_two_processes_at_once_both_end_well(project, real_mirror):
    processes = [start(project, f"--mirror={real_mirror}") for _ in range(2)]
    for process in processes:
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        assert "train 55,000, valid 5,000, test 10,000" in output
    assert [path.name for path in project.glob("data/mnist*")] == ["mnist"]
    load_mnist("train", project / "data" / "mnist")
