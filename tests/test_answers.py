"""Answers that must be refused, and answers that look dangerous and must not be."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from cookiecutter.exceptions import FailedHookException
from cookiecutter.generate import generate_context, generate_files
from cookiecutter.prompt import prompt_for_config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement

from render import render, tree
from test_render import read_toml

NOT_ONE_WORD = "must be one word"
REFUSED = {
    "Project": NOT_ONE_WORD,
    "my-project": NOT_ONE_WORD,
    "my project": NOT_ONE_WORD,
    "2nd_project": NOT_ONE_WORD,
    "_project": NOT_ONE_WORD,
    "project_": NOT_ONE_WORD,  # no name for a distribution: pip would refuse it
    "projet_été": NOT_ONE_WORD,
    "project\n": NOT_ONE_WORD,
    "it's": NOT_ONE_WORD,
    'a"""b': NOT_ONE_WORD,
    "..\\project": NOT_ONE_WORD,
    "-rf": NOT_ONE_WORD,
    "~": NOT_ONE_WORD,
    "a" * 51: "51 characters",
    "class": "Python language",
    "aux": "Windows",
    "com1": "Windows",
    "tensorflow": "depends on",
    "keras": "depends on",
    "data": "itself",
    "models": "itself",
    "json": "standard library",
    "logging": "standard library",
}


def refusal(capfd):
    """The one sentence of ours on stderr."""
    lines = [
        line for line in capfd.readouterr().err.splitlines() if line.startswith("The project_slug")
    ]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("slug, reason", REFUSED.items(), ids=map(ascii, REFUSED))
def test_a_slug_that_cannot_work_is_refused_and_nothing_is_left(
    template, tmp_path, capfd, slug, reason
):
    with pytest.raises(FailedHookException):
        render(template, tmp_path, project_slug=slug)
    sentence = refusal(capfd)
    assert json.dumps(slug, ensure_ascii=False) in sentence
    assert reason in sentence
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("slug", ["x", "my_project", "a" * 50, "tensor_flow2", "classes"])
def test_a_slug_that_can_work_is_accepted(template, tmp_path, slug):
    assert render(template, tmp_path, project_slug=slug) == tmp_path / slug


@pytest.mark.parametrize("slug", ["../outside", "inside/project", "{absolute}"])
def test_a_path_as_slug_is_refused_and_no_file_is_left(template, tmp_path, capfd, slug):
    output = tmp_path / "output"
    output.mkdir()
    with pytest.raises(FailedHookException):
        render(template, output, project_slug=slug.format(absolute=tmp_path / "absolute"))
    assert NOT_ONE_WORD in refusal(capfd)
    # cookiecutter makes the folders of such a path before any hook, and removes only the last.
    left = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")]
    assert left in (["output"], ["output", "output/inside"])


