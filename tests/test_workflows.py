"""CI does what it is meant to do: both workflows are read as GitHub reads them, and are exact."""

import re

import pytest
import yaml

from render import CHECKOUT
from test_render import read_toml

PROJECT = CHECKOUT / "{{cookiecutter.project_slug}}"
SYSTEMS = ["ubuntu-latest", "windows-latest", "macos-latest"]
CHECKOUT_ACTION, PYTHON_ACTION = "actions/checkout", "actions/setup-python"
NUMBER = "${{ github.workflow }}-${{ github.event.pull_request.number || github.run_id }}"
ONE_RUN = {"group": NUMBER, "cancel-in-progress": True}
TEMPLATE_JOBS = {
    "make": [
        'pipx run zizmor==1.32.0 --offline . "{{cookiecutter.project_slug}}"',
        "make demo",
        ".ci/run",
    ],
    "test": [
        "python -m pip install --editable .",
        "python tests/render.py build/defaults project_slug=defaults",
        'python -m pip install "build/defaults/defaults[dev,ray]"',
        'python -m pytest -m "not slow and not campaign"',
    ],
}
PROJECT_JOBS = {
    "test": [
        'python -m pip install -e ".[dev,ray]"',
        "ruff check .",
        "ruff format --check .",
        "pytest",
    ],
}


def text_of(folder):
    return (folder / ".github/workflows/ci.yml").read_text(encoding="utf-8")


def pythons():
    """The lowest and the highest Python that a project allows."""
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    lowest, beyond = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', text).groups()
    return [f"3.{lowest}", f"3.{int(beyond) - 1}"]


def pins(text):
    """{action: (commit, version)} of a workflow, each by a full hash with its version beside it."""
    used = re.findall(r"uses: (.*)", text)
    found = [re.fullmatch(r"([\w/-]+)@([0-9a-f]{40})  # (v\d+\.\d+\.\d+)", line) for line in used]
    assert all(found), used
    by_action = {match[1]: match.groups()[1:] for match in found}
    assert {match.groups() for match in found} == {(n, *pin) for n, pin in by_action.items()}
    return by_action


def matrix(job):
    """The pairs (system, Python) on which a job runs, sorted."""
    about = job["strategy"]["matrix"]
    pairs = [(system, python) for system in about["system"] for python in about["python"]]
    return sorted(pairs + [(more["system"], more["python"]) for more in about.get("include", [])])


def check_workflow(text, branches, commands, **fetched):
    """All of a workflow but the Pythons and systems of a matrix, which it returns: {job: pairs}."""
    assert pins(text).keys() == {CHECKOUT_ACTION, PYTHON_ACTION}
    workflow = yaml.safe_load(text)
    triggers = workflow.pop(True)  # YAML takes the word `on` for a truth value
    assert triggers == {
        "push": {"branches": branches}, "pull_request": None, "workflow_dispatch": None
    }  # fmt: skip
    jobs = workflow.pop("jobs")
    assert workflow == {
        "name": "CI", "permissions": {"contents": "read"}, "concurrency": ONE_RUN
    }  # fmt: skip
    assert jobs.keys() == commands.keys()
    pairs = {}
    for name, job in jobs.items():
        checkout, python, *runs = job["steps"]
        assert job.keys() - {"strategy"} == {"runs-on", "timeout-minutes", "steps"}
        assert 0 < job["timeout-minutes"] <= 120
        assert checkout.keys() == python.keys() == {"uses", "with"}
        assert checkout["uses"].startswith(CHECKOUT_ACTION)
        assert checkout["with"] == {"persist-credentials": False, **fetched}
        assert python["uses"].startswith(PYTHON_ACTION)
        assert runs == [{"run": command} for command in commands[name]]
        if "strategy" in job:
            assert job["strategy"].keys() == {"fail-fast", "matrix"}
            assert job["strategy"]["fail-fast"] is False
            assert job["strategy"]["matrix"].keys() <= {"system", "python", "include"}
            assert job["runs-on"] == "${{ matrix.system }}"
            assert python["with"]["python-version"] == "${{ matrix.python }}"
            pairs[name] = matrix(job)
        else:
            pairs[name] = [(job["runs-on"], python["with"]["python-version"])]
    return pairs


