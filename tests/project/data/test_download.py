"""A download is complete or leaves nothing, whatever mirrors, disks and users do to it."""

import errno
import gzip
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from data import download as module
from data.download import download, main

NAMES = list(module.FILES)
DEAD_URL = "http://127.0.0.1:9"  # nothing listens at this port


@pytest.mark.parametrize("form", ["compressed", "decompressed", "decompressed on the way"])
@pytest.mark.parametrize("kind", ["folder", "URL", "URL/"])
def test_a_mirror_is_a_folder_or_url_with_or_without_gz(
    web, mirror, folder, tiny, assert_complete, kind, form
):
    if form != "compressed":
        for name, content in tiny.items():
            (mirror / f"{name}.gz").write_bytes(content)
            if form == "decompressed":
                (mirror / f"{name}.gz").rename(mirror / name)
    download(mirror if kind == "folder" else kind.replace("URL", web.url), folder)
    assert_complete(folder)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_progress_bar_is_shown_on_a_terminal_only(web, folder, monkeypatch, is_terminal):
    stderr = io.StringIO()
    stderr.isatty = lambda: is_terminal
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", stderr)
    download(web.url, folder)
    shown = stderr.getvalue()
    assert re.search("━━━|---", shown) if is_terminal else shown == ""  # of lines in old consoles


@pytest.mark.parametrize("trouble", [500, 503, "cut"])
def test_a_transfer_that_fails_is_tried_three_times(web, folder, assert_complete, trouble):
    web.troubles[:] = [trouble] * 3
    with pytest.raises(ValueError, match=f"{NAMES[0]}.gz cannot be"):
        download(web.url, folder)
    assert web.requests == [f"/{NAMES[0]}.gz"] * 3
    assert os.listdir(folder.parent) == []
    web.troubles[:] = [trouble] * 2
    download(web.url, folder)
    assert_complete(folder)


@pytest.mark.parametrize("trouble", ["missing", "damaged"])
def test_without_a_good_file_the_next_mirror_is_used_at_once(
    web, mirror, folder, assert_complete, monkeypatch, trouble
):
    shutil.copytree(mirror, mirror / "bad")
    bad = mirror / "bad" / f"{NAMES[1]}.gz"
    bad.unlink() if trouble == "missing" else bad.write_bytes(b"<html>Log in</html>")
    with pytest.raises(ValueError, match=f"{web.url}/bad.*{NAMES[1]}"):
        download(f"{web.url}/bad", folder)  # control: this mirror alone does not do
    assert web.requests.count(f"/bad/{NAMES[1]}.gz") == 1
    monkeypatch.setattr(module, "MIRRORS", (f"{web.url}/bad", web.url))
    download(folder=folder)
    assert_complete(folder)


def test_without_a_network_one_line_names_the_urls_and_what_to_do(folder, monkeypatch):
    monkeypatch.setattr(module, "MIRRORS", (f"{DEAD_URL}/one", f"{DEAD_URL}/two"))
    with pytest.raises(ValueError) as caught:
        download(folder=folder)
    for part in (f"{DEAD_URL}/one/", f"{DEAD_URL}/two/", "network", "--mirror", "--fake_data"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value) and "object at" not in str(caught.value)
    assert os.listdir(folder.parent) == []


def test_the_variable_names_a_mirror_and_the_argument_has_priority(mirror, folder, monkeypatch):
    monkeypatch.setenv("MNIST_MIRROR", "no-such-folder")
    with pytest.raises(ValueError, match="no-such-folder has neither"):
        download(folder=folder)
    download(mirror, folder)


def flip(content, position):
    changed = bytearray(content)
    changed[position] ^= 1
    return bytes(changed)


