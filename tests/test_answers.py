"""Answers that look dangerous and are none: what stands in the files is what was typed."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from cookiecutter.generate import generate_context, generate_files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from render import as_typed
from test_render import read_toml


def render_as_typed(template, output, **answers):
    """Render with answers taken letter by letter, as from the keyboard.

    What comes by the command line or a file, cookiecutter itself evaluates as Jinja before.
    """
    context = generate_context(str(template / "cookiecutter.json"))
    context["cookiecutter"] = as_typed(context, **answers)
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
