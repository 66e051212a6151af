"""What a run was started with and on: written to config.json, read to explain a difference."""

import functools
import hashlib
import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any, TypedDict

from training import processors
from training.batches import description, without_examples
from training.files import PROJECT, expanded, read_json

DIFF_LIMIT = 1_000_000  # characters of `git diff`: enough for code, not for a committed data set
TEXT_LIMIT = 100_000  # bytes of source files, together
CUDA = ("nvidia-cublas-cu12", "nvidia-cudnn-cu12")  # packages; a system may have them otherwise
# Variables that numerical libraries read; those of TensorFlow's log have no influence.
VARIABLES = ("TF_", "XLA_", "OMP_", "MKL_", "ONEDNN_", "DNNL_", "KMP_", "OPENBLAS_", "NPY_",
             "CUDA_", "CUDNN_", "NVIDIA_", "KERAS_", "GLIBC_TUNABLES")  # fmt: skip
WITHOUT_INFLUENCE = ("TF_CPP_", "TF_CONFIG")
OTHER_DATA = ("the training data is not what {} was started on; restore the data, or start a "
              "new run without --result_dir")  # fmt: skip

imported = {}  # {path of an own file: (its import, its content)}


class Provenance(TypedDict):
    """What config.json says beside the settings."""

    environment: dict[str, Any]  # as `environment` returns it, at the first start
    data_checksum: str | None
    inputs: dict[str, Any] | None  # of train, as `batches.description` returns it
    parent: dict[str, Any] | None  # of a branch: {"result_dir", "step", "weights_sha256"}
    resumed: list[dict[str, Any]]  # `changes` at each later start


def recorded_config(path: str | os.PathLike | None) -> dict[str, Any]:
    """The settings of the run in a folder; {} if there is no folder or no run in it."""
    file = expanded(path or "") / "config.json"
    if not path or not file.exists():
        return {}
    config = read_json(file).get("config")
    if not isinstance(config, dict) or not isinstance(config.get("model_name"), str):
        raise ValueError(f"{file} is damaged: it names no model")
    return config


def recorded_search(path: str | os.PathLike | None) -> dict[str, Any]:
    """The settings of the search in a folder; {} if there is no folder or no search in it."""
    file = expanded(path or "") / "search.json"
    return read_json(file) if path and file.exists() else {}


def without_missing_folders(config: dict) -> dict:
    """A config without the folders that are not on this machine: only the chief needs them."""
    folders = {name: config.get(name) for name in ("result_dir", "from_checkpoint")}
    missing = [name for name, folder in folders.items() if not recorded_config(folder)]
    if "from_checkpoint" in missing:
        missing.append("step")
    return {name: value for name, value in config.items() if name not in missing}


def recorded_inputs(path: str | os.PathLike | None) -> dict[str, Any] | None:
    """What the inputs of the run in a folder look like, see batches.description; None if the
    folder does not say so. With it, a model is built without its data.
    """
    file = expanded(path or "") / "config.json"
    about = read_json(file).get("inputs") if path and file.exists() else None
    if about is None:
        return None
    try:
        alike = description(without_examples(about))["arrays"] == about["arrays"]
        if not alike or type(about["examples"]) is not int or about["examples"] < 1:
            raise ValueError
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, StopIteration):
        raise ValueError(f"{file} is damaged: it does not say what inputs look like") from None
    return about


def read_provenance(path: Path) -> Provenance:
    """What config.json says beside the settings; ValueError if it is damaged."""
    file = path / "config.json"
    content = read_json(file)
    found = {
        "environment": {},
        "data_checksum": None,
        "inputs": None,
        "parent": None,
        "resumed": [],
    }
    found |= {name: content[name] for name in found if name in content}
    resumed = found["resumed"]
    parts = [found["environment"], found["parent"] or {}]
    parts += resumed if isinstance(resumed, list) else [None]
    if not all(isinstance(part, dict) for part in parts):
        raise ValueError(f"{file} is damaged: it does not say what the run was started on")
    return found


