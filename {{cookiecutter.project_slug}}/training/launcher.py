"""--nb_workers=N on this machine: this process is the chief, and starts the other workers."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

from setting import ConfigError, as_text
from training import cluster
from training.files import PROJECT
from training.processors import as_gpus, visible_gpus
from training.tf_config import check_shares, task_of_environment

ENDS = 5  # seconds until a worker that has not ended by itself is stopped


@contextlib.contextmanager
def workers(config: dict[str, Any], flags: dict[str, Any]) -> Iterator[None]:
    """Within it, this process is the chief of the nb_workers of a config.

    flags: {name: value} for main.py, with which the others are started. TF_CONFIG, if there is
    one, names a cluster that somebody else starts: then this does nothing.
    """
    if config["nb_workers"] == 1 or task_of_environment():
        yield
        return
    check_shares(config)
    hosts = [f"localhost:{port}" for port in free_ports(config["nb_workers"])]
    tasks = [{"cluster": {"worker": hosts}, "task": {"type": "worker", "index": i}}
             for i in range(len(hosts))]  # fmt: skip
    command = [sys.executable, str(PROJECT / "main.py")]
    command += [f"--{name}={as_text(value)}" for name, value in flags.items()]
    own = [{"TF_CONFIG": json.dumps(task)} | gpus(config, i) for i, task in enumerate(tasks)]
    parent = {cluster.PARENT: str(os.getpid())}
    before = {name: os.environ.get(name) for name in own[0]}
    os.environ.update(own[0])
    try:
        for environment in own[1:]:
            environment = os.environ | environment | parent
            cluster.started.append(
                subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
            )
        yield
    finally:
        for process in cluster.started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(ENDS)
            process.kill()  # nothing, if it has ended
            process.wait()
        for name, value in before.items():
            del os.environ[name]
            os.environ |= {} if value is None else {name: value}
        cluster.started.clear()


def leave(status: int) -> NoReturn:
    """End this process. A worker ends at once: TensorFlow, when it is taken down, may wait for ever
    for another worker that is lost.
    """
    if cluster.joined:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(status)
    sys.exit(status)


def gpus(config, index):
    """The variable that gives a worker GPUs of its own, --nb_replicas of them, where there are."""
    names = [] if config["device"] == "cpu" else visible_gpus()
    if not names:
        return {}
    workers, count = config["nb_workers"], config["nb_replicas"]
    if len(names) < workers * count:
        there = f"there {'is' if len(names) == 1 else 'are'} {as_gpus(len(names))} here"
        raise ConfigError(f"--nb_workers={workers}: {there}, and each worker needs {count} of its "
                          "own; --device=cpu uses none")  # fmt: skip
    return {"CUDA_VISIBLE_DEVICES": ",".join(names[index * count : (index + 1) * count])}


def free_ports(count: int) -> list[int]:
    """Ports on which nobody listens now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("localhost", 0))
        return [listener.getsockname()[1] for listener in sockets]
