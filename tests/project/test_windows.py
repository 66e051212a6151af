"""What is different on Windows, made up on whatever system this is."""

import errno
import json
import os
import subprocess
import sys

import pytest

from training import files, messages
from training.files import PROJECT, write_atomically
from training.messages import as_flags, is_unread, quoted


@pytest.mark.parametrize(
    "word, on_windows, elsewhere",
    [
        ("run", "run", "run"),
        (r"C:\runs\a", r"C:\runs\a", r"'C:\runs\a'"),
        (r"C:\my runs", r'"C:\my runs"', r"'C:\my runs'"),
        (r"C:\R&D", r'"C:\R&D"', r"'C:\R&D'"),
        ("C:\\R&D\\", r'"C:\R&D\\"', "'C:\\R&D\\'"),
        (r"C:\R & D", r'"C:\R & D"', r"'C:\R & D'"),
        ("", '""', "''"),
        ('{"lr": 1}', r'"{\"lr\": 1}"', "'{\"lr\": 1}'"),
    ],
)
def test_a_word_is_quoted_as_the_systems_shell_takes_it(monkeypatch, word, on_windows, elsewhere):
    for answer, expected in ((True, on_windows), (False, elsewhere)):
        monkeypatch.setattr(messages, "ON_WINDOWS", answer)
        assert quoted(word) == expected
        assert as_flags({"best": True, "result_dir": word}).startswith("--best ")


def test_a_reader_that_has_gone_is_an_invalid_argument_on_windows_only(monkeypatch):
    for answer in (True, False):
        monkeypatch.setattr(messages, "ON_WINDOWS", answer)
        assert is_unread(OSError(errno.EINVAL, "Invalid argument")) is answer
        assert is_unread(BrokenPipeError(errno.EPIPE, "Broken pipe"))
        assert not is_unread(OSError(errno.ENOSPC, "No space left on device"))


def test_a_file_that_another_process_reads_for_a_moment_is_replaced(monkeypatch, tmp_path):
    replace, refusals = os.replace, []

    def refuse(path, other):
        if refusals:
            raise refusals.pop()
        replace(path, other)

    monkeypatch.setattr("os.replace", refuse)
    path = tmp_path / "status.json"
    for pauses, written in (((0, 0), True), ((0,), False)):
        path.write_text("old")
        monkeypatch.setattr(files, "PAUSES", pauses)
        refusals[:] = 2 * [PermissionError(errno.EACCES, "Access is denied")]
        if written:
            write_atomically(path, "new")
        else:
            with pytest.raises(PermissionError, match="Access is denied.*status.json"):
                write_atomically(path, "new")
        assert path.read_text() == ("new" if written else "old")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_a_letter_that_the_screen_does_not_have_stops_no_run(tmp_path, encoding):
    name = "été 数"
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    command = [sys.executable, str(PROJECT / "main.py"), "--jit=off", "--max_iter=20"]
    command += ["--random_seed=1", f"--result_dir={name}"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Results go to " + name.encode(encoding, "backslashreplace") in done.stdout
    assert json.loads((tmp_path / name / "status.json").read_text())["status"] == "complete"