def check_template(text):
    whole_history = {"fetch-depth": 0}  # tests/test_updates.py looks for the last tag
    pairs = check_workflow(text, ["main"], TEMPLATE_JOBS, **whole_history)
    assert pairs == {
        "make": [("ubuntu-latest", "3.12")],
        "test": sorted((system, python) for system in SYSTEMS for python in pythons()),
    }


def check_project(text):
    pairs = check_workflow(text, ["main", "master"], PROJECT_JOBS)
    lowest, highest = pythons()
    expected = [(SYSTEMS[0], lowest), *((system, highest) for system in SYSTEMS)]
    assert pairs == {"test": sorted(expected)}


def test_the_workflow_of_the_template_is_exact():
    check_template(text_of(CHECKOUT))


def test_the_workflow_of_a_project_is_exact_and_rendered_unchanged(pristine):
    check_project(text_of(pristine))
    assert text_of(pristine) == text_of(PROJECT)


MUTANTS = [  # (what is replaced, by what)
    ("contents: read", "contents: write"),
    ("permissions:\n  contents: read\n", ""),
    ("pull_request:\n", "pull_request_target:\n"),
    ("  push:\n    branches", "  push:\n    tags"),
    ("persist-credentials: false", "persist-credentials: true"),
    ("          persist-credentials: false\n", ""),
    (re.compile(r"checkout@[0-9a-f]{40}  # v\S+"), "checkout@v6"),
    (re.compile(r"setup-python@([0-9a-f]{39})[0-9a-f]"), r"setup-python@\1"),
    (re.compile(r"  # v\d\S+"), ""),
    (re.compile(r"    timeout-minutes: \d+\n"), ""),
    (re.compile(r"timeout-minutes: \d+"), "timeout-minutes: 360"),
    ("cancel-in-progress: true", "cancel-in-progress: false"),
    ("github.run_id", "github.ref"),
    ('"3.10"', '"3.9"'),
    ('["3.10", "3.13"]', '["3.10"]'),
    ("windows-latest", "ubuntu-latest"),
    ("fail-fast: false", "fail-fast: true"),
    (re.compile(r"      - run: (python -m )?pytest.*\n"), ""),
    (re.compile(r"(run: .*)\[dev,ray\]"), r"\1[dev]"),
    (re.compile(r"(      - run: .*pip install .*\n)"), r"\1        continue-on-error: true\n"),
]


@pytest.mark.parametrize("old, new", MUTANTS, ids=lambda part: getattr(part, "pattern", part))
@pytest.mark.parametrize(
    "folder, check",
    [(CHECKOUT, check_template), (PROJECT, check_project)],
    ids=["template", "project"],
)
def test_a_workflow_that_promises_less_is_seen(folder, check, old, new):
    text = text_of(folder)
    mutant = old.sub(new, text) if isinstance(old, re.Pattern) else text.replace(old, new)
    assert mutant != text
    with pytest.raises((AssertionError, KeyError, ValueError)):
        check(mutant)


def test_what_ci_runs_is_lint_and_all_tests_and_ends_at_the_first_failure():
    lines = (CHECKOUT / ".ci/run").read_text(encoding="utf-8").splitlines()
    assert "set -euo pipefail" in lines and lines[-2:] == ["make lint", "make test-all"]


def test_the_template_and_its_projects_use_the_same_actions():
    assert pins(text_of(CHECKOUT)) == pins(text_of(PROJECT))


def test_dependabot_keeps_the_actions_of_both_new(pristine):
    for folder in (CHECKOUT, pristine):
        text = (folder / ".github/dependabot.yml").read_text(encoding="utf-8")
        assert yaml.safe_load(text) == {
            "version": 2,
            "updates": [
                {
                    "package-ecosystem": "github-actions",
                    "directory": "/",
                    "schedule": {"interval": "monthly"},
                    "cooldown": {"default-days": 7},
                    "groups": {"actions": {"patterns": ["*"]}},
                }
            ],
        }


def test_the_job_of_a_project_installs_extras_that_it_has(pristine):
    extras = read_toml(pristine / "pyproject.toml")["project"]["optional-dependencies"]
    for folder in (CHECKOUT, pristine):
        (asked,) = re.findall(r"\[([\w,]+)\]\"$", text_of(folder), re.MULTILINE)
        assert set(asked.split(",")) == {"dev", "ray"} <= extras.keys()
