"""What a run ran on: enough to say later why another one came out differently."""

import hashlib
import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
import time
from pathlib import Path

from training import processors
from training.files import PROJECT

DIFF_LIMIT = 1_000_000  # characters of `git diff`: enough for code, not for a committed data set
TEXT_LIMIT = 100_000  # bytes of one source file
# Variables that libraries of numbers listen to; those of TensorFlow's log change nothing.
VARIABLES = ("TF_", "XLA_", "OMP_", "MKL_", "ONEDNN_", "DNNL_", "KMP_", "OPENBLAS_", "NPY_",
             "CUDA_", "CUDNN_", "NVIDIA_", "KERAS_", "GLIBC_TUNABLES")  # fmt: skip
WITHOUT_INFLUENCE = ("TF_CPP_",)


def environment():
    """What there is to know, as a JSON-able dictionary: command, time (UTC), host, processor,
    versions, variables of the shell, git state and source files.
    """
    return {
        "argv": sys.argv,
        "time": utc_now(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "processor": processors.kind(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("tensorflow", "keras", "numpy")},
        "git": {
            "commit": git("rev-parse", "HEAD"),
            "diff": (git("diff", "HEAD") or "")[:DIFF_LIMIT],
        },
        "variables": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(VARIABLES) and not name.startswith(WITHOUT_INFLUENCE)
        },
        "sources": sources(),
    }


def changes(first):
    """What of `environment` is not as in an earlier one: {name: value}; of source files, those."""
    now = environment()
    before = first.get("sources", {})
    now["sources"] = {
        path: about
        for path, about in now["sources"].items()
        if about["sha256"] != before.get(path, {}).get("sha256")
    }
    return {n: v for n, v in now.items() if v != first.get(n) and (n != "sources" or v)}


def sources():
    """The project's files that this process has imported: {path: {"sha256", "text"}}.

    The text is left out where git's commit holds it, or where it is long.
    """
    loaded = {getattr(module, "__file__", None) for module in [*sys.modules.values()]}
    paths = sorted({Path(path).resolve() for path in loaded if path})
    libraries = Path(sys.prefix).resolve()  # the environment, often a folder of the project
    listed = (git("ls-tree", "-r", "HEAD") or "").splitlines()  # "100644 blob <id>\t<path>"
    committed = {line.split()[2] for line in listed}
    found = {}
    for path in paths:
        own = path.is_relative_to(PROJECT) and not path.is_relative_to(libraries)
        if not (own and path.is_file()):
            continue
        content = path.read_bytes()
        about = {"sha256": hashlib.sha256(content).hexdigest()}
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # as git names it
        if blob not in committed and len(content) <= TEXT_LIMIT:
            about["text"] = content.decode(errors="replace")
        found[path.relative_to(PROJECT).as_posix()] = about
    return found


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
