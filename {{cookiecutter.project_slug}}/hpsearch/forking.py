"""Worker processes forked from one that has imported TensorFlow, which takes seconds, and that has
used nothing of it: threads and what a GPU holds would not survive a fork.
"""

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing import reduction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from training import provenance

# On macOS the system's own libraries do not allow it.
IS_POSSIBLE = sys.platform == "linux"


class ForkServer:
    """Forks processes that call target(connection, alive), where alive is read to its end when the
    server ends: they should end, too. It starts when it is first needed, and again after its death.
    """

    def __init__(self, target: Callable):
        self.target, self.lock, self.process = target, threading.Lock(), None

    def fork(self, connection: Connection) -> "Forked | None":
        """Start a process; EOFError if the server dies meanwhile, OSError if it cannot.

        None if a model's file has used TensorFlow when it was imported: its threads do not survive.
        """
        with self.lock:
            if not (self.process and self.process.is_alive()):
                context = multiprocessing.get_context("spawn")
                self.requests, theirs = context.Pipe()
                process = context.Process(target=serve, args=(theirs, self.target), daemon=True)
                process.start()
                theirs.close()
                self.process = process
            pid = self.answer(None, 0, connection)
            return Forked(self, pid) if pid else None

    def send_signal(self, pid: int, number: int) -> None:
        """Send a signal to a process; none if the server has died, with whom it ends."""
        with self.lock, contextlib.suppress(EOFError):
            if self.process:
                self.answer(pid, number)

    def answer(self, pid, number, connection=None):
        """What the server answers to a request; EOFError if it has died."""
        try:
            self.requests.send((pid, number))
            if connection:
                reduction.send_handle(self.requests, connection.fileno(), None)
            answer = self.requests.recv()
        except (EOFError, ConnectionError):
            self.end()
            raise EOFError("the process that forks others has died") from None
        if isinstance(answer, OSError):
            raise answer
        return answer

    def end(self) -> None:
        """End the server, and so its processes."""
        process, self.process = self.process, None
        if process:
            process.kill()
            process.join()


class Forked(NamedTuple):
    """A forked process; as one of multiprocessing."""

    server: ForkServer
    pid: int

    def terminate(self) -> None:
        self.server.send_signal(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        self.server.send_signal(self.pid, signal.SIGKILL)

    def join(self) -> None:
        """Nothing: the server waits for what it kills."""


def serve(requests, target):
    """In the server: import TensorFlow, then fork and send signals as asked, until nobody asks."""
    # A terminal and a batch system send these to the whole group.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
    import tensorflow as tf  # here, when `training` has made it a lazy import

    tf.constant  # noqa: B018 - imports it
    provenance.sources()  # what is imported is recorded as it is now
    gc.collect()
    gc.freeze()  # the memory of all that is shared, and no collection looks at it again
    (alive, own), children = os.pipe(), set()
    with contextlib.suppress(EOFError, OSError):  # the parent has ended
        while True:
            pid, number = requests.recv()
            if pid is not None:
                if pid in children:
                    os.kill(pid, number)
                    if number == signal.SIGKILL:
                        os.waitpid(pid, 0)  # before, no other process is given its number
                        children.remove(pid)
                requests.send(None)
                continue
            handle = reduction.recv_handle(requests)
            if has_threads():
                os.close(handle)
                requests.send(None)
                continue
            try:
                pid = os.fork()
            except OSError as error:  # there is no memory for it, perhaps
                os.close(handle)
                requests.send(error)
                continue
            if pid == 0:
                os.close(own)
                requests.close()
                run(target, Connection(handle), alive)
            os.close(handle)
            children.add(pid)
            requests.send(pid)


def has_threads() -> bool:
    """Whether TensorFlow has started threads in this process (Linux)."""
    tasks = Path("/proc/self/task").glob("*/comm")
    return any(task.read_text().startswith("tf_") for task in tasks)


def run(target, connection, alive):
    """In a forked process: call the target, and end."""
    status = 1
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        target(connection, alive)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)  # what the server would do at its end is not for its copies
