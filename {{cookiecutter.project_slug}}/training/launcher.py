"""--nb_workers=N on this machine: this process is the chief, and starts the other workers."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from training import cluster
from training.files import PROJECT
from training.processors import visible_gpus
from training.tf_config import task_of_environment

ENDS = 30  # seconds until a worker that was told the end is stopped


@contextlib.contextmanager
def workers(config: dict[str, Any], flags: dict[str, Any]) -> Iterator[None]:
    """Within it, this process is the chief of the nb_workers of a config.

    flags: {name: value} for main.py, with which the others are started. TF_CONFIG, if there is
    one, names a cluster that somebody else starts: then this does nothing.
    """
    if config["nb_workers"] == 1 or task_of_environment():
        yield
        return
    hosts = [f"localhost:{port}" for port in free_ports(config["nb_workers"])]
    tasks = [{"cluster": {"worker": hosts}, "task": {"type": "worker", "index": i}}
             for i in range(len(hosts))]  # fmt: skip
    command = [sys.executable, str(PROJECT / "main.py")]
    command += [f"--{name}={value}" for name, value in flags.items()]
    own = [{"TF_CONFIG": json.dumps(task)} | gpus(config, i) for i, task in enumerate(tasks)]
    before = {name: os.environ.get(name) for name in own[0]}
    os.environ.update(own[0])
    try:
        for environment in own[1:]:
            environment = os.environ | environment
            cluster.started.append(
                subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
            )
        yield
        for process in cluster.started:
            process.wait(ENDS)
    finally:
        for process in cluster.started:
            process.kill()  # nothing, if it has ended
        for name, value in before.items():
            del os.environ[name]
            os.environ |= {} if value is None else {name: value}
        cluster.started.clear()


def gpus(config, index):
    """The variable that gives a worker GPUs of its own, --nb_replicas of them, where there are."""
    names = [] if config["device"] == "cpu" else visible_gpus()
    if not names:
        return {}
    count = config["nb_replicas"]
    own = [names[(index * count + i) % len(names)] for i in range(count)]
    return {"CUDA_VISIBLE_DEVICES": ",".join(dict.fromkeys(own))}


def free_ports(count: int) -> list[int]:
    """Ports on which nobody listens now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("localhost", 0))
        return [listener.getsockname()[1] for listener in sockets]
