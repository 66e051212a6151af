"""Clusters on this machine: the same command for every worker, each with its TF_CONFIG."""

import json
import os
import subprocess
import sys

from training.launcher import free_ports

MAIN = "\nimport sys, main\nsys.exit(main.main(sys.argv))"
NOTEBOOK = "\nimport sys, main\nmain.main(sys.argv)\nsys.stdin.read()"  # its process stays


def task(hosts, index, kind="worker"):
    """TF_CONFIG of one worker."""
    return json.dumps({"cluster": {"worker": hosts}, "task": {"type": kind, "index": index}})


def start(project, count, *flags, hosts=None, own=None, only=None, limit=60, programs=None):
    """Start the workers of a cluster, or one of them only. Returns their processes, or None.

    own: {index: further flags of this worker}; limit: --worker_timeout; programs: {index: Python
    that ends with MAIN, say, instead of main.py}.
    """
    hosts = hosts or [f"localhost:{port}" for port in free_ports(count)]
    processes = []
    for index in range(count):
        if only not in (None, index):
            processes.append(None)
            continue
        environment = os.environ | {"TF_CONFIG": task(hosts, index), "PYTHONUNBUFFERED": "1"}
        program = ["-c", programs[index]] if index in (programs or {}) else ["main.py"]
        command = [sys.executable, *program, f"--worker_timeout={limit}", *flags]
        processes.append(
            subprocess.Popen(
                [*command, *(own or {}).get(index, ())], cwd=project, env=environment, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
        )  # fmt: skip
    return processes


def ends(processes, seconds=100):
    """Wait for all. Returns [(exit status, output, errors)]; kills what has not ended in time."""
    found = []
    try:
        for process in processes:
            output, errors = process.communicate(timeout=seconds)
            found.append((process.returncode, output, errors))
    finally:
        for process in processes:
            process.kill()
    return found
