"""Run folders as plain records, whatever state they are in; nothing is written.

A folder costs the start of config.json, the end of metrics.jsonl and two small files: the rest of
config.json, with the source files of the run, may be a hundred times longer.
"""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypedDict

from models import MODELS
from training.files import read_json
from training.folders import is_in_use
from training.messages import one_line
from training.provenance import recorded_config

SPLITS = ("train", "train_sample", "valid", "test")
OWN_FILES = {"config.json", "status.json", "metrics.jsonl"}  # each of them makes a folder a run's
OWN_FOLDERS = {"checkpoints", "train", "valid", "export"}  # no run lies in one of a run's
HEAD = b'{\n  "config": '  # how a config.json starts
FIRST, LAST = 4096, (1 << 13, 1 << 20)  # bytes to read of config.json; of metrics.jsonl, then more


class Recorded(TypedDict):
    """What a run folder says of itself, as far as it can be read.

    status: that of status.json; killed: it says running, but no process has the folder; damaged: a
    file cannot be read, and the reason says which.
    """

    folder: str
    model_name: str | None
    status: str
    reason: str | None
    step: int | None
    seconds: float | None
    config: dict[str, Any]  # without the model's name
    metrics: dict[str, float | None]  # {"valid_loss": ...}; None if it was not finite


def find(folders: Iterable[str]) -> tuple[list[str], list[str]]:
    """The run folders in and below some folders, and the searches that were left out.

    The trials of a search are found only if its folder, or one in it, is among `folders`. Links are
    followed, and each folder is seen once. One that cannot be read counts as a run's.
    """
    named = {identity(folder) for folder in folders}
    runs, searches, seen = [], [], set()
    waiting = [*folders][::-1]  # the last one is next
    while waiting:
        folder = waiting.pop()
        try:
            this = identity(folder)
            if this in seen:
                continue
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            runs.append(folder)
            continue
        seen.add(this)
        names = {entry.name for entry in entries}
        if "search.json" in names and this not in named:
            searches.append(folder)
            continue
        is_run = "search.json" not in names and not names.isdisjoint(OWN_FILES)
        if is_run:
            runs.append(folder)
        below = (e for e in entries if not (is_run and e.name in OWN_FOLDERS) and is_folder(e))
        waiting += [entry.path for entry in below][::-1]
    return runs, searches


def identity(folder):
    """What two paths of one folder have in common."""
    about = os.stat(folder)
    return about.st_dev, about.st_ino


def is_folder(entry):
    """Whether an entry is a folder, or a link to one; a link in a circle is not."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def read(folder: str) -> Recorded:
    """What a run folder says; never an error."""
    found = Recorded(folder=os.path.normpath(folder), model_name=None, status="damaged",
                     reason=None, step=None, seconds=None, config={}, metrics={})  # fmt: skip
    try:
        found["config"] = settings_of(folder)
        found["model_name"] = found["config"].pop("model_name")
        about = status_of(folder)
        found["metrics"] = last_metrics(folder, about["step"])
        found["metrics"] |= best_metrics(folder, objective_of(found["model_name"])[0])
    except (OSError, ValueError) as error:
        return found | {"reason": one_line(error)}
    return found | about


def objective_of(model_name: str | None) -> tuple[str, str]:
    """What is best on valid, and in which direction; loss if the model is not there any more."""
    return MODELS[model_name].objective if model_name in MODELS else ("loss", "min")


def settings_of(folder):
    """The settings in config.json. What follows them is not parsed, if it seems to be whole."""
    file = os.path.join(folder, "config.json")
    with open(file, "rb") as opened:
        start = opened.read(FIRST)
        end = start if len(start) < FIRST else tail(opened, 2)
    try:
        if start.startswith(HEAD) and end.endswith(b"}\n"):
            config, _ = json.JSONDecoder().raw_decode(start.decode("ascii"), len(HEAD))
            if isinstance(config, dict) and isinstance(config.get("model_name"), str):
                return config
    except (ValueError, RecursionError):
        pass  # longer than FIRST, or damaged
    return recorded_config(folder)


def status_of(folder):
    """What status.json says: {"status", "reason", "step", "seconds"}; ValueError if damaged.

    A run that has none was killed before its first one, or will write it now.
    """
    file = Path(folder, "status.json")
    status = read_json(file) if file.exists() else {"status": "running"}
    found = {name: status.get(name) for name in ("status", "reason", "step")}
    is_text = isinstance(found["status"], str) and isinstance(found["reason"], (str, type(None)))
    if not is_text or as_number(found["step"]) != found["step"]:
        raise ValueError(f"{file} is damaged: it names no status, reason or step")
    if found["status"] == "running" and not is_in_use(Path(folder)):
        found["status"] = "killed"
    return found | {"seconds": as_number(status.get("seconds"))}


def best_metrics(folder, objective):
    """The best value of the objective on valid, and its step, from checkpoints/best.json."""
    file = Path(folder, "checkpoints", "best.json")
    if not file.exists():
        return {}
    best = read_json(file)
    values = best.get("valid")
    if not isinstance(values, dict):
        raise ValueError(f"{file} is damaged: it has no values of valid")
    found = {f"best_{objective}": values.get(objective), "best_step": best.get("step")}
    return {name: as_number(value) for name, value in found.items()}


def last_metrics(folder, step):
    """The last record of each split as {"valid_loss": value, ...}; of test, that at the run's step.

    A run that was resumed has test records of earlier steps, and --evaluate --step=N adds some.
    """
    file = os.path.join(folder, "metrics.jsonl")
    if not os.path.exists(file):
        return {}
    with open(file, "rb") as opened:
        for size in (*LAST, None):  # a file with many lines of train between two of valid is rare
            lines = tail(opened, size)
            records = {split: last_record(lines, split, step) for split in SPLITS}
            if records["valid"] or (size and len(lines) < size):
                break
    return {
        f"{split}_{name}": as_number(value)
        for split, record in records.items()
        for name, value in record.items()
        if name not in ("step", "split")
    }


def last_record(lines, split, step):
    """The last whole line of a split, parsed; {} if there is none. Other lines are not parsed."""
    end, mark = lines.rfind(b"\n") + 1, b'"split": "%s"' % split.encode()
    while (found := lines.rfind(mark, 0, end)) >= 0:
        start = lines.rfind(b"\n", 0, found) + 1
        try:
            record = json.loads(lines[start : lines.index(b"\n", found)])
        except (ValueError, RecursionError):
            record = {}  # a part of a line
        if isinstance(record, dict) and record.get("split") == split:
            if split != "test" or record.get("step") == step:
                return record
        end = start
    return {}


def tail(file, size):
    """The last bytes of an open file; all of it if size is None."""
    length = file.seek(0, os.SEEK_END)
    file.seek(0 if size is None else max(0, length - size))
    return file.read()


def as_number(value):
    """A number that can be compared; None for anything else."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and abs(value) <= sys.float_info.max else None
