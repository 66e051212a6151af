"""TensorFlow may wait for ever for a worker that is lost; the others end all the same."""

import shutil
import signal
import subprocess
import sys
import time

from clusters import ends, start

from training.files import PROJECT
from training.launcher import free_ports

KILL = """
import os
import signal


def share_variables(model, is_new):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_worker_whose_chief_is_killed_while_they_share_variables_ends_soon(toy_project, tmp_path):
    other = shutil.copytree(toy_project, tmp_path / "other")
    with open(other / "training" / "workers.py", "a", encoding="utf-8") as file:
        file.write(KILL)
    hosts = [f"localhost:{port}" for port in free_ports(2)]
    flags = ("--random_seed=7", "--threads=1", "--jit=off", f"--result_dir={tmp_path / 'run'}")
    chief, _ = start(other, 2, *flags, hosts=hosts, only=0)
    _, worker = start(toy_project, 2, *flags, hosts=hosts, only=1, limit=60)
    assert ends([chief])[0][0] == -signal.SIGKILL
    began = time.monotonic()
    status, _, errors = ends([worker])[0]
    assert time.monotonic() - began < 25  # long before --worker_timeout
    assert status == 1 and f"the chief ({hosts[0]}) has ended" in errors


def test_a_worker_ends_without_what_python_does_at_its_end():
    program = """
import atexit, sys, time
import models
from training import cluster, launcher
atexit.register(time.sleep, 100)
sys.stdout.write("said")
cluster.joined = True
launcher.leave(3)
"""
    answer = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, timeout=60,
                            capture_output=True, text=True)  # fmt: skip
    assert (answer.returncode, answer.stdout) == (3, "said")
