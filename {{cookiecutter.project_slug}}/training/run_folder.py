"""A result folder is a whole experiment: what was asked, what happened, and what came out.

config.json     every setting and what the run ran on
status.json     running | complete | interrupted | diverged | failed, the step, the reason
metrics.jsonl   one line per record: step, split, loss, the model's metrics
checkpoints/    see training/checkpoints.py
train/ valid/   TensorBoard events, see training/summaries.py
"""

import math
import os
import secrets
import socket
import time
from pathlib import Path

import filelock

from training.environment import environment, utc_now
from training.files import (
    PROJECT,
    append_json,
    cut_jsonl,
    read_json,
    read_jsonl,
    sync,
    write_json,
)

RESULTS = PROJECT / "results"


def recorded_config(path):
    """The settings of the run in a folder; {} if it holds none."""
    file = Path(path).expanduser() / "config.json"
    if not file.exists():
        return {}
    config = read_json(file).get("config")
    if not isinstance(config, dict) or not isinstance(config.get("model_name"), str):
        raise ValueError(f"{file} is damaged: it names no model")
    return config


def new_folder(model_name):
    """Make results/<model>/<UTC time>-<suffix>, which no other start can have."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    while True:
        path = RESULTS / model_name / f"{stamp}-{secrets.token_hex(3)}"
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            continue


def refuse_patterns(path):
    """ValueError for a path that TensorFlow would not find its checkpoints by."""
    if "[" in str(path) or "\\" in path.as_posix():
        raise ValueError(f"{path}: TensorFlow cannot read from a folder with [ or \\ in its path")


def claim(path):
    """Make the folder that was asked for; refuse one that holds something other than a run."""
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"--result_dir={path} is a file; name a folder")
    path.mkdir(parents=True, exist_ok=True)
    foreign = sorted(p.name for p in path.iterdir() if p.name not in (".lock", "config.json.tmp"))
    if foreign and not (path / "config.json").exists():
        raise FileExistsError(
            f"--result_dir={path} holds {foreign[0]} but no run; name a new folder or a run's"
        )
    return path


class RunFolder:
    """One result folder in the hands of one process: `with RunFolder(config) as run`.

    An exception that leaves the block is recorded as the status of a run that has begun.
    """

    def __init__(self, config):
        self.config = config
        self.since = utc_now()
        self.step = None  # the step that the status tells, once the run has begun

    def __enter__(self):
        asked = self.config["result_dir"]
        refuse_patterns(Path(asked or RESULTS).absolute())
        self.path = claim(asked) if asked else new_folder(self.config["model_name"])
        self.config["result_dir"] = str(self.path)
        self.lock = filelock.FileLock(self.path / ".lock")
        try:
            self.lock.acquire(timeout=0)
        except filelock.Timeout:
            raise BlockingIOError(f"{self.path} is in use by {self.holder()}") from None
        return self

    def __exit__(self, kind, error, traceback):
        try:
            if kind is not None and self.step is not None:
                stopped = issubclass(kind, KeyboardInterrupt)
                reason = "stopped at once" if stopped else str(error).split("\n")[0]
                self.set_status("interrupted" if stopped else "failed", self.step, reason=reason)
        finally:
            self.lock.release()

    def __str__(self):
        """The folder's path as a person would type it from here."""
        path, here = self.path.absolute(), Path.cwd()
        return str(path.relative_to(here) if path.is_relative_to(here) else path)

    def holder(self):
        """Who has the lock, in words."""
        try:
            status = read_json(self.path / "status.json")
            if status["status"] == "running":
                return f"process {status['pid']} on {status['host']} since {status['since']}"
        except (OSError, ValueError, KeyError):
            pass  # it has only just begun
        return "another process"

    def record_config(self, data_checksum):
        """Write config.json, or add this start to the one of the run that is resumed."""
        file = self.path / "config.json"
        if not file.exists():
            about = {"environment": environment(), "data_checksum": data_checksum}
            write_json(file, {"config": self.config, **about, "resumed": []})
            return
        content = read_json(file)
        if content.get("data_checksum") != data_checksum:
            raise ValueError(
                f"the training data is not what {self.path} was started on; restore the data, "
                "or start a new run without --result_dir"
            )
        content["config"] = self.config
        now, first = environment(), content.get("environment", {})
        changes = {name: value for name, value in now.items() if value != first.get(name)}
        content.setdefault("resumed", []).append(changes)
        write_json(file, content)

    def set_status(self, status, step, **about):
        """Replace status.json. about gives the reason and, for a diverged run, the details."""
        self.step = step
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": self.since}
        write_json(self.path / "status.json", {"status": status, "step": step, **about, **holder})

    @property
    def metrics_file(self):
        return self.path / "metrics.jsonl"

    def record(self, split, points):
        """Add {step: {name: value}} to metrics.jsonl; what is not finite is null, as in JSON."""
        lines = []
        for step, values in points.items():
            finite = {k: v if math.isfinite(v) else None for k, v in values.items()}
            lines.append({"step": step, "split": split, **finite})
        append_json(self.metrics_file, *lines)

    def records(self, split):
        """The lines of one split, in order of time."""
        return [r for r in read_jsonl(self.metrics_file) if r.get("split") == split]

    def cut_metrics(self, step):
        """Forget what was recorded after the step that a resumed run goes on from."""
        cut_jsonl(self.metrics_file, step)

    def sync_metrics(self):
        if self.metrics_file.exists():
            sync(self.metrics_file)
