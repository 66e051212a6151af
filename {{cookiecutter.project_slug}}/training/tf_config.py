"""TF_CONFIG: the workers of a cluster, and which of them this process is.

As TensorFlow defines it; "chief" may stand for the first worker:

    {"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}
"""

import json
import os
import socket
from typing import NamedTuple

from settings import ConfigError
from training import processors


class Task(NamedTuple):
    """One process of a cluster. addresses: of all, host:port, the chief's first."""

    addresses: tuple[str, ...]
    index: int

    def name(self, index: int) -> str:
        """A worker as messages call it: "worker 1 (host2:2222)"."""
        return f"{f'worker {index}' if index else 'the chief'} ({self.addresses[index]})"

    def neighbours(self) -> int:
        """How many workers, this one included, are on this one's machine."""
        hosts = [address.rpartition(":")[0] for address in self.addresses]
        return hosts.count(hosts[self.index])


def task_of_environment() -> Task | None:
    """The task that TF_CONFIG names; None without it, or alone. ConfigError if it is wrong."""
    text = os.environ.get("TF_CONFIG", "").strip()
    try:
        content = json.loads(text or "{}")
        jobs = {name: tuple(hosts) for name, hosts in content.get("cluster", {}).items()}
        kind, index = (content.get("task", {}).get(name) for name in ("type", "index"))
    except (ValueError, AttributeError, TypeError):
        raise ConfigError(f"TF_CONFIG={text} is not a cluster and a task in JSON") from None
    chief, workers = jobs.pop("chief", ()), jobs.pop("worker", ())
    if jobs or len(chief) > 1:
        found = f"{min(jobs)} tasks" if jobs else f"{len(chief)} chiefs"
        raise ConfigError(f"TF_CONFIG: the cluster has {found}; it may have workers and one chief")
    addresses = (*chief, *workers)
    for address in addresses:
        host, _, port = str(address).rpartition(":")
        if not (host and port.isdecimal() and 0 < int(port) < 2**16):
            raise ConfigError(f"TF_CONFIG: {address} is not host:port")
        if addresses.count(address) > 1:
            raise ConfigError(f"TF_CONFIG: {address} is there more than once")
    if len(addresses) < 2:
        return None
    if isinstance(index, str) and index.isdecimal():  # as text that was put into a template
        index = int(index)
    own = {"chief": chief, "worker": workers}.get(kind, ())
    if type(index) is not int or not 0 <= index < len(own):
        raise ConfigError(f"TF_CONFIG: the cluster has no task {kind} {index}")
    return Task(addresses, index + (len(chief) if kind == "worker" else 0))


def check_port(task: Task) -> None:
    """ConfigError if another process listens where this task should."""
    port = int(task.addresses[task.index].rpartition(":")[2])
    with socket.socket() as test:
        test.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, os.name == "posix")
        try:
            test.bind(("", port))
        except OSError as error:
            raise ConfigError(
                f"TF_CONFIG: {task.name(task.index)} cannot listen on port {port}: "
                f"{error.strerror}. Is another process this task, too?"
            ) from None


def without_proxy(task: Task) -> None:
    """Let gRPC reach the other workers directly, whatever proxy is set for the web."""
    known = os.environ.get("no_grpc_proxy") or os.environ.get("no_proxy") or ""
    hosts = [address.rpartition(":")[0].strip("[]") for address in task.addresses]
    os.environ["no_grpc_proxy"] = ",".join(filter(None, [known, *dict.fromkeys(hosts)]))


def check_shares(config: dict) -> None:
    """ConfigError if the batches of a config cannot be shared equally."""
    size, workers, replicas = (config[n] for n in ("batch_size", "nb_workers", "nb_replicas"))
    if size % (workers * replicas):
        names = [(workers, "--nb_workers"), (replicas, "--nb_replicas")]
        by = " and ".join(f"{name}={number}" for number, name in names if number > 1)
        raise ConfigError(f"--batch_size={size} cannot be shared equally by {by}")


def threads_here() -> int:
    """How many threads suit this process: its share of the processors that it may use."""
    task = task_of_environment()
    return max(1, processors.count() // (task.neighbours() if task else 1))
