"""Say what to do next with the new project. Without hooks, the project is the same.

cookiecutter runs this file in the new project's folder.
"""

import json
import os
import shlex
import sys
import tempfile
from pathlib import Path

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")

if os.name == "nt":
    FOLDER, PYTHON, ACTIVATE = f'"{os.getcwd()}"', "py", r".venv\Scripts\activate"
else:
    FOLDER, PYTHON, ACTIVATE = shlex.quote(os.getcwd()), "python3", "source .venv/bin/activate"

NEXT_STEPS = f"""
The project is ready. Next:

    cd {FOLDER}
    {PYTHON} -m venv .venv
    {ACTIVATE}
    pip install -e ".[dev]"
    python main.py
    python main.py --model_name=MNIST
    pytest

With uv, which makes the environment itself: uv run python main.py, uv run pytest.

A run records the commit that it started from, and the changes since. For that the project needs a
repository of its own: inside another one, a run would record a commit of the other one.

    git init
    git add .
    git commit -m "The first commit"

See README.md for more.
"""


def is_for_a_user():
    """Whether the project stays. `cruft update` and `cruft diff` render into a temporary folder.

    cruft, unlike cookiecutter, does not say where the output goes.
    """
    temporary = Path(tempfile.gettempdir()).resolve()
    return "_output_dir" in ANSWERS or temporary not in Path.cwd().resolve().parents


def show(text):
    """Print a text if anybody reads it: cookiecutter deletes the project when a hook fails."""
    if sys.stdout is None:  # it is closed
        return
    sys.stdout.reconfigure(errors="replace")  # for letters that this terminal cannot show
    try:
        print(text, flush=True)
    except OSError:  # the reader has gone, or the disk is full
        sys.stdout = None  # Python would try again when it ends, and fail


if __name__ == "__main__" and is_for_a_user():
    show(NEXT_STEPS)
