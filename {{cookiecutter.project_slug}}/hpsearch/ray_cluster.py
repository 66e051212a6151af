"""Run jobs as tasks of a Ray cluster, whose machines share the folders of project and results."""

import logging
import os
import socket
from concurrent.futures import Future
from pathlib import Path

from hpsearch import trial
from hpsearch.halving import Job
from hpsearch.ledger import FAILED, Outcome
from hpsearch.local import ATTEMPTS
from settings import ConfigError
from training.files import PROJECT
from training.messages import one_line

log = logging.getLogger(__name__)
models = trial.ModelCache()  # of one of Ray's processes, which runs many tasks


def run_job(config: dict, until: int) -> Outcome:
    """One job, in a process of Ray's on any machine."""
    return trial.run_job(config, until, models)


def check_address(address: str) -> None:
    """OSError if there is no answer at host:port; Ray itself would try for minutes."""
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
    its process or its machine dies, Ray runs it again: the trial is resumed from its checkpoint.
    nb_process: None is as many tasks at a time as the cluster has processors for at the start.
    """

    def __init__(self, nb_process: int | None, threads: int, address: str, device=None):
        try:
            import ray
        except ImportError:
            raise ConfigError("--executor=ray needs Ray: pip install -e '.[ray]'") from None
        self.ray, self.references = ray, {}  # of the tasks that run
        check_address(address)
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
            log.info(f"Waiting for a machine with {threads} processors; the largest has {most:g}")
        resources = ray.cluster_resources()
        self.nb_process = nb_process or max(1, int(resources.get("CPU", 0)) // threads)
        gpus = resources.get("GPU") and device != "cpu"
        self.task = ray.remote(
            num_cpus=threads, num_gpus=1 if gpus else 0, max_retries=ATTEMPTS - 1
        )(run_job)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for reference in list(self.references.values()):
            self.ray.cancel(reference, force=True)
        self.ray.shutdown()

    def cached_shapes(self) -> set[str]:
        """Shapes of trials that should go first: none, because Ray chooses the processes."""
        return set()

    def submit(self, job: Job, config: dict) -> Future[Outcome]:
        """Start a job."""
        folder = str(Path(config["result_dir"]).absolute())  # Ray's processes start elsewhere
        reference = self.task.remote(config | {"result_dir": folder}, job.until)
        future = Future()
        self.references[future] = reference
        reference.future().add_done_callback(lambda done: self.settle(future, done))
        return future

    def settle(self, future: Future, done: Future) -> None:
        """Give a future of ours the outcome that Ray's own future has."""
        del self.references[future]
        error = done.exception()
        cause = getattr(error, "cause", None)  # what the job itself raised
        died = (self.ray.exceptions.WorkerCrashedError, self.ray.exceptions.NodeDiedError)
        if error is None:
            future.set_result(done.result())
        elif isinstance(error, died):
            future.set_result(Outcome(FAILED, reason=f"its process died {ATTEMPTS} times"))
        elif isinstance(cause, OSError):
            future.set_exception(cause)
        else:  # the cluster's fault
            future.set_exception(OSError(f"{type(error).__name__}: {one_line(error)}"))
