"""Checkpoints that survive a kill at any instant, and whose damage is detected.

    checkpoints.jsonl   one line per save: step, time, the SHA-256 of each file, weights_sha256,
                        and of each variable the first 16 digits of its own digest
    model.ckpt-N.*      files of TensorFlow's saver; the newest few, the best, one every n hours
    model.ckpt.meta     the graph, for TensorFlow's own tools
    checkpoint          TensorFlow's pointer to the newest, for its own tools
    best.json           which step is best on valid

Order of writing: the saver's files, then the line, then the pointer, each synced to the disk
before the next; only then are old files removed. So a line means that its checkpoint is complete.
"""

import logging
import re
import shutil
import time
from pathlib import Path
from typing import Any, TypedDict

import tensorflow as tf

from training.files import (
    append_json,
    read_json,
    read_jsonl,
    rewrite_jsonl,
    sha256,
    sync,
    write_atomically,
    write_json,
)
from training.folders import check_path
from training.messages import one_line

log = logging.getLogger(__name__)
PREFIX = "model.ckpt"
KEPT_BYTES = 10**9  # of the newest checkpoints, unless --max_to_keep gives their number
FIELDS = {"step": int, "files": dict, "weights_sha256": str, "time": float}  # of every line


class Checkpoint(TypedDict, total=False):
    """A line of checkpoints.jsonl."""

    step: int
    files: dict[str, str]  # {name: SHA-256}
    weights_sha256: str
    time: float  # seconds since 1970
    variables: dict[str, str]  # {name: the first 16 digits of its digest}
    permanent: bool  # never removed