def environment(graph_sha256: str, gpus: list[str]) -> dict[str, Any]:
    """Command, time (UTC), host, processor, versions, variables of the shell, git's state, source
    files and the digest of the model's graph, as a dictionary for JSON.

    gpus: on which steps run, see device.gpus.
    """
    return {
        "argv": sys.argv,
        "time": utc_now(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "processor": processors.kind(),
        "gpus": gpus,
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("tensorflow", "keras", "numpy", *CUDA * bool(gpus))},
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
        "graph_sha256": graph_sha256,
    }


def changes(first: dict[str, Any], graph_sha256: str, gpus: list[str]) -> dict[str, Any]:
    """What of `environment` differs from an earlier one; of the source files, those that differ."""
    now = environment(graph_sha256, gpus)
    before = as_dict(first.get("sources"))
    now["sources"] = {
        path: about
        for path, about in now["sources"].items()
        if about["sha256"] != as_dict(before.get(path)).get("sha256")
    }
    return {n: v for n, v in now.items() if v != first.get(n) and (n != "sources" or v)}


def fingerprint(about: dict[str, Any], checksum: str | None) -> dict[str, Any]:
    """What of an environment determines the bits of a run, the likeliest cause of a difference
    first.
    """
    versions, processor, variables = (
        as_dict(about.get(name)) for name in ("versions", "processor", "variables")
    )
    caches = (f"{name} {size}" for name, size in as_dict(processor.get("caches")).items())
    return {
        "training data": checksum,
        "graph": about.get("graph_sha256"),
        "GPU": ", ".join(map(str, about.get("gpus") or [])) or None,
        **{name: versions.get(name) for name in ("tensorflow", "keras", "numpy", *CUDA)},
        "processor": processor.get("model"),
        "processor's caches": ", ".join(caches) or None,
        "processor's features": " ".join(map(str, list(processor.get("features") or []))),
        **variables,
    }


def as_dict(value: Any) -> dict:
    """A dictionary that was read from a file; {} for anything else."""
    return value if isinstance(value, dict) else {}


def sources() -> dict[str, dict[str, str]]:
    """The project's files that this process has imported: {path: {"sha256", "text"}}.

    The text is left out if git's commit holds it, and beyond TEXT_LIMIT; models come first.
    """
    names = ("stdlib", "purelib", "platlib", "scripts")
    places, paths = tuple(sysconfig.get_path(name) for name in names), {}
    for module in [*sys.modules.values()]:
        folder, name = os.path.split(getattr(module, "__file__", None) or "")
        if own := own_folder(folder, PROJECT, places):
            paths[own / name] = getattr(module, "__spec__", None)
    listed = (git("ls-tree", "-r", "HEAD") or "").splitlines()  # "100644 blob <id>\t<path>"
    committed = {line.split()[2] for line in listed}
    found, left = {}, TEXT_LIMIT
    for path in sorted(paths, key=lambda path: (not path.is_relative_to(PROJECT / "models"), path)):
        content = imported_text(path, paths[path])
        if content is None:
            continue
        about = {"sha256": hashlib.sha256(content).hexdigest()}
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # as git names it
        if blob not in committed and len(content) <= left:
            about["text"] = content.decode(errors="replace")
            left -= len(content)
        found[path.relative_to(PROJECT).as_posix()] = about
    return found


def imported_text(path, spec):
    """What a file held when this was first called after its import; None if there was no file.

    spec: of the import. A process that runs many trials does not import what is changed meanwhile.
    """
    if path not in imported or imported[path][0] is not spec:
        imported[path] = spec, path.read_bytes() if path.is_file() else None
    return imported[path][1]


@functools.cache  # thousands of files lie in a few hundred folders
def own_folder(folder: str, project: Path, places: tuple[str, ...]) -> Path | None:
    """The resolved path of a folder of the project; None for others, and for installed packages.

    places: the folders of Python's library and of packages. The environment may be a folder of the
    project, and the project a folder of the environment.
    """
    path = Path(folder).resolve()
    if not folder or not path.is_relative_to(project):
        return None
    return None if any(path.is_relative_to(Path(place).resolve()) for place in places) else path


def utc_now() -> str:
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
