"""A run folder is a whole experiment: what was asked, what happened, and what came out.

config.json     every setting, and what the run ran on: see training/provenance.py
status.json     running | complete | interrupted | diverged | failed, the step; training/status.py
metrics.jsonl   one line per record: step, split, loss, the model's metrics; training/metrics.py
train.log       the messages of the run, as on the console
checkpoints/    see training/checkpoints.py
train/ valid/   TensorBoard's files, see training/events.py
traces/         with --trace_every, see training/traces.py
"""

import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor

from settings import ConfigError
from training import device, provenance, workers
from training.checkpoints import Checkpoint, Checkpoints
from training.config import check_contradictions
from training.digests import digests
from training.evaluation import SAMPLE, inspect
from training.events import Events
from training.files import sync, write_json
from training.folders import from_here, locked, run_folder
from training.messages import one_line, written_to
from training.metrics import Metrics, Values, is_better, values_of
from training.status import Status

log = logging.getLogger(__name__)
Origin = tuple[Checkpoints, Checkpoint]  # where a branch starts: a run's checkpoints, one of them


class Run:
    """One run folder, held by one process: `with Run(config) as run: run.start(model)`.

    An exception that leaves the block is recorded as the status of a run that has started.
    """

    def __init__(self, config: dict):
        self.config = config
        self.best = None  # record on valid
        self.step = None  # the one in status.json, once the run has started
        self.saving = None  # the checkpoint that is being committed in the background

    def __enter__(self):
        self.path = run_folder(self.config)
        self.config["result_dir"] = str(self.path)
        self.status, self.metrics = Status(self.path), Metrics(self.path)
        lock = locked(self.path, self.status.holder)
        self.cleanup = contextlib.ExitStack()  # what is to be done at the end, the last one first
        self.cleanup.callback(lock.release)
        self.cleanup.callback(sync, self.path)
        self.cleanup.push(self.record_failure)
        self.cleanup.enter_context(written_to(self.path / "train.log"))
        return self

    def __exit__(self, *error):
        self.cleanup.__exit__(*error)

    def __str__(self):
        """The folder's path as a person would type it from here."""
        return from_here(self.path)

    def start(self, model, origin: Origin | None = None, keep: bool = False) -> None:
        """Bring a model to the step at which this run starts, in one of three ways.

        1. Resume: load the newest undamaged checkpoint, and drop what was recorded after it.
        2. Branch: copy the checkpoint of `origin` into this folder, and resume from there.
        3. New: give the model its initial values, and save them as step 0.
        keep: whether the model stays as it is instead, and is saved at its own step.
        """
        check_contradictions(model.settings(), provenance.recorded_config(self.path), self.config)
        self.model, self.checkpoints = model, Checkpoints(self.path, self.config)
        first_step = origin[1]["step"] if origin else 0
        newest = self.checkpoints.newest(first_step)
        self.check_progress(newest, first_step)
        if keep:
            if newest and (last := newest["step"]) > model.step:
                beyond = f"{self} has gone on to step {last}, beyond step {model.step}"
                raise ValueError(f"{beyond}; save in another result_dir")
        elif newest:
            self.checkpoints.load(model, newest)
        elif origin:
            origin[0].load(model, origin[1])
        else:
            model.init()
        self.status.start()
        self.record_config(origin)  # from here on the folder changes
        if newest:
            log.info(f"Resuming {self} at step {model.step}")
        elif origin:
            log.info(f"Starting from step {first_step} of {origin[0].path.parent}")
            self.checkpoints.copy(*origin)
        if not newest:
            log.info(f"Results go to {self}")
        self.truncate_to(model.step)
        self.events = Events(self.path, model, is_new=not newest)
        self.cleanup.callback(self.events.close)
        self.background = self.cleanup.enter_context(ThreadPoolExecutor(max_workers=1))
        self.note_best()
        self.save()
        self.wait()  # records without any checkpoint mean that the checkpoints were lost

    def check_progress(self, newest, first_step):
        """Error if the run has lost its checkpoints, or is beyond max_iter."""
        max_iter, step = self.config["max_iter"], self.last_recorded_step()
        if newest is None and step > first_step:
            raise ValueError(f"{self} was at step {step} and has lost its checkpoints; "
                             "start a new run")  # fmt: skip
        if newest and newest["step"] > max_iter:
            raise ConfigError(f"--max_iter={max_iter}: {self} is at step {newest['step']} already")

    def last_recorded_step(self):
        """The last step named in metrics.jsonl or status.json; 0 if none is."""
        steps = [record["step"] for record in self.metrics.records()]
        steps.append(self.status.read().get("step"))
        return max([0, *(step for step in steps if type(step) is int)])

    def record_config(self, origin):
        """Write config.json, or add this start to the one of the run that is resumed."""
        file = self.path / "config.json"
        checksum, graph = self.model.data_checksum, self.model.graph_sha256
        gpus = device.gpus(self.config)
        if gpus:
            needs = "" if self.config["deterministic"] else "; to repeat runs, add --deterministic"
            log.info(f"Training on {device.named(gpus)}{needs}")
        if not file.exists():
            parent = None
            if origin:
                checkpoints, record = origin
                parent = {n: record[n] for n in ("step", "weights_sha256")}
                parent = {"result_dir": str(checkpoints.path.parent), **parent}
            about = {"environment": provenance.environment(graph, gpus), "data_checksum": checksum,
                     "inputs": self.model.described, "parent": parent}  # fmt: skip
            write_json(file, {"config": self.config, **about, "resumed": []})
            sync(self.path)  # config.json is on the disk before any other file
            return
        about = provenance.read_provenance(self.path)
        if about["data_checksum"] != checksum:
            raise ValueError(provenance.OTHER_DATA.format(self.path))
        changed = provenance.changes(about["environment"], graph, gpus)
        before = about["environment"].get("gpus", gpus)
        if gpus != before:
            log.warning(
                f"{self} was started on {device.named(before)}, and now trains on "
                f"{device.named(gpus)}: its weights will differ from those of a run that stayed"
            )
        if "graph_sha256" in changed:
            log.warning(
                f"The graph is not the one with which {self} was started: code or a package has "
                "changed, or random numbers do not follow from random_seed"
            )
        about["resumed"].append(changed)
        write_json(file, {"config": self.config, **about})

    def truncate_to(self, step):
        """Drop what an earlier process recorded after the step from which the run is resumed."""
        self.metrics.truncate_to(step)
        self.checkpoints.truncate_to(step)
        self.set_status("running", step)

    def log_losses(self, losses: dict[int, float], rates: dict[str, float]) -> None:
        """Record {step: training loss}, and with each the rates that Progress.report returns."""
        curves = {f"training/{name}": rate for name, rate in rates.items()}
        for step, loss in losses.items():
            self.events.add_scalars("train", step, {"training/batch_loss": loss} | curves)
        points = {step: {"loss": loss} | rates for step, loss in losses.items()}
        self.metrics.add(*(("train", step, values) for step, values in points.items()))

    def log_evaluation(self, step: int, values: dict[str, Values]) -> bool:
        """Record {split: loss and metrics}, and with valid what else TensorBoard shows.

        Returns whether valid is the best yet.
        """
        self.metrics.add(*((split, step, found) for split, found in values.items()))
        if SAMPLE in values:  # under the name of train, so that a chart has both curves
            self.events.add_scalars("train", step, values[SAMPLE])
        valid = values.get("valid")
        if valid:
            self.events.add_scalars("valid", step, valid)
            self.events.add_inspection(step, *inspect(self.model))
        improved = bool(valid) and is_better(valid, self.best, self.model.objective)
        self.best = {"step": step} | valid if improved else self.best
        return improved

    def save(self) -> None:
        """Save a checkpoint, unless this step has one.

        Its files are written now. It is committed in the background: training need not wait.
        """
        self.wait()
        if self.checkpoints.last_step() != self.model.step:
            weights = self.checkpoints.write(self.model)
            known = workers.compare_weights(self.model, weights)
            about = self.model.step, weights, known, self.best
            self.saving = self.background.submit(self.commit, *about)

    def commit(self, step, weights, known, best):
        """Make a checkpoint count, once everything recorded up to its step is on the disk.

        known: the digests of its weights; None if they are to be computed.
        """
        self.metrics.sync()
        self.events.sync()
        self.checkpoints.commit(step, known or digests(weights))
        self.set_status("running", step)
        if best and best["step"] == step:
            self.checkpoints.set_best(step, values_of(best))
        self.checkpoints.rotate()

    def wait(self) -> None:
        """Wait until the last checkpoint is committed; raises what stopped it."""
        saving, self.saving = self.saving, None
        if saving is not None:
            saving.result()

    def finish(self, status: str, **about) -> None:
        """Wait for the last checkpoint, and write the status with which the run ends for now."""
        self.wait()
        self.note_best()
        self.checkpoints.rotate()
        if status in ("complete", "diverged"):  # for good: others can be resumed
            self.events.add_end(status == "complete", self.model.step)
        self.set_status(status, self.model.step, **about)

    def note_best(self):
        """Let best.json name the best record on valid up to here."""
        self.best, _ = self.metrics.best(self.model.objective)
        best = self.best or {"step": None}
        self.checkpoints.set_best(best["step"], values_of(best))

    def set_status(self, status: str, step: int, **about) -> None:
        """Replace status.json. about: the reason, and the details of a run that diverged."""
        self.step = step
        self.status.write(status, step, **about)

    def record_failure(self, kind, error, traceback):
        """Write the status of a run that an exception ends."""
        if kind is not None and self.step is not None:
            stopped = issubclass(kind, KeyboardInterrupt)
            reason = "stopped at once" if stopped else one_line(error)
            self.set_status("interrupted" if stopped else "failed", self.step, reason=reason)
