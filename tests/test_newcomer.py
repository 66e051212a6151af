"""The first hour: the sessions that the READMEs show, uv beside pip, Windows beside make."""

import os
import re
import shlex
import subprocess
import sys

import pytest
from packaging.requirements import Requirement

from render import CHECKOUT
from test_documents import blocks
from test_render import read_toml
from test_train import clean_environment, run

UV = [sys.executable, "-m", "uv"]
MNIST = [] if os.environ.get("MNIST_MIRROR") else ["--fake_data"]


def shape(text):
    """The text with N for each number."""
    return re.sub(r"(?<![\w-])([-+] ?)?\d([\d.,]*\d)?(e[-+]?\d+)?", "N", text)


def session(file):
    """The commands that the first screen shows, each as a list of words, and what came out."""
    [text] = blocks(file, "console")
    parts = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)
    return [(shlex.split(command), shown) for command, shown in parts]


def check_output(shown, output):
    """What a command wrote has the lines that are shown, but for numbers; ... is any lines."""
    lines = [
        "(?:.*\n)*?" if line == "..." else re.escape(shape(line)) + "\n"
        for line in shown.splitlines()
    ]
    assert re.fullmatch("".join(lines), shape(output)), output


@pytest.mark.slow
def test_the_session_in_a_projects_readme_is_what_comes_out(project):
    (train, *_), (infer, *_), (verify, *_) = parts = session(project / "README.md")
    assert "--infer" in infer and "--verify" in verify
    for command, shown in parts:
        assert command[:2] == ["python", "main.py"]
        more = MNIST if command == train else []
        check_output(shown, run([sys.executable, *command[1:], *more], project))


def test_the_session_in_the_templates_readme_is_what_comes_out(project):
    render, cd, (train, shown) = session(CHECKOUT / "README.md")
    assert render == (["uvx", "cookiecutter", "--no-input", "gh:org/tf-template"], "...\n")
    assert cd == (["cd", project.name], "")
    assert train == ["uv", "run", "python", "main.py"]
    output = run([sys.executable, "main.py"], project)
    check_output(shown, output)
    for change in [("Fitted", "Fit"), ("test:", "valid:"), ("examples)\n", "examples)\nmore\n")]:
        with pytest.raises(AssertionError):
            check_output(shown.replace(*change), output)


@pytest.mark.slow
def test_uv_does_all_that_the_readmes_say_from_nothing(template, tmp_path):
    environment = clean_environment()
    (render, _), (cd, _), (train, shown) = session(CHECKOUT / "README.md")
    url = f"git+{template.as_uri()}"
    run([*UV, "tool", "run", *render[1:-1], url], tmp_path, env=environment)
    project = tmp_path / cd[1]
    check_output(shown, run([*UV, *train[1:]], project, env=environment))
    _, block, *_ = blocks(project / "README.md", "sh")
    commands = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert commands[0] == train and ["uv", "sync"] in commands
    for command in commands:
        some = ["tests/test_settings.py"] if "pytest" in command else []  # all is another test's
        output = run([*UV, *command[1:], *some], project, env=environment)
        assert not some or re.search(r"\d+ passed", output)
    run([*UV, "sync", "--locked"], project, env=environment)
    tools = [*UV, "run", "--no-sync", "python", "-c", "import pytest, xdist, ruff"]
    run(tools, project, env=environment)
    run(["git", "init", "--quiet"], project)
    assert run(["git", "check-ignore", ".venv", "uv.lock"], project).split() == [".venv"]
    assert list(project.glob("*.egg-info")) == []
    run([*UV, "sync", "--no-dev"], project, env=environment)
    assert subprocess.run(tools, cwd=project, env=environment).returncode == 1


def test_the_group_for_uv_is_the_extra_for_pip(pristine):
    table = read_toml(pristine / "pyproject.toml")
    assert table["dependency-groups"]["dev"] == table["project"]["optional-dependencies"]["dev"]
    names = {Requirement(line).name for line in table["dependency-groups"]["dev"]}
    assert names == {"pytest", "pytest-xdist", "ruff"}


def test_every_target_of_make_has_commands_for_a_machine_without_it():
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()
    text = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.*) \|$", text, re.MULTILINE))
    assert rows.keys() == {"make", *targets}
    for target in targets:
        recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)[1]
        if target == "clean":
            assert set(re.findall("`(.*?)`", rows[target])) <= set(recipe.split())
            continue
        commands = re.findall(r"(?:\$\(python\)|build/peers/bin/python) (.*)", recipe)
        shown = re.findall("`python (.*?)`", rows[target])
        if target == "bench":  # in an environment of its own; the row names the first script
            commands, shown = commands[:1], shown[1:]
        shown += re.findall("there and here `python (.*?)`", rows[target])  # so twice
        assert sorted(commands) == sorted(shown), target


def test_the_environment_by_hand_is_that_of_make():
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    [block] = [b for b in blocks(CHECKOUT / "CONTRIBUTING.md", "sh") if "-m venv" in b]
    recipe = makefile.split("\n.venv/ready:")[1].split("\ttouch")[0]
    made = re.findall(r"\$\(python\) (.*?)(?: >.*)?$", recipe, re.MULTILINE)
    by_hand = re.findall(r"^python (-m pip .*|tests/.*)$", block, re.MULTILINE)
    assert [line.replace("--quiet ", "") for line in made] == by_hand
