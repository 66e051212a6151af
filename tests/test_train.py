"""A render works: it trains, its own tests pass, and both from nothing but Python."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest


def run(command, folder, **options):
    """Run a command, which must succeed. Returns what it wrote on both streams."""
    done = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        **options,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def check_trained(project, output):
    """The first model was trained: a fit on the screen, and a folder that holds the run."""
    assert re.search(r"\bw\b.*\bb\b", output, re.DOTALL)
    runs = list((project / "results" / "LinearRegression").iterdir())
    assert len(runs) == 1 and runs[0].name in output
    assert json.loads((runs[0] / "status.json").read_text())["status"] == "complete"
    assert (runs[0] / "fit.png").read_bytes().startswith(b"\x89PNG")


def test_main_trains_at_once(project):
    check_trained(project, run([sys.executable, "main.py"], project))


def test_the_projects_own_tests_pass(project):
    output = run([sys.executable, "-m", "pytest", "-ra"], project)
    print(output)  # what was skipped, and why
    assert int(re.search(r"(\d+) passed", output).group(1)) > 0


def clean_environment():
    """The environment without what points into the one that runs the tests."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("VIRTUAL_ENV", "PYTHONPATH")
    }


@pytest.mark.slow
@pytest.mark.skipif(
    os.name == "nt" or shutil.which("make") is None, reason="there is no POSIX make on this machine"
)
def test_make_demo_works_from_nothing_in_a_folder_with_a_space(template, tmp_path):
    checkout = tmp_path / "tf template"
    shutil.copytree(template, checkout)
    output = run(["make", "demo", f"PYTHON={sys.executable}"], checkout, env=clean_environment())
    check_trained(checkout / "build" / "demo" / "my_tensorflow_project", output)
