"""Render the template as git sees it: python tests/render.py FOLDER [answer=value ...]

cookiecutter copies a local template with all that lies in it. Here a copy without what git ignores
comes first, so that trial runs in the checkout do no harm to a demonstration or a test.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

from cookiecutter import prompt
from cookiecutter.main import cookiecutter

CHECKOUT = Path(__file__).resolve().parent.parent


def copy_template(destination, source=CHECKOUT):
    """Copy what git tracks or would track, as it now stands. Returns the copy's folder."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=source, check=True, capture_output=True).stdout
    for name in names.decode().split("\0"):
        # A tracked file may have been removed without a word to git.
        if (source / name).is_file():
            copy = Path(destination, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, copy)
    return Path(destination)


def write_settings(folder):
    """Settings of cookiecutter's that keep out the user's own, and their home folder."""
    path = Path(folder, "cookiecutter-settings.yaml")
    places = {name: str(Path(folder, name)) for name in ("cookiecutters_dir", "replay_dir")}
    path.write_text(json.dumps(places), encoding="utf-8")
    return path


def render(template, output, accept_hooks=True, **answers):
    """Make a project in the folder `output`, with the default for each answer not given.

    Returns: the project's folder.
    """
    with tempfile.TemporaryDirectory() as folder:
        project = cookiecutter(
            str(template),
            no_input=True,
            extra_context=answers,
            output_dir=str(output),
            accept_hooks=accept_hooks,
            config_file=str(write_settings(folder)),
        )
    return Path(project)


def as_typed(context, **typed):
    """The answers of a person who types some, and at the other questions Enter."""

    def answer(name, default, *_):
        return typed.get(name, default)

    def choose(name, choices, *_):
        return typed.get(name, choices[0])

    with mock.patch.multiple(prompt, read_user_variable=answer, read_user_choice=choose):
        return prompt.prompt_for_config(context)


def tree(folder):
    """All of a folder: contents and executable bit of files, None for folders, by relative path."""
    folder = Path(folder)
    return {
        path.relative_to(folder).as_posix(): None
        if path.is_dir()
        else (path.read_bytes(), os.access(path, os.X_OK))
        for path in folder.rglob("*")
    }


if __name__ == "__main__":
    if len(sys.argv) < 2 or not all("=" in argument for argument in sys.argv[2:]):
        sys.exit(__doc__.splitlines()[0])
    with tempfile.TemporaryDirectory() as copy:
        answers = dict(argument.split("=", 1) for argument in sys.argv[2:])
        render(copy_template(copy), sys.argv[1], **answers)
