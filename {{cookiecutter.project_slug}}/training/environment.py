"""What a run ran on: enough to say later why another one came out differently."""

import importlib.metadata
import platform
import socket
import subprocess
import sys
import time

import numpy as np

from training.files import PROJECT

DIFF_LIMIT = 1_000_000  # characters of `git diff`: enough for code, not for a committed data set


def environment():
    """Command, time (UTC), host, processor, versions and git state, as a JSON-able dictionary."""
    simd = np.show_config(mode="dicts").get("SIMD Extensions", {})
    return {
        "argv": sys.argv,
        "time": utc_now(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "processor": {
            "machine": platform.machine(),
            "features": simd.get("baseline", []) + simd.get("found", []),
        },
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("tensorflow", "keras", "numpy")},
        "git": {
            "commit": git("rev-parse", "HEAD"),
            "diff": (git("diff", "HEAD") or "")[:DIFF_LIMIT],
        },
    }


def utc_now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def version(name):
    """The installed version of a package; TensorFlow's package has more than one name."""
    for distribution in (name, f"{name}-cpu"):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def git(*arguments):
    """What git answers for the project's folder; None without git or outside a repository."""
    try:
        command = ["git", "-C", str(PROJECT), *arguments]
        answer = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
