"""Run jobs in processes on this machine that stay: what one has compiled, it uses again."""

import collections
import concurrent.futures
import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import connection, resource_tracker

from hpsearch import forking, trial
from hpsearch.halving import Job
from hpsearch.ledger import FAILED, INTERRUPTED, Outcome
from training import messages, processors

ATTEMPTS = 3  # of a job whose process dies
PATIENCE = 10  # seconds for processes to save what they train


def serve(jobs, alive: int | None = None, gpu: str | None = None) -> None:
    """In a worker process: run one job after another, and answer with an outcome or an OSError.

    alive: a pipe that ends when this process should.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # after Ctrl-C the parent sends SIGTERM
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    messages.console.setLevel(logging.CRITICAL + 1)  # the parent shows the progress of the search
    threading.Thread(target=end_with_parent, args=(alive,), daemon=True).start()
    models = trial.ModelCache()
    with contextlib.suppress(EOFError, OSError):  # the parent has ended
        while True:
            config, until = jobs.recv()
            try:
                answer = trial.run_job(config, until, models)
            except OSError as error:
                answer = error
            jobs.send(answer)


def end_with_parent(alive):
    """Wait for the death of the search's process, or the end of the pipe `alive`, and end this one:
    a run may be killed at any time.
    """
    parent = multiprocessing.parent_process().sentinel
    connection.wait([parent] if alive is None else [parent, alive])
    os._exit(1)


def block_interrupts():
    """In a thread: Ctrl-C does not reach the processes that it starts, not even at their start."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        resource_tracker.ensure_running()  # it would unblock the signal when it starts
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])


class Worker:
    """A process that runs one job after another; if it dies, a new one takes its place."""

    def __init__(self, gpu: str | None, server: forking.ForkServer | None):
        self.gpu, self.server, self.process, self.future = gpu, server, None, None
        self.stopping = False
        self.shapes = collections.deque(maxlen=trial.KEPT_MODELS)  # whose models it may still have

    def is_idle(self) -> bool:
        return self.future is None or self.future.done()

    def run(self, config: dict, until: int) -> Outcome:
        """Run a job and wait for its outcome; a job whose process dies is resumed in a new one."""
        deaths = 0
        while deaths < ATTEMPTS and not self.stopping:
            try:
                if self.process is None:
                    self.start()
                if self.stopping:
                    break
                self.jobs.send((config, until))
                answer = self.jobs.recv()
            except (EOFError, ConnectionError):  # the process died
                self.end()
                deaths += 1
                continue
            if isinstance(answer, OSError):
                raise answer
            if answer.state == INTERRUPTED:  # it was told to end
                self.end()
            return answer
        if self.stopping:
            return Outcome(INTERRUPTED)
        return Outcome(FAILED, reason=f"its process died {ATTEMPTS} times")

    def start(self):
        context = multiprocessing.get_context("spawn")
        self.jobs, theirs = context.Pipe()
        with theirs:
            if self.server:
                self.process = self.server.fork(theirs)
            if self.process is None:
                process = context.Process(target=serve, args=(theirs, None, self.gpu), daemon=True)
                process.start()
                self.process = process

    def stop(self):
        """Tell the process to save what it trains and to end."""
        self.stopping, process = True, self.process
        if process:
            process.terminate()

    def end(self):
        """End the process now."""
        process, self.process = self.process, None
        if process:
            process.kill()
            process.join()


class LocalExecutor:
    """`with LocalExecutor(nb_process, threads) as executor: future = executor.submit(...)`.

    threads: of each trial. nb_process: None is as many as the processors allow with these threads,
    or one for each GPU.
    """

    def __init__(self, nb_process: int | None, threads: int, device: str | None = None):
        gpus = [] if device == "cpu" else processors.visible_gpus()
        self.nb_process = nb_process or len(gpus) or max(1, processors.count() // threads)
        names = [gpus[i % len(gpus)] if gpus else None for i in range(self.nb_process)]
        # Where there are GPUs, each process imports TensorFlow, and looks at its own alone.
        self.server = forking.ForkServer(serve) if forking.IS_POSSIBLE and not gpus else None
        self.workers = [Worker(gpu, self.server) for gpu in names]

    def __enter__(self):
        self.pool = ThreadPoolExecutor(self.nb_process, initializer=block_interrupts)
        return self

    def __exit__(self, *error):
        try:
            for worker in self.workers:
                worker.stop()
            if self.server and not any(worker.process for worker in self.workers):
                self.server.end()  # it still imports TensorFlow
            busy = [worker.future for worker in self.workers if worker.future]
            concurrent.futures.wait(busy, timeout=PATIENCE)
        finally:  # after a second Ctrl-C as well
            for worker in self.workers:
                worker.end()
            if self.server:
                self.server.end()
            self.pool.shutdown()

    def cached_shapes(self) -> set[str]:
        """The shapes of trials, see trial.shape_of, whose models idle processes may still have."""
        return {shape for worker in self.workers if worker.is_idle() for shape in worker.shapes}

    def submit(self, job: Job, config: dict) -> Future[Outcome]:
        """Start a job in an idle process, preferably in one that has a model of its shape."""
        shape, idle = trial.shape_of(config), [w for w in self.workers if w.is_idle()]
        worker = next((worker for worker in idle if shape in worker.shapes), idle[0])
        worker.shapes.append(shape)
        worker.future = self.pool.submit(worker.run, config, job.until)
        return worker.future
