"""Names of a project's folder and distribution: which are refused, why, and which never may be."""

import os
import re
import subprocess
import sys

import pytest
from cookiecutter.exceptions import FailedHookException
from cookiecutter.generate import generate_context
from cookiecutter.utils import create_env_with_context
from hypothesis import given, settings
from hypothesis import strategies as st

from render import CHECKOUT, as_typed, render

NOT_ONE_WORD = "must be one word"
DEPENDENCY = "depends on a package of that name"
DEVICE = "Windows keeps that name"

# typed: why it is refused, and what the sentence says to type
REFUSED = {
    "Project": (NOT_ONE_WORD, "project"),
    "my-project": (NOT_ONE_WORD, "my_project"),
    "my project": (NOT_ONE_WORD, "my_project"),
    "_project": (NOT_ONE_WORD, "project"),
    "project_": (NOT_ONE_WORD, "project"),  # no name for a distribution: pip would refuse it
    "projet_été": (NOT_ONE_WORD, "projet_ete"),
    "project\n": (NOT_ONE_WORD, "project"),
    "it's": (NOT_ONE_WORD, "it_s"),
    'a"""b': (NOT_ONE_WORD, "a_b"),
    "a/b": (NOT_ONE_WORD, "a_b"),
    "../outside": (NOT_ONE_WORD, "outside"),
    "/absolute": (NOT_ONE_WORD, "absolute"),
    "..\\project": (NOT_ONE_WORD, "project"),
    ".": (NOT_ONE_WORD, "project"),
    "..": (NOT_ONE_WORD, "project"),
    "~": (NOT_ONE_WORD, "project"),
    "___": (NOT_ONE_WORD, "project"),
    "": (NOT_ONE_WORD, "project"),
    "-rf": (NOT_ONE_WORD, "rf"),
    "🦊": (NOT_ONE_WORD, "project"),
    "Click": (NOT_ONE_WORD, "click_project"),
    "a" * 51: ("51 characters", "a" * 50),
    "a" * 300: ("300 characters", "a" * 50),
    "aux": (DEVICE, "aux_project"),
    "con": (DEVICE, "con_project"),
    "com2": (DEVICE, "com2_project"),
    "lpt9": (DEVICE, "lpt9_project"),
    "tensorflow": (DEPENDENCY, "tensorflow_project"),
    "click": (DEPENDENCY, "click_project"),  # of ray
    "absl__py": (DEPENDENCY, "absl__py_project"),  # to pip, the same as absl-py
}

# A slug that was once accepted is never refused later: `cruft update` of the projects that have it
# would end in a traceback. So a word may be added here, and none taken away.
ONCE_ACCEPTED = (
    "x 3d_vision 2024 2024_kaggle a__b my_project tensor_flow2 keras_tuner mnist project unnamed"
    " data docs hpsearch main models reports results serving settings tests training"
    " class import none true json logging random test site python py src lib core app"
    " absl dateutil pil yaml jax torch pandas scipy sklearn sphinx hypothesis cookiecutter cruft"
    " con1 com com10 lpt auxiliary null click_project tensorflow_project con_project"
).split() + ["a" * 50]

DEFAULTS = {
    "My TensorFlow Project": "my_tensorflow_project",
    "3D Vision": "3d_vision",
    "2024 Kaggle": "2024_kaggle",
    "Data": "data",
    "Random": "random",
    "Python": "python",
    "TensorFlow": "tensorflow_project",
    "absl-py": "absl_py_project",
    "Ray": "ray_project",
    "con": "con_project",
    "R&D": "r_d",
    "O'Hara": "o_hara",
    "深度学习": "shen_du_xue_xi",
    "🦊": "project",
    "": "project",
    "A very long name for a project that nobody would ever want to type more than once": (
        "a_very_long_name_for_a_project_that_nobody_would"
    ),
}


def answers(**typed):
    return as_typed(generate_context(str(CHECKOUT / "cookiecutter.json")), **typed)


def objection(answers):
    """What the hook says about the slug, without a render."""
    source = (CHECKOUT / "hooks" / "pre_gen_project.py").read_text(encoding="utf-8")
    template = create_env_with_context({"cookiecutter": answers}).from_string(source)
    hook = {"__name__": "hook"}
    exec(template.render(cookiecutter=answers), hook)
    return hook["objection_to_slug"]()


