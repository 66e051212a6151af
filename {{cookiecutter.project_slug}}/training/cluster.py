"""The cluster: processes that train one run together, on one machine or on several.

TF_CONFIG says who they are, see training/tf_config.py, and each is started by the same command.
Worker 0, the chief, leads: it alone has a run folder, and what it says holds for all. What they
exchange is neither encrypted nor authenticated: it is TensorFlow's own protocol, gRPC, for a
network that one trusts. What they compute is in training/shares.py.
"""

import contextlib
import hashlib
import json
import logging
import math
import os
import queue
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from settings import ConfigError
from training import device
from training.collectives import ON_CPU, all_reduce
from training.messages import console
from training.provenance import without_missing_folders
from training.reach import task_at, unreachable
from training.tf_config import Task, check_port, task_of_environment, without_proxy

log = logging.getLogger(__name__)
SLOTS = 8  # numbers that each worker tells the others at a time, beside whether it has failed
OWN = ("result_dir", "from_checkpoint", "step", "threads", "debug")  # may differ among workers
HEARD = 0.2  # seconds until Ctrl-C is heard while a worker waits
LOOK = 2  # seconds until a worker that waits looks whether the others are there
AGAIN = ("its own messages may say why. Start all workers again: they go on from the last "
         "checkpoint of --result_dir")  # fmt: skip
PARENT = "LAUNCHER_PID"  # the variable with the process that has started this one, and the others


class WorkerLost(OSError):
    """Another worker has ended, cannot be reached or does not answer; the message names it."""


