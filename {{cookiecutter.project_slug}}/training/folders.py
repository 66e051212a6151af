"""Where results go: one folder for each run, created or checked before anything is written."""

import secrets
import time
from collections.abc import Callable
from pathlib import Path

import filelock

from training.files import PROJECT, make_folder, sync

RESULTS = PROJECT / "results"


def run_folder(config) -> Path:
    """The folder of result_dir, created if needed, or a new one below results/."""
    asked = config["result_dir"]
    check_path(Path(asked or RESULTS).absolute())
    if asked:
        return asked_folder(Path(asked), "config.json", "run")
    return new_folder(config["model_name"])


def check_path(path: Path) -> None:
    """ValueError for a path at which TensorFlow would not find its checkpoints."""
    if "[" in str(path) or "\\" in path.as_posix():
        raise ValueError(f"{path}: TensorFlow cannot read from a folder with [ or \\ in its path")


def asked_folder(path: Path, own_file: str, kind: str) -> Path:
    """Create the folder that was asked for; FileExistsError if it holds anything else.

    own_file: the one that each folder of this kind has; kind: "run" or "search".
    """
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"--result_dir={path} is a file; name a folder")
    make_folder(path)
    if (path / own_file).exists():
        return path
    if (path / "search.json").exists():
        raise FileExistsError(
            f"--result_dir={path} holds a search; run its own command again to resume it"
        )
    expected = (".lock", "train.log", f"{own_file}.tmp")
    foreign = sorted(p.name for p in path.iterdir() if p.name not in expected)
    if foreign:
        raise FileExistsError(
            f"--result_dir={path} holds {foreign[0]} but no {kind}; name a new folder or a {kind}'s"
        )
    return path


def locked(path: Path, holder: Callable[[], str]) -> filelock.FileLock:
    """Lock a folder for this process; BlockingIOError says which other process holds it."""
    lock = filelock.FileLock(path / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise BlockingIOError(f"{path} is in use by {holder()}") from None
    return lock


def from_here(path: Path) -> str:
    """A path as a person would type it in the current folder."""
    path, here = path.absolute(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def is_in_use(path: Path) -> bool:
    """Whether a process holds the lock of a folder; True as well if that cannot be found out."""
    if not (path / ".lock").exists():
        return False
    try:
        with filelock.FileLock(path / ".lock").acquire(timeout=0):
            return False
    except (filelock.Timeout, OSError):
        return True


def new_folder(model_name):
    """Create results/<model>/<UTC time>-<suffix>, which no other start can have."""
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