def refusal(capfd):
    """The one sentence of ours on stderr."""
    lines = [
        line for line in capfd.readouterr().err.splitlines() if line.startswith("The project_slug")
    ]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("slug", REFUSED, ids=lambda slug: ascii(slug)[:30])
def test_a_slug_that_cannot_work_is_refused_and_nothing_is_left(template, tmp_path, capfd, slug):
    reason, instead = REFUSED[slug]
    output = tmp_path / "output"
    output.mkdir()
    with pytest.raises(FailedHookException):
        render(template, output, project_slug=slug)
    sentence = refusal(capfd)
    assert reason in sentence and sentence.endswith(f" Type for example {instead}.")
    assert len(sentence) < 250
    assert list(tmp_path.rglob("*")) == [output]
    assert objection(answers(project_slug=instead)) is None


@pytest.mark.parametrize("slug", ["x", "2024_kaggle", "data", "a" * 50])
def test_a_slug_that_can_work_names_the_folder(template, tmp_path, slug):
    assert render(template, tmp_path, project_slug=slug) == tmp_path / slug


@pytest.mark.parametrize("slug", ONCE_ACCEPTED)
def test_a_slug_that_was_once_accepted_is_never_refused(slug):
    context = answers(project_slug=slug)
    assert context["project_slug"] == slug and objection(context) is None


@pytest.mark.parametrize("name", DEFAULTS, ids=ascii)
def test_the_default_slug_of_a_name_is_accepted(name):
    context = answers(project_name=name)
    assert context["project_slug"] == DEFAULTS[name] and objection(context) is None


def test_the_default_author_is_those_of_the_project():
    assert answers(project_name="My Net")["author"] == "My Net authors"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80) | st.sampled_from([*REFUSED, *ONCE_ACCEPTED]).map(str.title))
def test_the_default_slug_of_any_name_is_accepted(name):
    assert objection(answers(project_name=name)) is None


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80) | st.text("ab9_-", max_size=60))
def test_any_slug_is_taken_as_typed_or_refused_with_one_that_is_taken(typed):
    context = answers(project_slug=typed)
    good = context["project_slug"]
    assert (objection(context) is None) == (good == typed)
    assert re.fullmatch("[a-z0-9]([a-z0-9_]*[a-z0-9])?", good) and len(good) <= 50
    assert objection(answers(project_slug=good)) is None


def test_without_hooks_a_bad_slug_gives_the_folder_that_the_hook_would_advise(template, tmp_path):
    assert render(template, tmp_path, accept_hooks=False, project_slug="../a b") == tmp_path / "a_b"


def by_command(template, folder, *options, **environment):
    command = [sys.executable, "-m", "cookiecutter", str(template), "--no-input", *options]
    return subprocess.run(command, cwd=folder, env=os.environ | environment, capture_output=True)


def test_the_shell_gets_the_sentence_first_and_a_failure(template, tmp_path):
    done = by_command(template, tmp_path, "project_slug=click")
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[0] == (
        'The project_slug "click" cannot be used: '
        "the project depends on a package of that name. Type for example click_project."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "encoding, shown", [("utf-8", "été"), ("cp1252", "été"), ("ascii", r"\xe9t\xe9")]
)
def test_the_sentence_survives_any_terminal(template, tmp_path, encoding, shown):
    options = ["--output-dir", str(tmp_path / "out"), "project_slug=projet_été"]
    done = by_command(template, tmp_path, *options, PYTHONIOENCODING=encoding)
    sentence = done.stderr.decode(encoding).splitlines()[0]
    assert sentence.startswith(f'The project_slug "projet_{shown}" cannot be used')


@pytest.mark.parametrize("question", ["project_name", "description", "author"])
def test_an_answer_with_a_byte_that_is_not_utf8_is_refused(template, tmp_path, capfd, question):
    """An old terminal gives "é" as the byte E9, which Python takes in as U+DCE9."""
    with pytest.raises(FailedHookException):
        render(template, tmp_path, project_slug="project", **{question: "Ren\udce9"})
    sentence = capfd.readouterr().err.splitlines()[0]
    assert sentence.startswith(f'The answer "Ren\\udce9" to "{question}" has a byte that is not')
    assert list(tmp_path.iterdir()) == []
    assert render(template, tmp_path, project_slug="project", **{question: "René 🦊"}).exists()
