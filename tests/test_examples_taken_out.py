"""The examples go as docs/write-a-model.md says, and the shipped tests see wrong models."""

import re
import subprocess
import sys

import pytest

from pages import add_model, models_of, take_out_of_registry
from test_train import run

MAIN = [sys.executable, "main.py"]
RUFF = [sys.executable, "-m", "ruff"]
PYTEST = [sys.executable, "-m", "pytest"]


@pytest.fixture
def page(pristine):
    return pristine / "docs" / "write-a-model.md"


def to_delete(page):
    """{what: [paths]} of the table of the section on taking out."""
    section = page.read_text(encoding="utf-8").split("## Take the examples out")[1].split("\n#")[0]
    lines = [line.split("|")[1:3] for line in section.split("\n") if line.startswith("| ")][1:]
    return {what.strip().split(",")[0]: re.findall(r"`(\S+)`", paths) for what, paths in lines}


def delete(project, path):
    if path != "data/mnist/":  # only there once it is downloaded
        (project / path).unlink()


# {what stays: (the examples that go, a model that comes, the tests to run)}
QUICK = [f"tests/test_{name}.py" for name in ("every_model", "imports", "settings", "serving")]
TAKEN_OUT = {
    "only a model of one's own": (["LinearRegression", "MNIST"], "Averaged", []),
    "MNIST": (["LinearRegression"], None, QUICK),
    "LinearRegression": (["MNIST"], None, QUICK),
}


@pytest.mark.slow
@pytest.mark.parametrize("left", TAKEN_OUT)
def test_examples_taken_out_as_the_page_says_leave_a_project_that_works(project, page, left):
    examples, own, tests = TAKEN_OUT[left]
    default = own or left
    if own:
        add_model(project, own, models_of(page)[own])
        run([*RUFF, "check", "--fix", "."], project)  # as the page says after a model is added
    listed = to_delete(page)
    assert len(listed) == 4 and sum(map(len, listed.values())) == 13
    gone = [*examples, "either", *(["the data of MNIST"] if "MNIST" in examples else [])]
    for name in examples:
        take_out_of_registry(project, name)
    for path in (path for what in gone for path in listed[what]):
        delete(project, path)
    for command in (["check", "."], ["format", "--check", "."]):
        run([*RUFF, *command], project)
    helped = run([*MAIN, "--help"], project)
    assert f"Hyper-parameters of {default}:" in helped
    assert not any(re.search(rf"\b{name}\b", helped) for name in examples)
    assert "No fault" in run([*MAIN, "--doctor"], project)
    fake = ["--fake_data"] if default == "MNIST" else []
    run([*MAIN, "--max_iter=50", *fake], project)
    output = run([*PYTEST, *tests], project)
    assert re.search(r"\d+ passed", output) and "failed" not in output
    for name in examples:
        done = subprocess.run(
            [*MAIN, f"--model_name={name}"], cwd=project, capture_output=True, text=True
        )
        assert done.returncode == 2 and f"; known: {default}" in done.stderr


# {mistake: (model, what is written, what stands there then, the tests that fail)}
MISTAKES = {
    "data that is drawn anew": (
        "Normalised",
        'random_stream(self.config["random_seed"], f"points of {split}")',
        "np.random.default_rng()",
        {"a_paused_and_resumed_run", "verify_trains_it_again", "it_infers"},
    ),
    "a learning rate that lives in Python": (
        "Averaged",
        "    def update(self, loss):\n",
        '    def learn_from_epoch(self, stop=None):\n        self.config["lr"] *= 0.9\n'
        "        return super().learn_from_epoch(stop)\n\n    def update(self, loss):\n",
        {"any_length_of_a_chunk", "a_paused_and_resumed_run", "it_infers"},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_shipped_tests_see_a_model_that_does_not_repeat(project, page, mistake):
    name, right, wrong, seen = MISTAKES[mistake]
    block = models_of(page)[name]
    assert block.count(right) == 1
    add_model(project, name, block.replace(right, wrong))
    tests = ["tests/test_every_model.py", "-k", f"[{name}]", "-n0"]
    done = subprocess.run([*PYTEST, *tests], cwd=project, capture_output=True, text=True)
    assert done.returncode == 1
    failed = re.findall(rf"^FAILED .*::test_(\w+)\[{name}\]", done.stdout, re.MULTILINE)
    for start in seen:
        assert any(test.startswith(start) for test in failed), (start, failed)
