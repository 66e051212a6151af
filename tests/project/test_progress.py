"""One bar on a terminal, lines elsewhere."""

import io
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from training.files import PROJECT
from training.progress import Progress
from training.tensorflow_import import without_noise


def test_elsewhere_a_line_tells_step_loss_and_seconds(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("training.progress.time", SimpleNamespace(perf_counter=lambda: now[0]))
    with Progress(step=1100, last_step=2000, batch_size=10) as progress:
        now[0] = 5  # seconds for 250 steps
        rates = progress.report(1350, 0.09, {1200: 0.0812, 1300: 0.08})
        assert rates == {"examples_per_second": 500}
        now[0] = 6
        progress.report(1400, 0.07, {1400: 0.07})
    assert capsys.readouterr().out.splitlines() == [
        "Step 1200: loss = 0.0812 (2.00 sec)",
        "Step 1300: loss = 0.08 (2.00 sec)",
        "Step 1400: loss = 0.07 (2.00 sec)",
    ]


def test_it_tells_which_part_of_the_time_training_waited_for_data(capsys):
    with Progress(step=0, last_step=200, batch_size=10) as progress:
        for step, waited, share in ((100, 2.0, 0.4), (200, 2.1, 0.02)):
            progress.time = progress.shown = progress.time - 5
            rates = progress.report(step, 0.5, {step: 0.5}, waited)
            assert rates["input_wait"] == pytest.approx(share, rel=0.1)
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("(5.00 sec, 40% of it waiting for data)") and "waiting" not in second


def test_on_a_terminal_there_is_one_bar_with_loss_speed_and_time_left(monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with Progress(step=0, last_step=200, batch_size=10) as progress:
        progress.report(100, 0.5, {100: 0.5})
    text = screen.getvalue()
    assert re.search(r"Step 100/200 .*loss 0\.5 .*[\d,]+ examples/s .*-:--:--", text)
    assert "Step 100: loss" not in text


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals in Python")
def test_main_draws_the_bar_on_a_real_terminal(tmp_path):
    import pty

    leader, follower = pty.openpty()
    command = [sys.executable, str(PROJECT / "main.py"), f"--result_dir={tmp_path / 'run'}"]
    command.append("--eval_every=100")
    with subprocess.Popen(command, stdout=follower, stderr=follower) as process:
        os.close(follower)
        text = b""
        while block := read(leader):
            text += block
    os.close(leader)
    assert process.returncode == 0
    assert b"Step 200/200" in text and b"Step 100: loss" not in text
    shown = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", text)  # without what moves the cursor
    for step in (100, 200):  # above the bar, on a line of its own
        assert re.search(rb"[\r\n]Step %d: train loss = [^|]*\| valid loss = " % step, shown)
    assert b"oneDNN" not in text and b"Fitted y" in text


def read(descriptor):
    try:
        return os.read(descriptor, 4096)
    except OSError:  # the other end was closed
        return b""


def test_start_up_noise_is_held_back_and_real_errors_are_not(capfd):
    with without_noise():
        os.write(2, b"I0000 00:00:1.0 1 port.cc:153] oneDNN custom operations are on.\n")
        os.write(2, b"2026-01-01 00:00:00.0: W tensorflow/x.cc:1] a warning\n")
        os.write(2, b"E0000 00:00:1.0 1 driver.cc:1] the driver is broken\n")
        os.write(2, b"ImportError: libcuda\n")
    errors = capfd.readouterr().err
    assert errors == "E0000 00:00:1.0 1 driver.cc:1] the driver is broken\nImportError: libcuda\n"