def test_the_shell_gets_the_sentence_first_and_a_failure(template, tmp_path):
    command = [sys.executable, "-m", "cookiecutter", str(template), "--no-input"]
    done = subprocess.run(
        [*command, "project_slug=data"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == (
        'The project_slug "data" cannot be used: '
        "the project has a folder or module of that name itself."
    )
    assert list(tmp_path.iterdir()) == []


def test_no_slug_hides_a_dependency_or_a_part_of_the_project(template, pristine, tmp_path):
    declared = read_toml(pristine / "pyproject.toml")["project"]
    names = {Requirement(line).name.replace("-", "_") for line in declared["dependencies"]}
    for extra in declared["optional-dependencies"].values():
        names |= {Requirement(line).name for line in extra}
    names |= {
        path.stem for path in pristine.iterdir() if re.fullmatch(r"[a-z_]+(\.py)?", path.name)
    }
    assert {"matplotlib", "pytest", "main", "training"} <= names
    names |= {"packaging", "six"}  # of what the dependencies depend on
    for name in names:
        with pytest.raises(FailedHookException):
            render(template, tmp_path, project_slug=name)


def render_as_typed(template, output, **answers):
    """Render with answers taken letter by letter, as from the keyboard.

    What comes by the command line or a file, cookiecutter itself evaluates as Jinja before.
    """
    context = generate_context(str(template / "cookiecutter.json"))
    context["cookiecutter"] = prompt_for_config(context, no_input=True) | answers
    return Path(generate_files(str(template), context, str(output)))


HOSTILE = [
    'it\'s "quoted" and """thrice"""',
    "back\\slash \\n \\u0041 \\",
    "first line\nsecond line\r\n[tool.evil]\nx = 1",
    "Zoë Müller, 深度学习, 🦊 and \U0001f468\u200d\U0001f469",
    "{{ cookiecutter.license }} {% if %} {# none #} ${{ github.token }}",
    "<b>&amp;</b> # not a comment",
    "tab\tbell\x07delete\x7fnull\x00 line\u2028separator",
    "",
]


def check_valid(project, **answers):
    """The files that repeat an answer are valid and repeat it, on one line."""
    controls = r"[\x00-\x1f\x7f-\x9f]"  # blanks, as templates/answers says
    said = {name: " ".join(re.sub(controls, " ", text).split()) for name, text in answers.items()}
    declared = read_toml(project / "pyproject.toml")["project"]
    assert declared["description"] == said["description"]
    assert declared.get("authors", []) == ([{"name": said["author"]}] if said["author"] else [])
    assert declared["license"] == "MIT" and declared["name"] == "my_project"
    owner = said["author"] or f"{said['project_name'] or 'my_project'} authors"
    license = (project / "LICENSE").read_text(encoding="utf-8")
    assert f" {owner}\n\nPermission is hereby" in license
    assert (project / "README.md").read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_free_text_that_looks_like_code_gives_valid_files(template, tmp_path, text):
    answers = {"project_name": text, "description": text, "author": text}
    project = render_as_typed(template, tmp_path, project_slug="my_project", **answers)
    check_valid(project, **answers)


any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(project_name=any_text, description=any_text, author=any_text)
def test_any_free_text_gives_valid_files(template, **answers):
    with tempfile.TemporaryDirectory() as folder:
        project = render_as_typed(template, folder, project_slug="my_project", **answers)
        check_valid(project, **answers)


def test_answers_at_the_keyboard_are_taken_letter_by_letter(template, tmp_path):
    typed = ["Seven {{ 7 * 7 }}", "", "Not {% evaluated %}", "O'Hara \\", "2", "2"]
    command = [sys.executable, "-m", "cookiecutter", str(template)]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8", "COLUMNS": "200"}
    subprocess.run(
        command, cwd=tmp_path, env=environment, input="\n".join(typed) + "\n", text=True, check=True
    )
    declared = read_toml(tmp_path / "seven_7_7" / "pyproject.toml")["project"]
    assert declared["description"] == "Not {% evaluated %}"
    assert declared["authors"] == [{"name": "O'Hara \\"}]
    assert declared["license"] == "BSD-3-Clause"
    assert "and-cuda" in str(declared["dependencies"])


def test_a_long_name_gives_a_slug_that_is_accepted(template, tmp_path):
    name = "A very long name for a project that nobody would ever want to type more than once"
    project = render(template, tmp_path, project_name=name)
    assert project.name == "a_very_long_name_for_a_project_that_nobody_would"


def test_nothing_of_an_existing_project_is_lost(template, pristine, tmp_path):
    project = render(template, tmp_path)
    (project / "results" / "precious").write_text("a result", encoding="utf-8")
    before = tree(project)
    command = [sys.executable, "-m", "cookiecutter", str(template), "--no-input"]
    refused = subprocess.run(command, cwd=tmp_path)
    assert refused.returncode == 1 and tree(project) == before
    subprocess.run([*command, "--overwrite-if-exists"], cwd=tmp_path, check=True)
    assert tree(project) == before