class Checkpoints:
    """The checkpoints of one run folder; ValueError if TensorFlow cannot read from it."""

    def __init__(self, run_path, config, clock=time.time):
        self.path = Path(run_path) / "checkpoints"
        check_path(self.path.absolute())
        self.config = config
        self.clock = clock
        self.saved_at = clock()
        self.best = None  # its step, for rotate
        self.file = self.path / "checkpoints.jsonl"
        self.records = [r for r in read_jsonl(self.file, FIELDS) if self.is_own(r)]
        self.kept = [r for r in self.records[:-1] if self.has_files(r)] + self.records[-1:]

    def is_own(self, record):
        """Whether a line names files of its own step in this folder, and no others."""
        own = rf"{re.escape(PREFIX)}-{record['step']}\.(index|data-\d{{5}}-of-\d{{5}})"
        return record["files"] and all(re.fullmatch(own, name) for name in record["files"])

    def has_files(self, record):
        """Whether a checkpoint has not been removed by rotate."""
        return any((self.path / name).exists() for name in record["files"])

    def last_step(self) -> int | None:
        """The step of the last checkpoint that was saved; None before the first."""
        return self.records[-1]["step"] if self.records else None

    def prefix(self, step):
        return str(self.path / f"{PREFIX}-{step}")

    def is_due(self, step: int) -> bool:
        """Whether it is time to save, by the number of steps or by the clock."""
        steps, seconds = self.config["save_every"], self.config["save_checkpoint_secs"]
        by_time = seconds > 0 and self.clock() - self.saved_at >= seconds
        return (steps > 0 and step % steps == 0) or by_time

    def write(self, model) -> dict:
        """Write a model's variables to files, which count once they are committed.

        Returns the variables, as {name: array}.
        """
        weights, self.saved_at = model.weights(), self.clock()
        if weights["global_step"] != model.step:
            raise ValueError("train_step must count: call self.update, or pass global_step")
        prefix = self.prefix(model.step)
        self.path.mkdir(exist_ok=True)
        try:
            with model.graph.as_default():
                if not (self.path / f"{PREFIX}.meta").exists():  # the graph does not change
                    model.saver.export_meta_graph(str(self.path / f"{PREFIX}.meta"))
                model.saver.save(model.session, prefix, write_meta_graph=False, write_state=False)
        except tf.errors.OpError as error:  # for example, the disk is full
            raise OSError(f"{prefix} cannot be written: {one_line(error)}") from None
        return weights

    def load(self, model, record: Checkpoint) -> None:
        """Give a model's variables the values of a checkpoint."""
        self.check_fit(record["step"], model.saved)
        with model.graph.as_default():
            model.saver.restore(model.session, self.prefix(record["step"]))
        model.step, model.is_new = record["step"], True
        if self.config["debug"]:
            log.info(f"Loaded {self.prefix(model.step)}")

    def copy(self, other: "Checkpoints", record: Checkpoint) -> None:
        """Take over a checkpoint of another run, which may be removed later."""
        self.path.mkdir(exist_ok=True)
        for name, digest in record["files"].items():
            shutil.copyfile(other.path / name, self.path / name)
            if sha256(self.path / name) != digest:
                raise OSError(f"{self.path / name} is not what was copied; is the disk damaged?")
        digests = {n: record[n] for n in ("weights_sha256", "variables") if n in record}
        self.commit(record["step"], digests, permanent=True)

    def commit(self, step: int, digests: dict, permanent: bool = False) -> None:
        """Wait until the files of a checkpoint are on the disk, and add its line.

        digests: of the variables in it, see training/digests.py.
        """
        files = sorted(self.path.glob(f"{PREFIX}-{step}.*"))
        for path in [*files, self.path, self.path.parent]:
            sync(path)
        record = {"step": step, "files": {path.name: sha256(path) for path in files}}
        record |= {"time": float(self.clock()), **digests}
        if permanent or self.is_permanent(record["time"]):
            record["permanent"] = True
        append_json(self.file, record)
        sync(self.file)
        if not self.records:
            sync(self.path)  # the name of the file itself
        write_atomically(self.path / "checkpoint", f'model_checkpoint_path: "{PREFIX}-{step}"\n')
        self.records.append(record)
        self.kept.append(record)
        if self.config["debug"]:
            log.info(f"Saved {self.prefix(step)}")

    def is_permanent(self, now):
        """Whether the last checkpoint that is never removed, or the first one, is n hours old."""
        hours = self.config["keep_checkpoint_every_n_hours"]
        marks = [r["time"] for r in self.kept if r.get("permanent")]
        marks = marks or [r["time"] for r in self.records[:1]]
        return bool(hours and marks) and now - marks[-1] >= 3600 * hours

    def rotate(self) -> None:
        """Remove the files of all but the newest, the best and the permanent checkpoints."""
        size = sum(p.stat().st_size for p in self.path.glob(f"{PREFIX}-{self.last_step()}.*"))
        count = self.config["max_to_keep"] or min(50, max(5, KEPT_BYTES // max(1, size)))
        newest = {record["step"] for record in self.kept[-count:]}
        keep = newest | {self.best}
        for record in self.kept[:]:
            if record["step"] not in keep and not record.get("permanent"):
                for name in record["files"]:
                    (self.path / name).unlink(missing_ok=True)
                self.kept.remove(record)

    def set_best(self, step: int | None, values: dict[str, float]) -> None:
        """Note which checkpoint is the best on valid, with its values; None before the first."""
        self.best = step
        if step is None:
            (self.path / "best.json").unlink(missing_ok=True)
        else:
            write_json(self.path / "best.json", {"step": step, "valid": values})

    def truncate_to(self, step: int) -> None:
        """Drop lines after the step from which a run is resumed, and files without a line."""
        self.records = [r for r in self.records if r["step"] <= step]
        rewrite_jsonl(self.file, self.records)
        self.kept = [r for r in self.kept if r["step"] <= step]
        listed = {name for record in self.kept for name in record["files"]}
        for path in self.path.glob(f"{PREFIX}-*"):
            if path.name not in listed:
                path.unlink()

    def damage(self, record: Checkpoint) -> str:
        """What is wrong with the files of a checkpoint; "" if they are as they were written."""
        for name, digest in record["files"].items():
            found = sha256(self.path / name)
            if found != digest:
                problem = "is missing" if found is None else "does not match its SHA-256"
                return f"{self.path / name} {problem}"
        return ""

    def newest(self, first_step: int = 0) -> Checkpoint | None:
        """The newest undamaged checkpoint; None if nothing was ever saved.

        Reports damaged ones; ValueError if all are damaged: a run never silently starts again.
        first_step: where the run begins; files of this step alone are an interrupted start.
        """
        for record in reversed(self.kept):
            damage = self.damage(record)
            if not damage:
                return record
            log.info(f"Checkpoint of step {record['step']} is damaged: {damage}.")
        unlisted = {path.stem for path in self.path.glob(f"{PREFIX}-*.index")}
        if self.kept or unlisted - {f"{PREFIX}-{first_step}"}:
            raise ValueError(f"{self.path} holds no usable checkpoint; start a new run")
        return None

    def check_fit(self, step: int, variables: dict[str, Any]) -> None:
        """ValueError if {name: variable} are not those of a checkpoint, in name, dtype and shape.

        TensorFlow itself would give a variable the other shape without an error.
        """
        reader = tf.train.load_checkpoint(self.prefix(step))
        dtypes, shapes = reader.get_variable_to_dtype_map(), reader.get_variable_to_shape_map()
        for name, variable in variables.items():
            wanted = f"{variable.dtype.base_dtype.name} {variable.shape.as_list()}"
            found = f"{dtypes[name].name} {shapes[name]}" if name in shapes else "missing"
            if found != wanted:
                raise ValueError(
                    f"{name} is {wanted} in the model and {found} in {self.prefix(step)}: "
                    "a checkpoint fits the model, optimizer and sizes that it was saved with"
                )

    def find(self, step: int | str | None = None) -> Checkpoint:
        """A kept checkpoint: by number, "best", or the newest.

        FileNotFoundError if there is none, with those that there are; ValueError if it is damaged.
        """
        if step is None:
            record = self.newest()
            if record is None:
                raise FileNotFoundError(f"{self.path.parent} holds no checkpoint yet; train first")
            return record
        kept = {record["step"]: record for record in self.kept}
        best = self.path / "best.json"
        if step == "best" and not best.exists():
            raise FileNotFoundError(f"--step=best: {self.path.parent} has no evaluation yet")
        wanted = read_json(best).get("step") if step == "best" else step
        if type(wanted) is not int:
            raise ValueError(f"{best} is damaged: it names no step")
        if wanted not in kept:
            steps = ", ".join(map(str, kept)) or "none"
            raise FileNotFoundError(f"--step={step} is not kept in {self.path}; kept: {steps}")
        damage = self.damage(kept[wanted])
        if damage:
            raise ValueError(f"checkpoint of step {wanted} is damaged: {damage}")
        return kept[wanted]
