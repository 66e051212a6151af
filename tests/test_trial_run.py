"""The template's folder is a live project: it runs where it stands, and no trace reaches a render.

cookiecutter copies all that lies in a local template, and what git ignores as well.
"""

import os
import re
import subprocess
import sys

import pytest

from render import CHECKOUT, tree
from test_render import FILES

LIVE = "{{cookiecutter.project_slug}}"


def cookiecutter(template, folder, *options, **environment):
    command = [sys.executable, "-m", "cookiecutter", str(template), "--no-input", *options]
    return subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True
    )


def check_refused_until_cleaned(template, output, name, pristine):
    """A render is refused in a sentence with `name`, and works when its advice was followed."""
    before = tree(template / LIVE)
    done = cookiecutter(template, output)
    sentence = done.stderr.splitlines()[0]
    assert done.returncode == 1 and list(output.iterdir()) == []
    assert f"A trial run in the template's folder left {name}," in sentence
    assert tree(template / LIVE) == before
    advice = re.search(r"git -C .* clean -dfX$", sentence).group()
    subprocess.run(advice, shell=True, check=True)
    assert cookiecutter(template, output).returncode == 0
    assert tree(output / pristine.name) == tree(pristine)


@pytest.fixture
def output(tmp_path):
    folder = tmp_path / "out put"
    folder.mkdir()
    return folder


LEFT = (
    "results/run data/mnist data/mnist-x data/raw/mine .venv build dist x.egg-info .DS_Store"
    " __pycache__ models/__pycache__ .pytest_cache .ruff_cache .hypothesis docs/.ipynb_checkpoints"
).split()


def ignored_paths():
    """A path for each line of the project's .gitignore."""
    lines = (CHECKOUT / LIVE / ".gitignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and line[0] not in "#!"]
    return [pattern.strip("/").replace("*", "x") for pattern in patterns]


@pytest.mark.parametrize("path", sorted({*LEFT, *ignored_paths()}))
def test_whatever_git_ignores_is_refused_until_it_is_removed(own_template, output, pristine, path):
    (own_template / LIVE / path).mkdir(parents=True)
    (own_template / LIVE / path / "left").write_text("here", encoding="utf-8")
    check_refused_until_cleaned(own_template, output, path, pristine)


def test_git_ignores_the_same_in_a_project(project):
    """The template has a .gitignore of its own, so in its folder this cannot be seen."""
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    add = ["git", "add", "--all", "--verbose"]
    added = subprocess.run(add, cwd=project, check=True, capture_output=True, text=True).stdout
    assert sorted(re.findall("add '(.*)'", added)) == FILES.split()
    status = ["git", "status", "--porcelain", "--untracked-files=all"]
    before = subprocess.run(status, cwd=project, check=True, capture_output=True).stdout
    for path in LEFT:
        (project / path).mkdir(parents=True, exist_ok=True)
        (project / path / "left").write_text("here", encoding="utf-8")
    assert subprocess.run(status, cwd=project, check=True, capture_output=True).stdout == before
    (project / "seen").write_text("here", encoding="utf-8")
    assert subprocess.run(status, cwd=project, check=True, capture_output=True).stdout != before


def test_a_real_run_in_place_is_refused_until_it_is_removed(own_template, output, pristine):
    subprocess.run([sys.executable, "main.py"], cwd=own_template / LIVE, check=True)
    check_refused_until_cleaned(own_template, output, "results/LinearRegression", pristine)


@pytest.mark.parametrize("options", [[], ["--output-dir=elsewhere"]], ids=["here", "elsewhere"])
def test_a_relative_path_to_the_template_is_understood(own_template, output, options):
    (own_template / LIVE / "results" / "run").mkdir()
    template = os.path.relpath(own_template, output)
    done = cookiecutter(template, output, *options, PWD=str(output))
    assert done.returncode == 1 and "left results/run," in done.stderr
    (own_template / LIVE / "results" / "run").rmdir()
    assert cookiecutter(template, output, *options, PWD=str(output)).returncode == 0
