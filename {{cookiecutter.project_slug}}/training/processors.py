"""The processors of this machine: how many a run may use, and what kind they are; its GPUs."""

import contextlib
import math
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

# What /proc/cpuinfo tells of a processor's design, on x86 and on ARM.
DESIGN = (
    "model name", "vendor_id", "cpu family", "model", "stepping",
    "CPU implementer", "CPU variant", "CPU part", "CPU revision",
)  # fmt: skip


def count(root: str = "/") -> int:
    """How many processors this process may use: those of its affinity, within its quota of time.

    The quota is the one of its control groups, by which containers and batch systems limit it; a
    part of a processor counts as a whole one. root: of the file system.
    """
    return min([affinity(), *map(math.ceil, quotas(Path(root)))])


def affinity() -> int:
    """How many processors the system may run this process on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def quotas(root):
    """The processor time that control groups allow this process, each in processors."""
    for line in read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        group = root / "sys/fs/cgroup" / ("cpu" if controllers else "") / path.strip("/")
        for folder in (group, *group.parents):  # a limit holds for all groups within
            limit = read(folder / "cpu.max")  # version 2: "max 100000" or "150000 100000"
            parts = [read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
            with contextlib.suppress(ValueError):  # there is no limit
                time, period = map(int, limit.split() or parts)
                if time > 0:  # version 1: -1 is no limit
                    yield time / period


def visible_gpus() -> list[str]:
    """The GPUs that may be used, by the names that CUDA_VISIBLE_DEVICES has for them."""
    allotted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allotted is not None:
        return [name for name in allotted.split(",") if name.strip() and name.strip() != "-1"]
    if not shutil.which("nvidia-smi"):
        return []
    answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    count = sum(line.startswith("GPU ") for line in answer.stdout.splitlines())
    return [str(i) for i in range(count)]


def as_gpus(number: int) -> str:
    """1 as "1 GPU", 2 as "2 GPUs"."""
    return f"{number} GPU{'s' * (number != 1)}"


def kind(root: str = "/") -> dict[str, Any]:
    """What determines the last bits of a product: {"machine", "model", "caches", "features"}."""
    simd = np.show_config(mode="dicts").get("SIMD Extensions", {})
    return {
        "machine": platform.machine(),
        "model": model(Path(root)),
        "caches": caches(Path(root)),
        "features": simd.get("baseline", []) + simd.get("found", []),
    }


def model(root):
    """The processor's name and the numbers of its design, as text."""
    first, *_ = read(root / "proc/cpuinfo").split("\n\n")
    pairs = (line.partition(":") for line in first.splitlines())
    values = {name.strip(): value.strip() for name, _, value in pairs}
    design = ", ".join(f"{name} {values[name]}" for name in DESIGN if name in values)
    return design or sysctl("machdep.cpu.brand_string") or platform.processor()


def caches(root):
    """The sizes of a processor's caches, as the system writes them: {"L1d": text, "L2": ..., "L3"}.

    What the system does not tell is left out.
    """
    found = {}
    for folder in sorted((root / "sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (read(folder / name) for name in ("level", "type", "size"))
        if kind != "Instruction":
            found[f"L{level}" + "d" * (kind == "Data")] = size
    sizes = found or {name: sysctl(f"hw.{name.lower()}cachesize") for name in ("L1d", "L2", "L3")}
    return {name: size for name, size in sizes.items() if size}


def read(path: Path) -> str:
    """The text of a file of the system; "" if it cannot be read, for a record stops no run."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def sysctl(name):
    """What macOS answers about itself; "" for what it does not know, and elsewhere."""
    try:
        answer = subprocess.run(["sysctl", "-n", name], capture_output=True, timeout=20)
        return answer.stdout.decode(errors="replace").strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
