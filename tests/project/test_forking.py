"""Processes that are forked from one that has imported TensorFlow."""

import os
import signal
import sys
import threading
import time
from multiprocessing import Pipe
from pathlib import Path

import pytest

from hpsearch import forking

pytestmark = pytest.mark.skipif(not forking.IS_POSSIBLE, reason="nothing is forked here")


def answer(connection, alive):
    """In a forked process: say what it has, until it is told to end; it ends with its server."""
    threading.Thread(target=lambda: (os.read(alive, 1), os._exit(1)), daemon=True).start()
    threads = {Path(f"/proc/self/task/{n}/comm").read_text() for n in os.listdir("/proc/self/task")}
    is_loaded = "tensorflow.python" in sys.modules
    connection.send((os.getpid(), is_loaded, any("tf_" in name for name in threads)))
    connection.recv()


@pytest.fixture
def server():
    server = forking.ForkServer(answer)
    yield server
    server.end()


def fork(server):
    """Returns (our end of a pipe, the process)."""
    ours, theirs = Pipe()
    with theirs:
        return ours, server.fork(theirs)


def test_a_forked_process_has_tensorflow_without_its_threads_and_ends_when_it_is_told(server):
    (one, first), (two, second) = fork(server), fork(server)
    assert one.recv() == (first.pid, True, False) and two.recv() == (second.pid, True, False)
    first.kill()
    with pytest.raises(ProcessLookupError):  # it is gone
        os.kill(first.pid, 0)
    with pytest.raises((EOFError, ConnectionError)):
        one.recv()
    first.kill()  # is nothing, and the server goes on
    second.terminate()
    with pytest.raises((EOFError, ConnectionError)):
        two.recv()
    three, third = fork(server)
    assert three.recv()[0] == third.pid


def test_the_processes_of_a_killed_server_end_and_another_server_takes_its_place(server):
    one, first = fork(server)
    assert one.recv()[0] == first.pid
    before = server.process.pid
    os.kill(before, signal.SIGTERM)  # as a batch system may send to a whole group
    os.kill(before, signal.SIGINT)
    two, second = fork(server)
    assert two.recv()[0] == second.pid and server.process.pid == before
    os.kill(before, signal.SIGKILL)
    for connection in (one, two):
        with pytest.raises((EOFError, ConnectionError)):
            connection.recv()
    first.kill()  # is nothing
    deadline = time.monotonic() + 60
    while True:
        try:
            three, third = fork(server)
            break
        except EOFError:  # the one that was killed
            assert time.monotonic() < deadline
    assert three.recv()[0] == third.pid and server.process.pid != before


def test_nothing_is_forked_from_a_process_in_which_tensorflow_runs_already():
    server = forking.ForkServer(Busy())
    ours, theirs = Pipe()
    with ours, theirs:
        assert server.fork(theirs) is None
    server.end()


class Busy:
    """A target whose file uses TensorFlow when it is imported, as a model's file may."""

    def __getstate__(self):
        return {"any": 1}

    def __setstate__(self, state):
        import tensorflow as tf

        tf.matmul(tf.ones([2, 2]), tf.ones([2, 2]))
