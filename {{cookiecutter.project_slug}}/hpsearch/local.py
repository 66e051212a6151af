"""Run jobs in processes on this machine, each of which imports TensorFlow once and stays."""

import collections
import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
from multiprocessing.connection import wait

from hpsearch import trial
from hpsearch.ledger import without_score
from training import processors

ATTEMPTS = 3  # of a job whose process dies


def visible_gpus():
    """The GPUs that may be used, by the names that CUDA_VISIBLE_DEVICES has for them."""
    allotted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allotted is not None:
        return [name for name in allotted.split(",") if name.strip() and name.strip() != "-1"]
    if not shutil.which("nvidia-smi"):
        return []
    answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    count = sum(line.startswith("GPU ") for line in answer.stdout.splitlines())
    return [str(i) for i in range(count)]


@contextlib.contextmanager
def without_interrupts():
    """Processes that are started here do not hear Ctrl-C; this one hears it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve(jobs, lifeline, gpu):
    """In a worker: run jobs until the parent has none any more, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which sends SIGTERM
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    sys.stdout = open(os.devnull, "w")  # the parent's display says what is to be said

    def end_with_parent():
        try:
            lifeline.recv()
        except EOFError:
            os._exit(1)  # a run may be killed at any instant

    threading.Thread(target=end_with_parent, daemon=True).start()
    models = trial.Models()
    while True:
        try:
            config, until = jobs.recv()
        except EOFError:
            return
        outcome = trial.run(config, until, models)
        if outcome is None:
            return
        jobs.send(outcome)


class Worker:
    """A process, and the job that it runs."""

    def __init__(self, gpu):
        context = multiprocessing.get_context("spawn")
        self.jobs, theirs = context.Pipe()
        self.lifeline, their_end = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, their_end, gpu), daemon=True)
        with without_interrupts():
            self.process.start()
        theirs.close()
        their_end.close()
        self.job = self.config = None
        self.trials = collections.deque(maxlen=trial.KEPT_MODELS)  # whose models it may still have
        self.gpu = gpu

    def give(self, job, config):
        self.job, self.config = job, config
        self.trials.append(job.trial)
        with contextlib.suppress(OSError):  # if it is dead, it is so found by who waits for it
            self.jobs.send((config, job.until))

    def stop(self):
        """End the process: a signal to finish its chunk and save, then the end."""
        self.process.terminate()
        self.process.join(10)
        self.process.kill()
        self.process.join()
        self.jobs.close()
        self.lifeline.close()


class LocalExecutor:
    """`with LocalExecutor(nb_process, threads) as executor`: start jobs, take what comes of them.

    threads: of each trial. nb_process: None is as many as the processors then allow, on GPUs one
    for each.
    """

    def __init__(self, nb_process, threads, device=None):
        gpus = [] if device == "cpu" else visible_gpus()
        self.nb_process = nb_process or len(gpus) or max(1, processors.count() // threads)
        self.gpus = [gpus[i % len(gpus)] if gpus else None for i in range(self.nb_process)]
        self.workers, self.deaths = [], {}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for worker in self.workers:
            worker.process.terminate()  # all at once
        for worker in self.workers:
            worker.stop()

    def is_free(self):
        """Whether another job can be started."""
        busy = sum(worker.job is not None for worker in self.workers)
        return busy < self.nb_process

    def idle(self):
        return [worker for worker in self.workers if worker.job is None]

    def at_hand(self):
        """The trials whose models idle processes may still have."""
        return [number for worker in self.idle() for number in worker.trials]

    def start(self, job, config):
        """Start a job in a process that has none, best in the one that has the trial's model."""
        idle = self.idle()
        if not idle:
            idle = [Worker(self.gpus[len(self.workers)])]
            self.workers += idle
        worker = next((worker for worker in idle if job.trial in worker.trials), idle[0])
        worker.give(job, config)

    def finished(self, timeout):
        """What came of jobs within so many seconds: [(job, outcome)]."""
        found = []
        busy = {worker.jobs: worker for worker in self.workers if worker.job is not None}
        for connection in wait(list(busy), timeout):
            worker = busy[connection]
            job = worker.job
            try:
                outcome = connection.recv()
                worker.job = None
            except (EOFError, OSError):
                outcome = self.died(worker)
            if outcome is not None:
                found.append((job, outcome))
        return found

    def died(self, worker):
        """Replace a process that died; its job is resumed in the new one, a few times at most."""
        job, config = worker.job, worker.config
        key = job.trial, job.until
        deaths = self.deaths[key] = self.deaths.get(key, 0) + 1
        fresh = self.replace(worker)
        if deaths == ATTEMPTS:
            return without_score("failed", f"its process died {deaths} times")
        fresh.give(job, config)
        return None

    def replace(self, worker):
        """A new process in the place of one."""
        worker.stop()
        fresh = Worker(worker.gpu)
        self.workers[self.workers.index(worker)] = fresh
        return fresh