DAMAGES = {
    "truncated": lambda content: gzip.compress(content)[: len(content) // 2],
    "changed in the .gz": lambda content: flip(gzip.compress(content), 20),
    "changed in the last byte": lambda content: gzip.compress(flip(content, -1)),
    "one byte shorter": lambda content: gzip.compress(content[:-1]),
    "one byte longer": lambda content: gzip.compress(content + b"\0"),
    "HTML": lambda content: b"<!DOCTYPE html><title>Log in</title>",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_in_one_line_and_nothing_is_left(
    mirror, folder, tiny, assert_complete, name, damage
):
    path = mirror / f"{name}.gz"
    path.write_bytes(DAMAGES[damage](tiny[name]))
    with pytest.raises(ValueError) as caught:
        download(mirror, folder)
    assert f"{path} " in str(caught.value) and "--mirror" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert os.listdir(folder.parent) == []
    path.write_bytes(gzip.compress(tiny[name]))
    download(mirror, folder)
    assert_complete(folder)  # control: undamaged, it is good


def test_a_transfer_without_end_is_stopped(web, mirror, folder):
    (mirror / f"{NAMES[1]}.gz").write_bytes(bytes(10 * module.MAX_BYTES))
    with pytest.raises(ValueError, match=f"more than {module.MAX_BYTES:,} bytes"):
        download(web.url, folder)
    assert web.requests.count(f"/{NAMES[1]}.gz") == 1
    assert os.listdir(folder.parent) == []


@pytest.mark.parametrize("compressed", [True, False])
def test_a_huge_file_does_not_fill_the_memory(mirror, folder, tiny, compressed):
    content = tiny[NAMES[1]] + bytes(200 * module.MAX_BYTES)
    content = gzip.compress(content) if compressed else content
    (mirror / f"{NAMES[1]}.gz").write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ValueError, match="SHA-256"):
        download(mirror, folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * module.MAX_BYTES


def test_a_disk_that_is_full_during_the_transfer_is_not_taken_for_a_fault_of_the_mirror(
    folder, monkeypatch
):
    def full(url, path, _):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "transfer", full)
    with pytest.raises(OSError, match="cannot be written.*No space left.*150 MB"):
        download("http://127.0.0.1:9", folder)
    assert os.listdir(folder.parent) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_a_failure_while_writing_leaves_nothing(mirror, folder, monkeypatch, error):
    save, saved = np.save, []

    def failing_save(path, array):
        save(path, array)
        saved.append(path)
        if len(saved) == 4:
            raise error

    monkeypatch.setattr(np, "save", failing_save)
    said = f"{re.escape(str(folder))} cannot be written.*No space left"
    with pytest.raises(type(error), match=f"^$|{said}"):
        download(mirror, folder)
    assert len(saved) == 4 and os.listdir(folder.parent) == []


def test_a_folder_that_cannot_be_written_is_named(mirror, tmp_path):
    (tmp_path / "file").write_text("a file")
    for parent in (tmp_path / "no" / "such", tmp_path / "file"):
        with pytest.raises(OSError, match="cannot be written") as caught:
            download(mirror, parent / "mnist")
        assert str(parent / "mnist") in str(caught.value)


def test_the_slower_of_two_downloads_keeps_the_files_of_the_faster(mirror, folder, monkeypatch):
    write_splits = module.write_splits

    def write_while_another_finishes(contents, target):
        write_splits(contents, target)
        write_splits(contents, folder)
        (folder / "of the faster").touch()

    monkeypatch.setattr(module, "write_splits", write_while_another_finishes)
    download(mirror, folder)
    assert (folder / "of the faster").exists() and os.listdir(folder.parent) == ["mnist"]


def test_the_command_downloads_once_and_then_only_checks(
    mirror, folder, assert_complete, monkeypatch, capsys
):
    monkeypatch.setattr(module, "FOLDER", folder)
    assert main([f"--mirror={DEAD_URL}"]) == 1  # control: nothing there, and no mirror
    assert main([f"--mirror={mirror}"]) == 0
    assert main([f"--mirror={DEAD_URL}"]) == 0
    assert capsys.readouterr().out.count(f"MNIST is complete in {folder}.\n") == 2
    assert_complete(folder)
    (folder / "valid" / "labels.npy").unlink()
    assert main([f"--mirror={mirror}"]) == 1
    assert len(list(folder.rglob("*.npy"))) == 5  # neither repaired nor removed


@pytest.mark.parametrize("damage", ["missing", "changed", "a file"])
def test_repair_replaces_damaged_data_and_leaves_undamaged_alone(
    mirror, folder, assert_complete, monkeypatch, capsys, damage
):
    monkeypatch.setattr(module, "FOLDER", folder)
    assert main([f"--mirror={mirror}", "--repair"]) == 0  # nothing there: a download
    (folder / "mine").touch()
    assert main([f"--mirror={DEAD_URL}", "--repair"]) == 0
    assert (folder / "mine").exists()
    labels = folder / "valid" / "labels.npy"
    if damage == "changed":
        labels.write_bytes(flip(labels.read_bytes(), -1))
    elif damage == "missing":
        labels.unlink()
    else:
        shutil.rmtree(folder)
        folder.write_text("a file")
    before = sorted(folder.rglob("*"))
    assert main([f"--mirror={DEAD_URL}", "--repair"]) == 1  # all or nothing
    assert sorted(folder.rglob("*")) == before and os.listdir(folder.parent) == ["mnist"]
    assert main([f"--mirror={mirror}", "--repair"]) == 0
    assert_complete(folder)
    assert not (folder / "mine").exists() and "Traceback" not in capsys.readouterr().err


def test_the_slower_of_two_repairs_keeps_the_files_of_the_faster(mirror, folder, monkeypatch):
    folder.mkdir()
    write_splits = module.write_splits

    def write_while_another_finishes(contents, target):
        write_splits(contents, target)
        folder.rmdir()
        write_splits(contents, folder)
        (folder / "of the faster").touch()

    monkeypatch.setattr(module, "write_splits", write_while_another_finishes)
    download(mirror, folder, repair=True)
    assert (folder / "of the faster").exists() and os.listdir(folder.parent) == ["mnist"]


@pytest.mark.parametrize("wrong", ["--mirrors=x", "stray", "--mirror=", "--mirror"])
def test_wrong_usage_is_status_2(wrong):
    with pytest.raises(SystemExit) as caught:
        main([wrong])
    assert caught.value.code == 2


@pytest.fixture
def project(tmp_path):
    """A copy of the code, in which processes may download."""
    copy = tmp_path / "project" / "data"
    shutil.copytree(Path(module.__file__).parent, copy, ignore=shutil.ignore_patterns("mnist*"))
    return copy.parent


def start(project, mirror):
    """Starts the command, from another folder than the project's."""
    command = [sys.executable, project / "data" / "download.py", f"--mirror={mirror}"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    if sys.platform != "win32":  # tests that run in the background inherit an ignored SIGINT
        options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, **options)


def test_the_command_fails_in_one_line(project, tmp_path):
    process = start(project, tmp_path / "none")
    output, errors = process.communicate()
    assert (process.returncode, output) == (1, "") and not list(project.glob("data/mnist*"))
    assert errors.splitlines()[0] == f"Downloading MNIST from {tmp_path / 'none'}"
    assert [line[:13] for line in errors.splitlines()[1:]] == ["error: MNIST "]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("name, status", [("SIGINT", 130), ("SIGTERM", 143), ("SIGKILL", -9)])
def test_a_killed_download_leaves_no_half_made_folder(project, name, status):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        process = start(project, f"http://127.0.0.1:{server.getsockname()[1]}")
        with server.accept()[0]:  # now it waits for an answer that never comes
            assert list(project.glob("data/mnist-*"))
            process.send_signal(getattr(signal, name))
            errors = process.communicate()[1]
    assert process.returncode == status and "Traceback" not in errors
    assert not (project / "data" / "mnist").exists()
    if name != "SIGKILL":  # after which nobody can clean up
        assert not list(project.glob("data/mnist-*"))


def test_two_downloads_at_once_both_end_well(project, real_mirror):
    processes = [start(project, real_mirror) for _ in range(2)]
    for process in processes:
        output, errors = process.communicate()
        assert (process.returncode, output[:17]) == (0, "MNIST is complete"), errors
    assert [path.name for path in project.glob("data/mnist*")] == ["mnist"]
