"""The checks of --doctor that need no TensorFlow; examination.py says what a check returns."""

import importlib.metadata
import os
import platform
import re
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

OK, NOTE, FAULT = "ok", "note", "fault"
PROJECT = Path(__file__).resolve().parent.parent
PYPROJECT = PROJECT / "pyproject.toml"
INSTALL = 'pip install -e ".[dev]"'
BUILDS = ("tensorflow", "tensorflow-cpu")  # either will do
MB, GB = 10**6, 10**9
OTHER_FOLDER = "name a folder elsewhere with --result_dir"


def python():
    """Whether pyproject.toml allows this Python."""
    text = PYPROJECT.read_text(encoding="utf-8")  # an old Python cannot read TOML by itself
    asked = "".join(re.findall(r'^requires-python *= *"(.*?)"', text, re.MULTILINE))
    bounds = {sign: int(minor) for sign, minor in re.findall(r"(>=|<) *3\.(\d+)", asked)}
    there = f"{platform.python_version()} on {platform.platform()}"
    if not bounds.get(">=", 0) <= sys.version_info[1] < bounds.get("<", 1000):
        return FAULT, f"{there}; it must be {asked}: make .venv again with such a Python"
    return OK, there


def packages():
    """Whether each package of pyproject.toml is there, in a version that it allows."""
    try:
        from packaging.requirements import Requirement
    except ModuleNotFoundError:  # TensorFlow and matplotlib bring it
        return FAULT, f"not installed: activate the environment, or {INSTALL}"
    found, wrong = [], []
    for text in dependencies():
        asked = Requirement(text)
        if asked.marker and not asked.marker.evaluate():
            continue
        there = version(asked.name)
        found.append(f"{asked.name} {there}")
        if there is None:
            wrong.append(f"{asked.name} missing")
        elif not asked.specifier.contains(there, prereleases=True):
            wrong.append(f"{asked.name} {there} must be {asked.specifier}")
    return (FAULT, f"{', '.join(wrong)}: {INSTALL}") if wrong else (OK, ", ".join(found))


def dependencies():
    """The requirements that stand in pyproject.toml, as texts."""
    try:
        import tomllib
    except ModuleNotFoundError:  # before Python 3.11; pytest brings it there
        import tomli as tomllib
    return tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]


def version(name):
    """The installed version of a package; None if it is missing."""
    for distribution in BUILDS if name in BUILDS else (name,):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def tensorboard():
    """Whether TensorBoard starts."""
    if not version("tensorboard"):  # a fault of the packages
        return None
    try:
        from tensorboard import default, program

        program.TensorBoard(default.get_plugins())
    except Exception as error:
        reason = what_was_raised(error)
        return FAULT, f"it does not start ({reason}): pip install --upgrade tensorboard"
    return OK, "python main.py --board"


def ray():
    """The version of Ray, if it is there."""
    there = version("ray")
    return (OK, f"{there}, for --executor=ray") if there else None


def git():
    """Whether a run can record the commit of its code."""
    from training.provenance import git

    if not shutil.which("git"):
        return NOTE, "it is not installed: runs record no commit"
    commit = git("rev-parse", "--short", "HEAD")
    if not commit:
        return NOTE, "no commit yet that runs could record: git init, git add ., git commit"
    return OK, f"runs record the commit, now {commit}"


def data():
    """Whether the files of MNIST are there and undamaged."""
    if not (PROJECT / "data" / "loaders.py").exists():  # the owner has removed it
        return None
    from data import loaders

    if not loaders.FOLDER.exists():
        return NOTE, "no MNIST yet: python data/download.py, or its first training, downloads it"
    try:
        for split in ("train", "valid", "test"):
            loaders.load_mnist(split)
    except ValueError as error:
        return FAULT, str(error)  # with what to do
    return OK, f"MNIST is complete in {loaders.FOLDER}"


def results(asked):
    """Whether files can be written and folders locked where results will go."""
    from training.files import write_atomically
    from training.folders import check_path

    path, there = results_folder(asked)
    if not there.is_dir():
        return FAULT, f"{there} is a file, or a link that leads nowhere: {OTHER_FOLDER}"
    try:
        check_path(path)
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=there) as trial:
            write_atomically(Path(trial, "file"), "removed again")
            if not locks_work(Path(trial)):
                return FAULT, f"{there} gives one lock to two processes: {OTHER_FOLDER}"
    except (NotImplementedError, UserWarning):  # on file systems of some networks
        return FAULT, f"{there} has no locks: {OTHER_FOLDER}"
    except OSError as error:
        return FAULT, f"{there} cannot be written ({error.strerror or error}): {OTHER_FOLDER}"
    except ValueError as error:  # of check_path
        return FAULT, f"{error}: {OTHER_FOLDER}"
    return OK, f"{there} can be written and locked"


def locks_work(folder):
    """Whether a folder that is locked cannot be locked again."""
    from training.folders import locked

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of filelock, if it must take a weaker lock
        first = locked(folder, str)
    try:
        locked(folder, str).release()
        return False
    except BlockingIOError:
        return True
    finally:
        first.release()


def disk(asked):
    """Whether there is room for results."""
    _, there = results_folder(asked)
    if not there.is_dir():  # a fault of the results
        return None
    free = shutil.disk_usage(there).free
    text = f"{free / GB:,.1f} GB" if free >= GB else f"{free / MB:.0f} MB"
    if free < 100 * MB:
        return FAULT, f"only {text} are free in {there}: remove old runs, or {OTHER_FOLDER}"
    return (OK if free >= GB else NOTE), f"{text} are free in {there}"


def results_folder(asked):
    """The folder for results, and what there is of its path."""
    from training.files import expanded
    from training.folders import RESULTS

    path = expanded(asked or RESULTS).absolute()
    return path, next(part for part in (path, *path.parents) if os.path.lexists(part))


def tensorflow():
    """Whether TensorFlow can be imported, and is the one that pip knows."""
    installed = version("tensorflow")
    if installed is None:
        return FAULT, f"it is not installed: {INSTALL}"
    try:
        import tensorflow as tf

        there = tf.__version__
    except Exception as error:
        again = f"pip install --force-reinstall tensorflow=={installed}"
        return FAULT, f"it cannot be imported ({what_was_raised(error)}): {again}"
    if there.replace("-", "") != installed:  # -rc0
        both = " ".join(BUILDS)
        return FAULT, f"it is {there}, not {installed}: pip uninstall {both}, then {INSTALL}"
    return OK, there


def what_was_raised(error):
    """An exception in one line of at most 300 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
