"""What the tests share: a small run, trained once, and a shell to call main.py in."""

import shutil
import subprocess
import sys

import pytest

import main
from models import make_model
from training import run_folder
from training.files import PROJECT

# A run that shows everything and takes a moment: 50 steps to an epoch of the fake digits.
SMALL = {
    "model_name": "MNIST",
    "fake_data": True,
    "random_seed": 7,
    "max_iter": 120,
    "hidden1": 16,
    "hidden2": 8,
    "save_every": 40,
    "log_every": 20,
    "eval_every": 40,
}


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    """Runs without result_dir go to a folder of the test's own."""
    monkeypatch.setattr(run_folder, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def small(tmp_path):
    """The config of a small MNIST run on fake data."""
    return SMALL | {"result_dir": str(tmp_path / "run")}


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """A finished small run: (folder, what train returned). Look, do not touch."""
    folder = tmp_path_factory.mktemp("digits") / "run"
    with make_model(SMALL | {"result_dir": str(folder)}) as model:
        return folder, model.train()


@pytest.fixture
def copy_of_digits(digits_run, tmp_path):
    """A copy of the finished small run, to be damaged."""
    folder = tmp_path / "copy"
    shutil.copytree(digits_run[0], folder)
    return folder


@pytest.fixture(scope="session")
def line_run(tmp_path_factory):
    """A finished default run of LinearRegression: (folder, what train returned)."""
    folder = tmp_path_factory.mktemp("line") / "run"
    with make_model({"random_seed": 0, "result_dir": str(folder)}) as model:
        return folder, model.train()


@pytest.fixture
def shell(capsys):
    """Call main.py in this process: shell("--lr=1") returns (exit status, output, errors)."""

    def call(*flags):
        capsys.readouterr()
        status = main.main(["main.py", *flags])
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def process():
    """Call main.py as a user does: process("--lr=1") returns the finished process."""

    def call(*flags, program=PROJECT / "main.py", **options):
        return subprocess.run(
            [sys.executable, str(program), *flags], capture_output=True, text=True, **options
        )

    return call
