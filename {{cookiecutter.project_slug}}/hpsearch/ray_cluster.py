"""Run jobs as tasks of a Ray cluster, whose machines share the folders of project and results."""

import os
import socket
from pathlib import Path

from hpsearch import trial
from hpsearch.ledger import without_score
from hpsearch.local import ATTEMPTS
from models.hyperparameters import ConfigError
from training.files import PROJECT
from training.run_folder import one_line

models = trial.Models()  # of one of Ray's processes, which it keeps for the next task


def train(config, until):
    """One job, in a process of Ray's on any machine."""
    return trial.run(config, until, models)


def refuse_unreachable(address):
    """OSError if nobody answers at host:port; Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        raise ConfigError(f"--ray_address={address} is neither host:port nor auto")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise OSError(f"--ray_address={address}: {one_line(error)}") from None


class RayExecutor:
    """`with RayExecutor(nb_process, threads, address) as executor`, used like the local one.

    A task takes as many processors as a trial has threads, and a GPU where the cluster has some. If
    its process or its machine dies, Ray runs it again: the trial goes on from its checkpoint.
    nb_process: None is as many tasks at a time as the cluster has processors for at the start.
    """

    def __init__(self, nb_process, threads, address, device=None):
        try:
            import ray
        except ImportError:
            raise ConfigError("--executor=ray needs Ray: pip install -e '.[ray]'") from None
        self.ray, self.running = ray, {}
        refuse_unreachable(address)
        path = os.pathsep.join([str(PROJECT), "${PYTHONPATH}"])
        try:
            ray.init(
                address=address,
                runtime_env={"env_vars": {"PYTHONPATH": path}},
                log_to_driver=False,
                logging_level="error",
            )
        except ConnectionError as error:
            reason = one_line(error)
            if address == "auto":
                reason = "no cluster on this machine; start one with `ray start --head`"
            raise OSError(f"--ray_address={address}: {reason}") from None
        most = max(node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"])
        if most < threads:  # but the cluster may grow
            print(f"Waiting for a machine with {threads} processors; the most is {most:g}")
        there = ray.cluster_resources()
        self.nb_process = nb_process or max(1, int(there.get("CPU", 0)) // threads)
        gpus = there.get("GPU") and device != "cpu"
        self.task = ray.remote(
            num_cpus=threads, num_gpus=1 if gpus else 0, max_retries=ATTEMPTS - 1
        )(train)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for reference in self.running:
            self.ray.cancel(reference, force=True)
        self.ray.shutdown()

    def is_free(self):
        """Whether another job can be started."""
        return len(self.running) < self.nb_process

    def at_hand(self):
        """Trials that should go first; Ray chooses processes by itself."""
        return []

    def start(self, job, config):
        """Submit a job."""
        folder = str(Path(config["result_dir"]).absolute())  # Ray's processes start elsewhere
        config |= {"result_dir": folder}
        self.running[self.task.remote(config, job.until)] = job, config

    def finished(self, timeout):
        """What came of jobs within so many seconds: [(job, outcome)]."""
        exceptions = self.ray.exceptions
        done, _ = self.ray.wait(list(self.running), timeout=timeout)
        found = []
        for reference in done:
            job, config = self.running.pop(reference)
            try:
                outcome = self.ray.get(reference)
            except (exceptions.WorkerCrashedError, exceptions.NodeDiedError):
                outcome = without_score("failed", f"its process died {ATTEMPTS} times")
            except exceptions.RayError as error:  # of the cluster, which the trial cannot help
                outcome = without_score(None, f"{type(error).__name__}: {one_line(error)}")
            if outcome is None:  # its machine was told to stop
                self.start(job, config)
            else:
                found.append((job, outcome))
        return found
