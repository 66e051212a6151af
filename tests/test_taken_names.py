"""The names in cookiecutter.json that no project may have, against what projects really install."""

import re
from importlib.metadata import PackageNotFoundError, requires
from itertools import product

import pytest
from cookiecutter.generate import generate_context
from packaging.requirements import Requirement

from render import CHECKOUT, render
from test_render import read_toml

ROWS = generate_context(str(CHECKOUT / "cookiecutter.json"))["cookiecutter"]["_taken"]
TAKEN = " ".join(ROWS).split()

MACHINES = [
    {"sys_platform": "linux", "os_name": "posix", "platform_system": "Linux"},
    {"sys_platform": "darwin", "os_name": "posix", "platform_system": "Darwin"},
    {"sys_platform": "win32", "os_name": "nt", "platform_system": "Windows"},
]
PYTHONS = [{"python_version": v, "python_full_version": f"{v}.0"} for v in ("3.10", "3.13")]
PROCESSORS = [{"platform_machine": name} for name in ("x86_64", "AMD64", "aarch64", "arm64")]
EVERYWHERE = [a | b | c for a, b, c in product(MACHINES, PYTHONS, PROCESSORS)]


def needed(requirement, extras=frozenset()):
    """Whether a requirement holds on any machine."""
    return requirement.marker is None or any(
        requirement.marker.evaluate(machine | {"extra": extra})
        for machine in EVERYWHERE
        for extra in ["", *extras]
    )


def lines_of(name):
    """The requirements of an installed distribution. None for one that is not here."""
    try:
        return requires(name) or []
    except PackageNotFoundError:
        # Of the two builds of TensorFlow one is installed. They need the same.
        return lines_of("tensorflow-cpu") if name == "tensorflow" else []


def closure(lines):
    """The distributions that are installed with these, as they would stand in a slug."""
    ways, left = set(), [one for one in map(Requirement, lines) if needed(one)]
    while left:
        one = left.pop()
        way = (one.name, frozenset(one.extras))
        if way not in ways:
            ways.add(way)
            needs = map(Requirement, lines_of(one.name))
            left += [need for need in needs if needed(need, one.extras)]
    return {re.sub("[-_.]+", "_", name).lower() for name, _ in ways}


def test_no_slug_is_the_name_of_what_a_project_installs(template, tmp_path):
    """Else pip takes the project for that package. Both builds, all extras, all machines."""
    lines = []
    for build in ("cpu", "gpu"):
        project = render(template, tmp_path / build, tensorflow_build=build)
        declared = read_toml(project / "pyproject.toml")
        lines += declared["build-system"]["requires"] + declared["project"]["dependencies"]
        lines += sum(declared["project"]["optional-dependencies"].values(), [])
    if any(lines_of(name) == [] for name in ("ray", "pytest", "tensorflow")):
        pytest.skip("not all that a project needs is installed here")
    names = closure(lines)
    assert sorted(names - set(TAKEN)) == []
    # directly, of TensorFlow, of ray, of one machine only, of the other build
    deep = {"absl_py", "namex", "click", "rpds_py", "colorama", "nvidia_nccl_cu12", "setuptools"}
    assert deep <= names


def test_all_devices_of_windows_are_taken():
    devices = ["con", "prn", "aux", "nul"]
    devices += [f"{port}{number}" for port in ("com", "lpt") for number in range(10)]
    assert [name for name in TAKEN if re.fullmatch("con|prn|aux|nul|(com|lpt).", name)] == devices
