"""Checkpoints that survive a kill at any instant and tell when they are damaged.

    checkpoints.jsonl   one line per save: step, time, the SHA-256 of each file, weights_sha256,
                        and of each variable the first 16 digits of its own digest
    model.ckpt-N.*      TensorFlow's saver's files; the newest few, the best, one every n hours
    model.ckpt.meta     the graph, for TensorFlow's own tools
    checkpoint          TensorFlow's pointer to the newest, for its own tools
    best.json           which step is best on valid

Order of writing: the saver's files, then the line, then the pointer, each on the disk for sure
before the next; only then are old files removed. A line therefore promises a whole checkpoint.
"""

import hashlib
import re
import time

import numpy as np
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
from training.run_folder import one_line

PREFIX = "model.ckpt"
FIELDS = {"step": int, "files": dict, "weights_sha256": str, "time": float}  # of a line


def weights_sha256(arrays):
    """SHA-256 over named arrays, in order of name: equal digests mean equal runs.

    Of each array: name in UTF-8, a zero byte, dtype name, a zero byte, shape as decimal numbers
    with commas, a zero byte, then the little-endian C-order bytes.
    """
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        array = np.asarray(array)
        shape = ",".join(map(str, array.shape))
        digest.update(b"\0".join(part.encode() for part in (name, array.dtype.name, shape, "")))
        digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()


def variable_digests(arrays):
    """The beginning of each array's own digest, as {name: 16 hexadecimal digits}."""
    return {name: weights_sha256({name: array})[:16] for name, array in arrays.items()}


