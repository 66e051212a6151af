"""status.json of a run: what has become of it, at which step, and which process has it.

status   running | complete | interrupted | diverged | failed, mostly with the reason
seconds  in which it was trained, evaluated and saved, in all its processes
"""

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from training.files import overwrite, read_json, write_json
from training.provenance import utc_now


class Status:
    """The status of one run, whose folder this process has."""

    def __init__(self, run_path: Path, clock=time.monotonic):
        self.path = run_path / "status.json"
        self.clock = clock
        self.process = {"pid": os.getpid(), "host": socket.gethostname(), "since": utc_now()}

    def read(self) -> dict[str, Any]:
        """What was written last; {} if it is missing or damaged."""
        with contextlib.suppress(OSError, ValueError):
            return read_json(self.path)
        return {}

    def holder(self) -> str:
        """Which process has the folder, if it is another one."""
        found = self.read()
        if not self.process.keys() <= found.keys() or found.get("status") != "running":
            return "another process"  # which may have only just started
        return f"process {found['pid']} on {found['host']} since {found['since']}"

    def start(self) -> None:
        """Count the seconds from here on, beside those of earlier processes."""
        before = self.read().get("seconds")
        self.before = before if isinstance(before, float) else 0.0
        self.began = self.clock()

    def write(self, status: str, step: int, **about) -> None:
        """Replace the file. about: the reason, and the details of a run that diverged."""
        seconds = round(self.before + self.clock() - self.began, 3)
        content = {"status": status, "step": step, "seconds": seconds, **about, **self.process}
        try:
            write_json(self.path, content)
        except OSError:
            if status != "failed" or not self.path.exists():
                raise
            overwrite(self.path, json.dumps(content))
