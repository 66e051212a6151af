"""What the tests share: a small model, runs of it, and two ways to call main.py."""

import shutil
import subprocess
import sys
from pathlib import Path

import models  # isort: skip - first, because it imports TensorFlow lazily
import pytest
from toy import Toy

import main
from training import folders
from training.files import PROJECT

# Three epochs to a checkpoint. Without XLA it starts faster; test_every_model.py uses XLA.
SMALL = {
    "model_name": "Toy",
    "random_seed": 7,
    "jit": "off",
    "max_iter": 120,
    "save_every": 40,
    "log_every": 20,
    "eval_every": 40,
    "max_to_keep": 5,
}
NOT_COPIED = (".*", "results", "mnist", "__pycache__", "*.egg-info", "tests")


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    """Runs without result_dir go to a folder of the test's own; the toy model is registered."""
    monkeypatch.setattr(folders, "RESULTS", tmp_path / "results")
    monkeypatch.setitem(models.MODELS, "Toy", Toy)
    return tmp_path / "results"


@pytest.fixture
def small(tmp_path):
    """The config of a small run."""
    return SMALL | {"result_dir": str(tmp_path / "run")}


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished small run: (folder, what train returned). Not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with Toy(SMALL | {"result_dir": str(folder)}) as model:
        return folder, model.train()


@pytest.fixture
def copy_of_finished(finished, tmp_path):
    """A copy of the finished small run, which a test may change."""
    return Path(shutil.copytree(finished[0], tmp_path / "copy"))


@pytest.fixture
def shell(capsys):
    """Call main.py in this process: shell("--lr=1") returns (exit status, output, errors)."""

    def call(*flags):
        capsys.readouterr()
        status = main.main(["main.py", *flags])
        return status, *capsys.readouterr()

    return call


@pytest.fixture(scope="session")
def toy_project(tmp_path_factory):
    """A copy of the project whose only model is the toy, for tests with processes of their own."""
    folder = tmp_path_factory.mktemp("copy") / "project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
    shutil.copy(PROJECT / "tests" / "toy.py", folder / "models" / "toy.py")
    registry = folder / "models" / "__init__.py"
    with open(registry, "a", encoding="utf-8") as file:
        file.write("\nfrom models.toy import Toy\n\n")
        file.write("MODELS.clear()\nMODELS['Toy'] = Toy\nDEFAULT_MODEL = 'Toy'\n")
    return folder


@pytest.fixture
def process(toy_project):
    """Call main.py of that copy as a user does: process("--lr=1") returns the finished process."""

    def call(*flags, **options):
        command = [sys.executable, "main.py", *flags]
        return subprocess.run(command, cwd=toy_project, capture_output=True, text=True, **options)

    return call
