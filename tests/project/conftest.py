"""These tests import the project where it stands in the template, and write nothing into it.

They test what only this template's own parts need: the shipped tests of a project follow its
owner's models. The fixtures of those are here as well.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2] / "{{cookiecutter.project_slug}}"

sys.dont_write_bytecode = True
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # of the processes that tests start
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

spec = importlib.util.spec_from_file_location("shared", PROJECT / "tests" / "conftest.py")
shared = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shared)
results, small, finished, copy_of_finished = (
    shared.results, shared.small, shared.finished, shared.copy_of_finished
)  # fmt: skip
shell, toy_project, process = shared.shell, shared.toy_project, shared.process


@pytest.fixture(scope="session")
def line_run(tmp_path_factory):
    """A finished default run of LinearRegression: (folder, what train returned)."""
    from models import make_model

    folder = tmp_path_factory.mktemp("line") / "run"
    with make_model({"random_seed": 0, "result_dir": str(folder)}) as model:
        return folder, model.train()


@pytest.fixture
def compared(shell):
    """Compare in JSON: compared(folder, ...) returns the list of runs."""

    def call(*flags):
        status, output, errors = shell("--compare", *map(str, flags), "--format=json")
        assert status == 0, errors
        return json.loads(output)

    return call
