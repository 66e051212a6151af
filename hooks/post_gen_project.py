"""Say what to do next with the new project. Changes nothing: without hooks the project is the same.

cookiecutter runs this file in the new project's folder.
"""

import os
import shlex
import sys
from pathlib import Path

WINDOWS = os.name == "nt"
PROJECT = Path.cwd()

STEPS = f"""
Your project is in {PROJECT}. What to do next:

    cd {f'"{PROJECT}"' if WINDOWS else shlex.quote(str(PROJECT))}
    {"py" if WINDOWS else "python3"} -m venv .venv
    {r".venv\\Scripts\\activate" if WINDOWS else "source .venv/bin/activate"}
    pip install -e ".[dev]"
    python main.py
    python main.py --model_name=MNIST
    pytest

README.md tells the rest.
"""

if __name__ == "__main__":
    # A terminal that cannot show a letter of the path must not cost the project.
    sys.stdout.reconfigure(errors="replace")
    print(STEPS)
