"""What this system's shell makes of a line that a person pastes."""

import json
import subprocess
import sys

CODE = "import json, sys; print(json.dumps(sys.argv[1:]))"


def words(line):
    """The words of a command line, as a program gets them."""
    command = f'"{sys.executable}" -c "{CODE}" {line}'
    return json.loads(subprocess.run(command, shell=True, check=True, capture_output=True).stdout)
