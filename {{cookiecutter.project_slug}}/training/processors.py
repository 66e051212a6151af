"""The processors of this machine: how many a run may use, and what kind they are."""

import math
import os
import platform
import subprocess
from pathlib import Path

import numpy as np

# What /proc/cpuinfo tells of a processor's design, on x86 and on ARM.
DESIGN = (
    "model name", "vendor_id", "cpu family", "model", "stepping",
    "CPU implementer", "CPU variant", "CPU part", "CPU revision",
)  # fmt: skip


def count(root="/"):
    """How many processors this process may use: those of its affinity, within its quota of time.

    The quota is the one of its control groups, by which containers and batch systems limit it; a
    part of a processor counts as a whole one. root: of the file system.
    """
    return min([affinity(), *map(math.ceil, quotas(Path(root)))])


def affinity():
    """How many processors the system may run this process on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def quotas(root):
    """The processor time that control groups allow this process, each in processors."""
    groups = root / "proc/self/cgroup"
    if not groups.exists():
        return
    for line in groups.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        group = mount / path.strip("/")
        for folder in (group, *group.parents):  # a limit holds for all groups within
            if not folder.is_relative_to(mount):
                break
            time, period = limit(folder)
            if time > 0:
                yield time / period


def limit(folder):
    """Microseconds of processor time in a period of so many: (0, 1) if it is not limited."""
    try:
        if (folder / "cpu.max").exists():  # version 2: "max 100000" or "150000 100000"
            time, period = (folder / "cpu.max").read_text().split()
        else:  # version 1: -1 is no limit
            time, period = ((folder / f"cpu.cfs_{n}_us").read_text() for n in ("quota", "period"))
        return int(time), int(period)
    except (OSError, ValueError):
        return 0, 1


def kind(root="/"):
    """What decides over the last bits of a product: {"machine", "model", "caches", "features"}.

    caches: the bytes of a processor's L1d and L2, and of the L3 that it shares; {} where the system
    does not tell.
    """
    simd = np.show_config(mode="dicts").get("SIMD Extensions", {})
    return {
        "machine": platform.machine(),
        "model": model(Path(root)),
        "caches": caches(Path(root)),
        "features": simd.get("baseline", []) + simd.get("found", []),
    }


def model(root):
    """The processor's name and the numbers of its design, as text."""
    if (root / "proc/cpuinfo").exists():
        first, *_ = (root / "proc/cpuinfo").read_text().split("\n\n")
        pairs = (line.partition(":") for line in first.splitlines())
        values = {name.strip(): value.strip() for name, _, value in pairs}
        return ", ".join(f"{name} {values[name]}" for name in DESIGN if name in values)
    return sysctl("machdep.cpu.brand_string") or platform.processor()


def caches(root):
    """{"L1d": bytes, "L2": ..., "L3": ...}."""
    if platform.system() == "Darwin":
        sizes = {name: sysctl(f"hw.{name.lower()}cachesize") for name in ("L1d", "L2", "L3")}
        return {name: int(size) for name, size in sizes.items() if size}
    found = {}
    for folder in sorted((root / "sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((folder / n).read_text().strip() for n in ("level", "type", "size"))
        if kind != "Instruction":
            found[f"L{level}" + "d" * (kind == "Data")] = int(size.removesuffix("K")) * 1024
    return found


def sysctl(name):
    """What macOS answers about itself; None for what it does not know, and elsewhere."""
    if platform.system() != "Darwin":
        return None
    answer = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True)
    return answer.stdout.strip() or None
