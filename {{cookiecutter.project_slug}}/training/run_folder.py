"""A result folder is a whole experiment: what was asked, what happened, and what came out.

config.json     every setting and what the run ran on
status.json     running | complete | interrupted | diverged | failed, the step, the reason
metrics.jsonl   one line per record: step, split, loss, the model's metrics
checkpoints/    see training/checkpoints.py
train/ valid/   TensorBoard events, see training/summaries.py
"""

import json
import math
import os
import secrets
import socket
import time
from pathlib import Path

import filelock

from training.environment import changes, environment, utc_now
from training.files import (
    PROJECT,
    append_json,
    make_folder,
    overwrite,
    read_json,
    read_jsonl,
    rewrite_jsonl,
    sync,
    write_json,
)

RESULTS = PROJECT / "results"
FIELDS = {"step": int, "split": str}  # of a line of metrics.jsonl


def one_line(error):
    """What an exception says, in one line; TensorFlow puts pages about its graph before it."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" :\t")]
    said = [after for line, after in zip(lines, lines[1:], strict=False) if line[:6] == "Node: "]
    said += [line for line in lines if not line.startswith("Graph execution error")]
    return said[0] if said else type(error).__name__


def recorded_config(path):
    """The settings of the run in a folder; {} if it holds none."""
    file = Path(path).expanduser() / "config.json"
    if not file.exists():
        return {}
    config = read_json(file).get("config")
    if not isinstance(config, dict) or not isinstance(config.get("model_name"), str):
        raise ValueError(f"{file} is damaged: it names no model")
    return config


def recorded_start(path):
    """What config.json says beside the settings: {"environment", "data_checksum", "parent",
    "resumed": [what was another at each later start]}; ValueError if it is damaged."""
    file = path / "config.json"
    content = read_json(file)
    found = {"environment": {}, "data_checksum": None, "parent": None, "resumed": []}
    found |= {name: content[name] for name in found if name in content}
    resumed = found["resumed"]
    parts = [found["environment"], found["parent"] or {}]
    parts += resumed if isinstance(resumed, list) else [None]
    if not all(isinstance(part, dict) for part in parts):
        raise ValueError(f"{file} is damaged: it does not say what the run was started on")
    return found


def new_folder(model_name):
    """Make results/<model>/<UTC time>-<suffix>, which no other start can have."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    folder = RESULTS / model_name
    make_folder(folder)
    while True:
        path = folder / f"{stamp}-{secrets.token_hex(3)}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        sync(folder)
        return path


def refuse_patterns(path):
    """ValueError for a path that TensorFlow would not find its checkpoints by."""
    if "[" in str(path) or "\\" in path.as_posix():
        raise ValueError(f"{path}: TensorFlow cannot read from a folder with [ or \\ in its path")


def claim(path):
    """Make the folder that was asked for; refuse one that holds something other than a run."""
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"--result_dir={path} is a file; name a folder")
    make_folder(path)
    foreign = sorted(p.name for p in path.iterdir() if p.name not in (".lock", "config.json.tmp"))
    if (path / "search.json").exists():
        raise FileExistsError(
            f"--result_dir={path} holds a search; it goes on with the command that began it"
        )
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
                reason = "stopped at once" if stopped else one_line(error)
                self.set_status("interrupted" if stopped else "failed", self.step, reason=reason)
            sync(self.path)
        finally:
            self.lock.release()

    def __str__(self):
        """The folder's path as a person would type it from here."""
        path, here = self.path.absolute(), Path.cwd()
        return str(path.relative_to(here) if path.is_relative_to(here) else path)

    def holder(self):
        """Who has the lock, in words."""
        try:
            status = read_json(self.status_file)
            if status["status"] == "running":
                return f"process {status['pid']} on {status['host']} since {status['since']}"
        except (OSError, ValueError, KeyError):
            pass  # it has only just begun
        return "another process"

    def record_config(self, data_checksum, parent):
        """Write config.json, or add this start to the one of the run that is resumed.

        parent: what the run started from, {"result_dir", "step", "weights_sha256"}, or None.
        """
        file = self.path / "config.json"
        if not file.exists():
            about = {"environment": environment(), "data_checksum": data_checksum}
            about |= {"parent": parent, "resumed": []}
            write_json(file, {"config": self.config, **about})
            sync(self.path)  # a folder that holds anything else holds this
            return
        start = recorded_start(self.path)
        if start["data_checksum"] != data_checksum:
            raise ValueError(
                f"the training data is not what {self.path} was started on; restore the data, "
                "or start a new run without --result_dir"
            )
        start["resumed"].append(changes(start["environment"]))
        write_json(file, {"config": self.config, **start})

    def set_status(self, status, step, **about):
        """Replace status.json. about gives the reason and, for a diverged run, the details."""
        self.step = step
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": self.since}
        content = {"status": status, "step": step, **about, **holder}
        try:
            write_json(self.status_file, content)
        except OSError:
            if status != "failed" or not self.status_file.exists():
                raise
            overwrite(self.status_file, json.dumps(content))

    @property
    def status_file(self):
        return self.path / "status.json"

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
        return [r for r in read_jsonl(self.metrics_file, FIELDS) if r["split"] == split]

    def reached(self):
        """The last step that metrics.jsonl or status.json tells of; 0 if none does."""
        steps = [record["step"] for record in read_jsonl(self.metrics_file, FIELDS)]
        try:
            steps.append(read_json(self.status_file)["step"])
        except (OSError, ValueError, KeyError):
            pass  # it is for readers, and may be missing or damaged
        return max([0, *(step for step in steps if type(step) is int)])

    def cut_metrics(self, step):
        """Forget what was recorded after the step that a resumed run goes on from."""
        kept = [r for r in read_jsonl(self.metrics_file, FIELDS) if r["step"] <= step]
        rewrite_jsonl(self.metrics_file, kept)

    def sync_metrics(self):
        if self.metrics_file.exists():
            sync(self.metrics_file)
