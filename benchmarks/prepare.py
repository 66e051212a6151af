"""What both programs need first: a rendered project, the digits, and a word about the machine."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
BUILD = CHECKOUT / "build" / "bench"
VERSIONS = ("numpy", "tensorflow-cpu", "tensorflow", "keras", "torch", "jax", "jaxlib")


def template_and_project():
    """Render the template as it now stands. Returns (the template's copy, the project)."""
    sys.path.insert(0, str(CHECKOUT / "tests"))
    from render import copy_template, render

    for name in ("template", "project"):
        shutil.rmtree(BUILD / name, ignore_errors=True)
    template = copy_template(BUILD / "template")
    return template, render(template, BUILD, accept_hooks=False, project_slug="project")


def real_digits(project):
    """Give the project the real MNIST, which is kept between runs. Returns its folder."""
    folder = BUILD / "mnist"
    if not folder.exists():
        subprocess.run([sys.executable, "data/download.py"], cwd=project, check=True)
        shutil.copytree(project / "data" / "mnist", folder)
    shutil.copytree(folder, project / "data" / "mnist", dirs_exist_ok=True)
    return folder


def machine(threads):
    """What it ran on, as {name: text}. Another program at work spoils a time: see the load."""
    about = {
        "processor": processor(),
        "cores": f"{os.cpu_count()}, of which {threads} used",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": platform.platform(),
        "load before": f"{os.getloadavg()[0]:.2f}",
        "python": platform.python_version(),
    }
    for name in VERSIONS:
        try:
            about[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return about


def processor():
    """The processor's name and its widest vectors, as the system tells them."""
    file = Path("/proc/cpuinfo")
    if not file.exists():
        return platform.processor() or platform.machine()
    lines = dict(line.split(":", 1) for line in file.read_text().splitlines() if ":" in line)
    facts = {name.strip(): value.strip() for name, value in lines.items()}
    flags = facts.get("flags", "").split()
    vectors = [name for name in ("avx512f", "avx2", "avx") if name in flags][:1]
    return " ".join([facts.get("model name", platform.machine()), *vectors])
