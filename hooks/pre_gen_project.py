"""Refuse, in one sentence and before any file is written, a project that could not work.

cookiecutter fills in the answers below, then runs this file in the project's new, empty folder,
which it removes again when the exit status is not 0.
"""

import json
import keyword
import os
import re
import shlex
import sys
from pathlib import Path

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")

MAX_LENGTH = 50

# A distribution of the same name would take the place of the installed one, and a folder of the
# same name hides the module from Python started beside it. So with what those need in turn.
DEPENDENCIES = (
    "absl absl_py astunparse certifi charset_normalizer contourpy cycler filelock flatbuffers "
    "fonttools gast google_pasta grpcio h5py hypothesis idna iniconfig keras kiwisolver libclang "
    "markdown markdown_it_py markupsafe matplotlib mdurl ml_dtypes namex numpy opt_einsum optree "
    "packaging pillow pip platformdirs pluggy pooch protobuf pygments pyparsing pytest "
    "python_dateutil ray requests rich ruff setuptools six sortedcontainers tensorboard "
    "tensorboard_data_server tensorflow tensorflow_cpu termcolor typing_extensions urllib3 "
    "werkzeug wheel wrapt "
).split()
OWN_MODULES = (
    "command_line data docs doctor hpsearch main models reports results serving settings stages "
    "tests training"
).split()

# Windows keeps these names for devices, whatever comes after them.
DEVICES = ["con", "prn", "aux", "nul"] + [
    f"{port}{n}" for port in ("com", "lpt") for n in range(10)
]

# What a trial run in the template's own folder leaves there. Git ignores it, cookiecutter does not.
LEFTOVERS = (
    "results/*",
    "data/mnist*",
    "data/raw/*",
    "build",
    ".venv",
    "*.egg-info",
    "**/__pycache__",
    "**/.pytest_cache",
    "**/.ruff_cache",
)


def objection_to_slug(slug):
    """What is wrong with the project's folder and distribution name, or None."""
    if not re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", slug, re.ASCII):
        return (
            "it must be one word of the letters a-z, digits and underscores, start with a letter"
            " and not end with an underscore"
        )
    if len(slug) > MAX_LENGTH:
        return f"it has {len(slug)} characters and may have {MAX_LENGTH}"
    if keyword.iskeyword(slug):
        return "it is a word of the Python language"
    if slug in DEVICES:
        return "Windows keeps that name for a device"
    if slug in DEPENDENCIES:
        return "the project depends on a package of that name"
    if slug in OWN_MODULES:
        return "the project has a folder or module of that name itself"
    if slug in sys.stdlib_module_names:
        return "Python's standard library has a module of that name"
    return None


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


def leftover(folder):
    """The first thing in the template's folder that a trial run left there, or None."""
    found = (path for pattern in LEFTOVERS for path in sorted(folder.glob(pattern)))
    return next((path for path in found if path.name != ".gitkeep"), None)


def quoted(path):
    return f'"{path}"' if os.name == "nt" else shlex.quote(str(path))


def objection():
    """The one sentence that says why there is no project, or None."""
    slug = ANSWERS["project_slug"]
    reason = objection_to_slug(slug)
    if reason:
        return f"The project_slug {json.dumps(slug, ensure_ascii=False)} cannot be used: {reason}."
    folder = template_folder()
    path = leftover(folder) if folder else None
    if path:
        return (
            f"A trial run in the template's folder left {path.relative_to(folder).as_posix()},"
            " which would be copied into the project; remove what git ignores there with:"
            f" git -C {quoted(folder.resolve())} clean -dfX"
        )
    return None


if __name__ == "__main__":
    # Python exits with status 1 and the sentence on stderr, or with 0.
    sys.exit(objection())
