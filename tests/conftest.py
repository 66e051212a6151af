"""What the tests share: a clean copy of the template and projects rendered from it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from render import copy_template, render, write_settings


@pytest.fixture(scope="session", autouse=True)
def settings(tmp_path_factory):
    """No test reads or writes the settings and folders that cookiecutter has of the user."""
    path = write_settings(tmp_path_factory.mktemp("settings"))
    os.environ["COOKIECUTTER_CONFIG"] = str(path)
    return path


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """The template as git sees it, as a repository with one commit. Not to be changed."""
    folder = copy_template(tmp_path_factory.mktemp("repository") / "tf-template")
    git = "git -c user.name=A -c user.email=a@example.org -c commit.gpgSign=false".split()
    for command in ("init --quiet", "add --all", "commit --quiet --message=Everything"):
        subprocess.run([*git, *command.split()], cwd=folder, check=True)
    return folder


@pytest.fixture
def own_template(template, tmp_path):
    """A copy of the template that a test may change."""
    return Path(shutil.copytree(template, tmp_path / "tf-template"))


@pytest.fixture(scope="session")
def pristine(template, tmp_path_factory):
    """A project with the default answers. Not to be changed, and so not to be run."""
    return render(template, tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def project(pristine, tmp_path):
    """A project with the default answers that a test may run and change."""
    return Path(shutil.copytree(pristine, tmp_path / pristine.name))