class Cluster:
    """This process's place in a cluster, and what it tells the others. There is one in a process:
    TensorFlow's server cannot be stopped.
    """

    def __init__(self, task: Task, config: dict):
        """Start the server. The others are waited for in `wait_for_others`."""
        self.task, self.timeout = task, config["worker_timeout"]
        self.others = [i for i in range(len(task.addresses)) if i != task.index]
        self.is_chief = task.index == 0
        self.watched = self.others if self.is_chief else [0]
        check_port(task)
        device.prepare_device(config)
        self.options = device.session_config(config)
        self.options.experimental.collective_group_leader = "/job:worker/replica:0/task:0"
        self.options.device_filters.append(f"/job:worker/task:{task.index}")
        self.options.experimental.collective_nccl = device.has_gpu(config)
        self.options.isolate_session_state = True  # two models share no variables
        self.is_meeting = False  # whether the others wait for what the chief says
        self.is_between = self.failed = False  # no call is under way; this worker has failed
        without_proxy(task)
        spec = {"worker": list(task.addresses)}
        self.server = tf.distribute.Server(spec, "worker", task.index, "grpc", self.options)
        with tf.Graph().as_default() as graph, tf.device("CPU:0"):
            self.said = tf.compat.v1.placeholder(tf.int64, [len(task.addresses), SLOTS + 1])
            no_limit = 0  # `call` has one, and the others wait longer while the chief is busy
            self.heard = all_reduce(self.said, len(task.addresses), no_limit, ON_CPU, 1)
        self.session = self.open(graph)

    def open(self, graph) -> "tf.compat.v1.Session":
        """A session in which the operations of all workers can meet."""
        return tf.compat.v1.Session(self.server.target, graph, self.options)

    def wait_for_others(self) -> None:
        """Wait until every other worker can be reached; WorkerLost if one can't, ConfigError if
        another task is there.
        """
        parent = os.environ.get(PARENT, str(os.getppid()))
        end, told = time.monotonic() + self.timeout, False
        while missing := self.away(self.others):
            names = ", ".join(f"{self.task.name(i)}: {why}" for i, why in missing.items())
            for number, process in enumerate(started, start=1):
                if process.poll() is not None:
                    raise WorkerLost(f"{self.task.name(number)} has ended at once; see its message")
            if os.name == "posix" and parent != str(os.getppid()):
                raise WorkerLost(f"{self.task.name(0)} has ended")
            if time.monotonic() > end:
                raise WorkerLost(f"not all workers came within --worker_timeout={self.timeout:g} "
                                 f"seconds. {names}. Start it, or correct TF_CONFIG")  # fmt: skip
            if not told:
                log.info(f"Waiting for {', '.join(map(self.task.name, missing))}")
                told = True
            time.sleep(HEARD)
        for i in self.watched:
            found = self.call(task_at, self.task.addresses[i], self.timeout, seconds=self.timeout)
            if found is None:
                raise self.lost()
            if found != i:
                raise ConfigError(f"TF_CONFIG: {self.task.name(i)} is task {i}, and the process "
                                  f"there says that it is task {found}; give each machine an "
                                  "index of its own")  # fmt: skip

    def away(self, indices: list[int]) -> dict[int, str]:
        """Those of some workers that cannot be reached: {number: why}."""
        found = {i: unreachable(self.task.addresses[i]) for i in indices}
        return {i: why for i, why in found.items() if why}

    def call(self, function: Callable, *arguments, seconds: float = math.inf) -> Any:
        """Call what waits for the other workers. Ctrl-C is heard meanwhile; or WorkerLost.

        seconds: after which it is given up; but what the chief is to say is waited for as long as
        the chief answers. Collective operations in training end by themselves.
        """
        self.is_between, is_patient = False, self.is_meeting and not self.is_chief
        answers, end = queue.SimpleQueue(), time.monotonic() + seconds
        look = time.monotonic() + LOOK

        def work():
            try:
                answers.put((function(*arguments), None))
            except BaseException as error:
                answers.put((None, error))

        threading.Thread(target=work, daemon=True).start()
        while True:
            with contextlib.suppress(queue.Empty):
                value, error = answers.get(timeout=HEARD)
                break
            if time.monotonic() > look:  # gRPC waits for a worker that has ended before
                if self.away(self.watched):
                    raise self.lost()
                look = time.monotonic() + LOOK
            if time.monotonic() > end:
                if not (is_patient and task_at(self.task.addresses[0], LOOK) == 0):
                    raise self.lost()
                end += seconds
        gone = tf.errors.UnavailableError, tf.errors.DeadlineExceededError
        if isinstance(error, gone) or re.search("Collective (ops is|has timed)", str(error)):
            raise self.lost(error) from None
        if error:
            raise error
        self.is_between = True
        return value

    def lost(self, error=None) -> WorkerLost:
        """What to say when a collective operation fails, or when nothing comes back."""
        gone = [*map(self.task.name, self.away(self.others))]
        others = ", ".join(gone or map(self.task.name, self.others))
        if gone:
            said = f"{others} {'have' if len(gone) > 1 else 'has'} ended"
        elif error is None or isinstance(error, tf.errors.DeadlineExceededError):
            said = (f"no answer within --worker_timeout={self.timeout:g} seconds from {others}, or "
                    "another process is the same task")  # fmt: skip
        else:
            said = "one of " * (len(self.others) > 1) + f"{others} has ended, or has started again"
        return WorkerLost(f"{said}; {AGAIN}")

    def all_gather(self, *numbers: int) -> np.ndarray:
        """Tell all workers up to SLOTS integers. Returns those of all, int64 [workers, numbers];
        WorkerLost if one of them has failed.
        """
        said = np.zeros(self.said.shape.as_list(), np.int64)
        said[self.task.index, : len(numbers)], said[self.task.index, SLOTS] = numbers, self.failed
        limit = LOOK if self.failed else self.timeout
        heard = self.call(self.session.run, self.heard, {self.said: said}, seconds=limit)
        for index in np.flatnonzero(heard[:, SLOTS]):
            raise WorkerLost(f"{self.task.name(index)} has failed; {AGAIN}")
        return heard[:, : len(numbers)]

    def tell_failure(self) -> None:
        """Let the others know, if they wait for this worker's word, that it has failed."""
        if self.is_between:
            self.is_meeting, self.failed = False, True
            with contextlib.suppress(WorkerLost):
                self.all_gather()
            self.failed = False

    def broadcast(self, text: str = "") -> str:
        """The chief's text, on every worker."""
        data = text.encode()
        size = int(self.all_gather(len(data))[0, 0])
        whole = -(-size // (8 * SLOTS)) * 8 * SLOTS  # bytes, in full messages
        words = np.frombuffer(data[:size].ljust(whole), "<i8").reshape(-1, SLOTS)
        return b"".join(self.all_gather(*row)[0].tobytes() for row in words)[:size].decode()

    def agree(self, given: dict, config: dict) -> dict:
        """The chief's config, for all; ConfigError if a worker was given other settings."""
        chief = json.loads(self.broadcast(json.dumps({"given": given, "config": config})))
        differing = [f"--{n}={given.get(n)} (the chief: {chief['given'].get(n)})"
                     for n in sorted({*given, *chief["given"]} - {*OWN})
                     if given.get(n) != chief["given"].get(n)]  # fmt: skip
        if (found := config["threads"]) != (threads := chief["config"]["threads"]):
            differing.append(f"--threads={found} (the chief: {threads}; write it out for all)")
        said = f"other flags: {', '.join(differing)}. Start all with the same"
        self.check_all(not differing, said)
        if self.is_chief:
            return config
        log.info(f"Following {self.task.name(0)}, whose screen shows the run")
        console.setLevel(logging.WARNING)
        return chief["config"] | dict.fromkeys(OWN[:3])

    def check_equal(self, about: dict[str, Any]) -> None:
        """ConfigError names what is not the same on all workers. about: {what: JSON-able value}."""
        chief = json.loads(self.broadcast(json.dumps({n: short(v) for n, v in about.items()})))
        differing = [name for name, value in about.items() if chief.get(name) != short(value)]
        self.check_all(not differing, f"another {', another '.join(differing)} than the chief")

    def check_all(self, is_fine: bool, problem: str) -> None:
        """ConfigError, on all workers, if one of them has a problem."""
        fine = self.all_gather(is_fine)[:, 0]
        names = ", ".join(self.task.name(i) for i in np.flatnonzero(fine == 0))
        if names and is_fine:
            raise ConfigError(f"{names} differs from the chief; its own message says in what")
        if names:
            raise ConfigError(f"{self.task.name(self.task.index)} has {problem}")


def short(value):
    """A digest of a JSON-able value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


joined: Cluster | None = None  # that of this process
started: list = []  # the workers that this process has started itself, subprocess.Popen


def shared(config: dict, complete: Callable) -> dict:
    """The chief's config, completed, if this process is a worker of a cluster; else as it is.

    complete: from a config to a complete one. Joins the cluster at the first call; ConfigError if
    TF_CONFIG or the config is wrong, or not the chief's.
    """
    global joined
    task = task_of_environment()
    if not task:
        return config
    count, given = len(task.addresses), config.get("nb_workers")
    if given not in (None, count):
        raise ConfigError(f"--nb_workers={given}: the cluster of TF_CONFIG has {count} workers")
    config = config | {"nb_workers": count}
    own = complete(config if task.index == 0 else without_missing_folders(config))
    joined = joined or Cluster(task, own)
    joined.wait_for_others()
    return joined.agree(config, own)
