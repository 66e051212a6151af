"""Refuse, in one sentence and before any file is written, what would give no working project.

cookiecutter fills in the answers below, then runs this file in the project's folder. If the exit
status is not 0, it removes the folder again, but only if it made it.

Runs on each Python that cookiecutter 2.2 and later run on: 3.7 or newer.
"""

import json
import os
import re
import shlex
import sys
from pathlib import Path

from cookiecutter import __version__ as COOKIECUTTER

# What was typed as project_slug is in __typed_slug. project_slug itself is always a good one, made
# of it in cookiecutter.json, so that there is a folder in which this file can run.
ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")

MAX_LENGTH = 50

# Windows keeps these names for devices.
DEVICE = "con|prn|aux|nul|(com|lpt)[0-9]"

# What may lie in a project's folder before there is a project. No file of the template's is below.
HARMLESS = {".git", ".venv", ".idea", ".vscode", ".DS_Store"}

# What a trial run in the template's own folder leaves there. Git ignores it, cookiecutter does not.
LEFTOVERS = (
    "results/*",
    "data/mnist*",
    "data/raw/*",
    "build",
    "dist",
    ".venv",
    "*.egg-info",
    "**/__pycache__",
    "**/.pytest_cache",
    "**/.ruff_cache",
    "**/.hypothesis",
    "**/.ipynb_checkpoints",
    "**/.DS_Store",
)


def objection_to_version():
    """Why this cookiecutter cannot render the template, or None."""
    # Version 2.2.0 calls itself 2.1.2.dev0.
    if [int(number) for number in re.findall("[0-9]+", COOKIECUTTER)][:3] < [2, 1, 2]:
        return (
            f"cookiecutter {COOKIECUTTER} does not look into the folder templates/; install a newer"
            ' one with: pip install "cookiecutter>=2.2"'
        )
    return None


def objection_to_answers():
    """Which answer cannot be written into a file, or None."""
    asked = [name for name in ANSWERS if not name.startswith("_")]
    for name in ["project_name", *asked]:  # others repeat the name
        answer = ANSWERS[name]
        if re.search("[\ud800-\udfff]", answer):
            return (
                f'The answer {json.dumps(answer)} to "{name}" has a byte that is not UTF-8: let the'
                " terminal use UTF-8, or leave that letter out and write it into the files later."
            )
    return None


def objection_to_slug():
    """Why the project's folder and distribution cannot have the name that was typed, or None."""
    slug, good = ANSWERS["__typed_slug"], ANSWERS["project_slug"]
    if not re.fullmatch("[a-z0-9]([a-z0-9_]*[a-z0-9])?", slug):
        reason = (
            "it must be one word of the letters a-z, digits and underscores, with a letter or a"
            " digit at both ends"
        )
    elif len(slug) > MAX_LENGTH:
        reason = f"it has {len(slug)} characters and may have {MAX_LENGTH}"
    elif re.fullmatch(DEVICE, slug):
        reason = "Windows keeps that name for a device"
    elif slug != good:
        # pip would take the project for that package.
        reason = "the project depends on a package of that name"
    else:
        return None
    start = slug if len(slug) <= MAX_LENGTH else slug[:MAX_LENGTH] + "..."
    shown = json.dumps(start, ensure_ascii=False)
    return f"The project_slug {shown} cannot be used: {reason}. Type for example {good}."


def objection_to_folder():
    """Which file could be overwritten, or None. With `-f` the folder may have been there before."""
    found = sorted(set(os.listdir()) - HARMLESS)
    if not found:
        return None
    return (
        f"The folder {quoted(os.getcwd())} already holds {found[0]}, and files in it could be"
        " overwritten: give another --output-dir or project_slug, or, to bring a project up to"
        ' date, run "cruft update" in it (its docs/updates.md says how).'
    )


def template_folder():
    """The folder that is being copied, where cookiecutter says where it is (cruft does not)."""
    repository = ANSWERS.get("_repo_dir")
    if repository is None:
        return None
    # A relative path starts where the user stands. This process stands elsewhere, but output goes
    # by default to where the user stands, and a shell tells it in PWD.
    for start in (ANSWERS["_output_dir"], os.environ.get("PWD", "")):
        path = Path(start, repository)
        if (path / "cookiecutter.json").is_file():
            return next(path.glob("*cookiecutter.project_slug*"))
    return None


def objection_to_template():
    """What a trial run left in the template's folder, or None."""
    folder = template_folder()
    if folder is None:
        return None
    found = (path for pattern in LEFTOVERS for path in sorted(folder.glob(pattern)))
    path = next((path for path in found if path.name != ".gitkeep"), None)
    if path is None:
        return None
    return (
        f"A trial run in the template's folder left {path.relative_to(folder).as_posix()},"
        " which would be copied into the project; remove what git ignores there with:"
        f" git -C {quoted(folder.resolve())} clean -dfX"
    )


def quoted(path):
    return f'"{path}"' if os.name == "nt" else shlex.quote(str(path))


if __name__ == "__main__":
    # Python exits with status 1 and the sentence on stderr, or with 0.
    sys.exit(
        objection_to_version()
        or objection_to_answers()
        or objection_to_slug()
        or objection_to_folder()
        or objection_to_template()
    )