class Checkpoints:
    """The checkpoints of one run folder. Reading them writes nothing.

    first_step: where the run starts, if it is not at step 0.
    """

    def __init__(self, run_path, config, first_step=0, clock=time.time):
        self.path = run_path / "checkpoints"
        self.config = config
        self.first_step = first_step
        self.clock = clock
        self.saved_at = clock()
        self.best = None  # its step, for rotate
        self.ledger = self.path / "checkpoints.jsonl"
        self.records = [r for r in read_jsonl(self.ledger, FIELDS) if self.is_own(r)]
        self.kept = [r for r in self.records[:-1] if self.has_files(r)] + self.records[-1:]

    def is_own(self, record):
        """Whether a line names files of its own step here, and no others."""
        own = rf"{re.escape(PREFIX)}-{record['step']}\.(index|data-\d{{5}}-of-\d{{5}})"
        return record["files"] and all(re.fullmatch(own, name) for name in record["files"])

    def has_files(self, record):
        """Whether a checkpoint has not been rotated away."""
        return any((self.path / name).exists() for name in record["files"])

    def last_step(self):
        """The step of the last checkpoint that was saved; None before the first."""
        return self.records[-1]["step"] if self.records else None

    def prefix(self, step):
        return str(self.path / f"{PREFIX}-{step}")

    def is_due(self, step):
        """Whether the number of steps or the clock says that it is time to save."""
        seconds = self.config["save_checkpoint_secs"]
        by_time = seconds > 0 and self.clock() - self.saved_at >= seconds
        return step % self.config["save_every"] == 0 or by_time

    def write(self, saver, session, step):
        """Write the variables to the files of a checkpoint, which counts once committed."""
        self.saved_at = self.clock()
        self.path.mkdir(exist_ok=True)
        try:
            if not self.records:  # the graph does not change: once is enough
                saver.export_meta_graph(str(self.path / f"{PREFIX}.meta"))
            saver.save(session, self.prefix(step), write_meta_graph=False, write_state=False)
        except tf.errors.OpError as error:  # the disk is full, say
            reason = one_line(error)
            raise OSError(f"{self.prefix(step)} cannot be written: {reason}") from None

    def commit(self, step, weights):
        """Wait until the files of a checkpoint are on the disk, and add its line.

        weights: the saved variables, {name: array}, for their digest.
        """
        files = sorted(self.path.glob(f"{PREFIX}-{step}.*"))
        for path in [*files, self.path, self.path.parent]:
            sync(path)
        record = {"step": step, "files": {path.name: sha256(path) for path in files}}
        record |= {"weights_sha256": weights_sha256(weights), "time": float(self.clock())}
        record |= {"variables": variable_digests(weights)}
        branched = step > 0 and not self.records  # from another run, which may be removed
        if branched or self.is_permanent(record["time"]):
            record["permanent"] = True
        append_json(self.ledger, record)
        sync(self.ledger)
        if not self.records:
            sync(self.path)  # the ledger's own name
        write_atomically(self.path / "checkpoint", f'model_checkpoint_path: "{PREFIX}-{step}"\n')
        self.records.append(record)
        self.kept.append(record)

    def is_permanent(self, now):
        """Whether the last checkpoint that is kept for ever, or the very first, is n hours old."""
        hours = self.config["keep_checkpoint_every_n_hours"]
        marks = [r["time"] for r in self.kept if r.get("permanent")]
        marks = marks or [r["time"] for r in self.records[:1]]
        return bool(hours and marks) and now - marks[-1] >= 3600 * hours

    def rotate(self):
        """Remove the files of all but the newest, the best and the permanent checkpoints."""
        newest = {record["step"] for record in self.kept[-self.config["max_to_keep"] :]}
        keep = newest | {self.best}
        for record in self.kept[:]:
            if record["step"] not in keep and not record.get("permanent"):
                for name in record["files"]:
                    (self.path / name).unlink(missing_ok=True)
                self.kept.remove(record)

    def set_best(self, step, values):
        """Note that this checkpoint is the best on valid, with its values there."""
        self.best = step
        write_json(self.path / "best.json", {"step": step, "valid": values})

    def forget_best(self):
        """Without a record on valid no checkpoint is best."""
        self.best = None
        (self.path / "best.json").unlink(missing_ok=True)

    def forget_after(self, step):
        """Drop lines after the step that a resumed run goes on from, and files without a line."""
        self.records = [r for r in self.records if r["step"] <= step]
        rewrite_jsonl(self.ledger, self.records)
        self.kept = [r for r in self.kept if r["step"] <= step]
        listed = {name for record in self.kept for name in record["files"]}
        for path in self.path.glob(f"{PREFIX}-*"):
            if path.name not in listed:
                path.unlink()

    def damage(self, record):
        """What is wrong with the files of a checkpoint, in words; "" if they are as written."""
        for name, digest in record["files"].items():
            found = sha256(self.path / name)
            if found != digest:
                problem = "is missing" if found is None else "does not match its SHA-256"
                return f"{self.path / name} {problem}"
        return ""

    def newest(self):
        """The newest undamaged checkpoint's line; None if nothing was ever saved.

        Says which ones are damaged; ValueError if all are: never start again at step 0 in silence.
        """
        for record in reversed(self.kept):
            damage = self.damage(record)
            if not damage:
                return record
            print(f"Checkpoint of step {record['step']} is damaged: {damage}.")
        # Files of the first step without a line: a save that was cut short before any training.
        unlisted = {path.stem for path in self.path.glob(f"{PREFIX}-*.index")}
        if self.kept or unlisted - {f"{PREFIX}-{self.first_step}"}:
            raise ValueError(f"{self.path} holds no usable checkpoint; start a new run")
        return None

    def refuse_misfit(self, step, variables):
        """ValueError if {name: variable} are not those of a checkpoint, in name, dtype and shape.

        TensorFlow itself would give a variable the other shape without a word.
        """
        reader = tf.train.load_checkpoint(self.prefix(step))
        dtypes, shapes = reader.get_variable_to_dtype_map(), reader.get_variable_to_shape_map()
        for name, variable in variables.items():
            wanted = f"{variable.dtype.base_dtype.name} {variable.shape.as_list()}"
            found = f"{dtypes[name].name} {shapes[name]}" if name in shapes else "not"
            if found != wanted:
                raise ValueError(
                    f"{name} is {wanted} in the model and {found} in {self.prefix(step)}: "
                    "a checkpoint fits the model, optimizer and sizes that it was saved with"
                )

    def find(self, step=None):
        """The line of a kept checkpoint: by number, "best", or the newest.

        FileNotFoundError if there is none, with those that there are; ValueError if damaged.
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
