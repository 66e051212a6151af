"""What a render holds, and that every road to it leads to the same."""

import ast
import json
import re
import subprocess
import sys
from collections import Counter

import pytest
import yaml
from packaging.requirements import Requirement

from render import render, tree

try:
    import tomllib
except ModuleNotFoundError:  # before Python 3.11; pytest brings it there
    import tomli as tomllib

FILES = """
.github/dependabot.yml
.github/workflows/ci.yml
.gitignore
LICENSE
README.md
command_line.py
conditions.py
data/__init__.py
data/digit_pictures.py
data/download.py
data/fake_digits.py
data/loaders.py
data/raw/.gitkeep
docs/checkpoints.md
docs/coming-from-keras.md
docs/coming-from-tensorflow-1.md
docs/data.md
docs/export.md
docs/layout.md
docs/notebook.ipynb
docs/reproducible.md
docs/runs.md
docs/search.md
docs/three.jpg
docs/updates.md
docs/workers.md
docs/write-a-model.md
doctor/__init__.py
doctor/checks.py
doctor/examination.py
doctor/tensorflow_checks.py
hpsearch/__init__.py
hpsearch/commands.py
hpsearch/confirmation.py
hpsearch/display.py
hpsearch/forking.py
hpsearch/fullsearch.py
hpsearch/gaussian_process.py
hpsearch/halving.py
hpsearch/hyperband.py
hpsearch/importance.py
hpsearch/learningrate.py
hpsearch/ledger.py
hpsearch/local.py
hpsearch/networks.py
hpsearch/page.py
hpsearch/picture.py
hpsearch/promotion.py
hpsearch/randomsearch.py
hpsearch/ray_cluster.py
hpsearch/sampling.py
hpsearch/search.py
hpsearch/search_settings.py
hpsearch/tpe.py
hpsearch/trial.py
hpsearch/watching.py
main.py
models/__init__.py
models/basic_model.py
models/best/LinearRegression.json
models/best/MNIST.json
models/layers.py
models/linear_regression.py
models/mnist.py
models/mnist_pictures.py
pyproject.toml
reports/__init__.py
reports/board.py
reports/compare.py
reports/comparison_page.py
reports/formats.py
reports/groups.py
reports/overlay.py
reports/runs.py
results/.gitkeep
serving/__init__.py
serving/comparison.py
serving/export.py
serving/inputs.py
serving/outputs.py
serving/pictures.py
serving/tables.py
setting.py
settings.py
stages.py
tests/conftest.py
tests/defects.py
tests/kills.py
tests/runs.py
tests/test_batches.py
tests/test_branches.py
tests/test_checkpoints.py
tests/test_compare.py
tests/test_conditions.py
tests/test_divergence.py
tests/test_every_model.py
tests/test_imports.py
tests/test_kills.py
tests/test_patience.py
tests/test_resume.py
tests/test_run_folder.py
tests/test_search.py
tests/test_serving.py
tests/test_settings.py
tests/test_streaming.py
tests/test_verification.py
tests/test_workers.py
tests/toy.py
training/__init__.py
training/batches.py
training/checkpoints.py
training/cluster.py
training/collectives.py
training/compilation.py
training/config.py
training/contract.py
training/curves.py
training/device.py
training/digests.py
training/divergence.py
training/drawing.py
training/evaluation.py
training/events.py
training/feeding.py
training/files.py
training/folders.py
training/graph_page.py
training/launcher.py
training/loop.py
training/messages.py
training/metrics.py
training/optimizers.py
training/page.py
training/preparation.py
training/processors.py
training/progress.py
training/provenance.py
training/reach.py
training/records.py
training/repeatable.py
training/run.py
training/run_page.py
training/shares.py
training/signals.py
training/speed.py
training/status.py
training/steps.py
training/tensorflow_import.py
training/tf_config.py
training/traces.py
training/variables.py
training/verification.py
training/workers.py
"""


PICTURE = ".jpg"


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def read_toml(path):
    return tomllib.loads(path.read_text(encoding="utf-8"))


def has_jinja(text):
    """Whether a template's code is left in the text. GitHub's own ${{ }} is none."""
    return bool(re.search(r"(?<!\$)\{\{|\{%|\{#|cookiecutter\.", text))


def portable(name):
    """Whether Windows takes the name of a file or folder."""
    devices = r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?"
    return not re.search(r'[<>:"|?*\\\x00-\x1f]|[. ]$', name) and not re.fullmatch(
        devices, name, re.IGNORECASE
    )


def test_a_render_with_defaults_holds_exactly_these_files(pristine):
    found = sorted(path.relative_to(pristine).as_posix() for path in files(pristine))
    assert found == FILES.split()


def test_whoever_presses_enter_at_each_question_gets_these_answers(pristine):
    declared = read_toml(pristine / "pyproject.toml")["project"]
    assert (pristine.name, declared["name"]) == ("my_tensorflow_project", "my_tensorflow_project")
    assert declared["authors"] == [{"name": "My TensorFlow Project authors"}]
    assert declared["license"] == "MIT"
    assert "tensorflow-cpu" in str(declared["dependencies"])
    title, _, description, *_ = (pristine / "README.md").read_text(encoding="utf-8").split("\n")
    assert title == "# My TensorFlow Project" and description == declared["description"]
    assert len(description.split()) > 5


def test_no_folder_of_a_render_is_empty(pristine):
    assert [path for path in pristine.rglob("*") if path.is_dir() and not any(path.iterdir())] == []


def test_code_and_pages_are_the_very_bytes_of_the_template(own_template, tmp_path):
    folder = own_template / "{{cookiecutter.project_slug}}"
    for name in ("models/braces.py", "docs/braces.md", "docs/braces.ipynb"):
        (folder / name).write_text("x = f'{{ {1} }} {% {#'\n", encoding="utf-8")
    project = render(own_template, tmp_path)
    copied = [*project.rglob("*.py"), *(project / "docs").iterdir()]
    for path in copied:
        assert path.read_bytes() == (folder / path.relative_to(project)).read_bytes(), path
    assert {"braces.py", "braces.md", "braces.ipynb"} <= {path.name for path in copied}


def test_no_jinja_is_left_in_a_render(template, pristine):
    for path in files(pristine):
        assert not has_jinja(path.relative_to(pristine).as_posix())
        if path.suffix not in (".py", PICTURE):
            assert not has_jinja(path.read_text(encoding="utf-8")), path
    source = template / "{{cookiecutter.project_slug}}" / "pyproject.toml"
    assert has_jinja(source.read_text(encoding="utf-8"))


def test_no_python_file_of_the_project_speaks_of_the_template(pristine):
    for path in pristine.rglob("*.py"):
        assert "cookiecutter" not in path.read_text(encoding="utf-8"), path


def test_every_name_is_allowed_on_windows_and_none_is_a_link(template, pristine):
    for folder in (template, pristine):
        paths = [p for p in folder.rglob("*") if ".git" not in p.relative_to(folder).parts]
        assert [path for path in paths if not portable(path.name) or path.is_symlink()] == []
        small = Counter(path.relative_to(folder).as_posix().lower() for path in paths)
        assert small.most_common(1)[0][1] == 1
    assert not any(map(portable, ["aux.py", "NUL", "a:b", "what?", "dot.", "space "]))


def test_a_picture_is_copied_byte_for_byte(template, pristine):
    picture = "docs/three" + PICTURE
    source = template / "{{cookiecutter.project_slug}}" / picture
    assert (pristine / picture).read_bytes() == source.read_bytes()


def test_lines_end_alike_wherever_the_template_was_checked_out(own_template, pristine, tmp_path):
    texts = [path for path in files(pristine) if path.suffix != PICTURE]
    assert [path for path in texts if b"\r" in path.read_bytes()] == []
    source = own_template / "{{cookiecutter.project_slug}}" / "pyproject.toml"
    source.write_bytes(source.read_bytes().replace(b"\n", b"\r\n"))
    project = render(own_template, tmp_path / "out")
    assert (project / "pyproject.toml").read_bytes() == (pristine / "pyproject.toml").read_bytes()


def test_git_checks_texts_out_with_the_line_ends_that_a_render_has(template):
    command = ["git", "check-attr", "eol", "text", "--", "README.md", "docs/new.py"]
    said = subprocess.run(command, cwd=template, capture_output=True, text=True, check=True).stdout
    assert said.count(": eol: lf\n") == said.count(": text: auto\n") == 2, said


def test_pyproject_and_workflow_parse_in_the_template_and_in_a_render(template, pristine):
    for folder in (template / "{{cookiecutter.project_slug}}", pristine):
        assert read_toml(folder / "pyproject.toml")["project"]["requires-python"]
        workflow = (folder / ".github/workflows/ci.yml").read_text(encoding="utf-8")
        assert list(yaml.safe_load(workflow)["jobs"]) == ["test"]
        assert "python-version: ${{ matrix.python }}" in workflow


@pytest.mark.parametrize("script", ["pre_gen_project.py", "post_gen_project.py"])
def test_hooks_are_python_where_they_stand(template, script):
    source = (template / "hooks" / script).read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(source))
    with pytest.raises(SyntaxError):
        ast.parse(source + "\n{% if cookiecutter.license %}")


def test_every_question_and_every_choice_has_human_wording(template):
    questions = json.loads((template / "cookiecutter.json").read_text(encoding="utf-8"))
    wording = questions["__prompts__"]
    asked = {name: value for name, value in questions.items() if not name.startswith("_")}
    assert wording.keys() == asked.keys()
    for name, value in asked.items():
        if isinstance(value, list):
            assert wording[name].keys() == {"__prompt__", *value}
    said = []
    for words in wording.values():
        said += words.values() if isinstance(words, dict) else [words]
    assert min(len(text.split()) for text in said) > 2 and len(set(said)) == len(said)


@pytest.mark.parametrize(
    "build, platform, machine, expected",
    [
        ("cpu", "linux", "x86_64", "tensorflow-cpu"),
        ("cpu", "win32", "AMD64", "tensorflow-cpu"),
        ("cpu", "linux", "aarch64", "tensorflow"),
        ("cpu", "darwin", "arm64", "tensorflow"),
        ("gpu", "linux", "x86_64", "tensorflow[and-cuda]"),
        ("gpu", "darwin", "arm64", "tensorflow"),
        ("gpu", "win32", "AMD64", "tensorflow"),
    ],
)
def test_each_build_installs_one_tensorflow(template, tmp_path, build, platform, machine, expected):
    project = render(template, tmp_path, tensorflow_build=build)
    declared = read_toml(project / "pyproject.toml")["project"]["dependencies"]
    here = {"sys_platform": platform, "platform_machine": machine}
    chosen = [
        requirement
        for requirement in map(Requirement, declared)
        if requirement.name.startswith("tensorflow")
        and (requirement.marker is None or requirement.marker.evaluate(here))
    ]
    assert [str(requirement).split("<")[0] for requirement in chosen] == [expected]
    assert {str(requirement.specifier) for requirement in chosen} == {"<2.22,>=2.21"}


def test_ruff_finds_nothing_in_a_render(project):
    commands = [["check", "."], ["format", "--check", "."]]
    ruff = [sys.executable, "-m", "ruff"]
    for command in commands:
        done = subprocess.run([*ruff, *command], cwd=project, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    (project / "models" / "untidy.py").write_text("import os\nx = {'a':1}\n", encoding="utf-8")
    assert [subprocess.run([*ruff, *c], cwd=project).returncode for c in commands] == [1, 1]


def test_a_project_is_checked_by_the_rules_of_the_template(template, pristine):
    for folder in (template, pristine):
        about = read_toml(folder / "pyproject.toml")["tool"]["ruff"]
        assert about["line-length"] == 100
        assert about["lint"]["select"] == ["E", "W", "F", "I", "B", "UP"]
        about = read_toml(folder / "pyproject.toml")["tool"]["pytest"]["ini_options"]
        assert "--strict-markers -m 'not campaign'" in about["addopts"]


def by_command(template, output, *options):
    command = [sys.executable, "-m", "cookiecutter", str(template), "--no-input", "-o", output]
    subprocess.run([*command, *options], check=True)


def by_command_without_hooks(template, output):
    by_command(template, output, "--accept-hooks", "no")


def by_git_address(template, output):
    by_command(f"git+{template.as_uri()}", output)


def by_cruft(template, output):
    command = [sys.executable, "-m", "cruft", "create", str(template), "--no-input"]
    subprocess.run([*command, "--output-dir", output], check=True)
    (output / "my_tensorflow_project" / ".cruft.json").unlink()


@pytest.mark.parametrize(
    "road",
    [by_command, by_command_without_hooks, by_git_address, by_cruft],
    ids=lambda f: f.__name__,
)
def test_every_road_leads_to_the_same_project(template, pristine, tmp_path, road):
    road(template, tmp_path)
    assert tree(tmp_path / pristine.name) == tree(pristine)


def test_another_answer_leads_to_another_project(template, pristine, tmp_path):
    assert tree(render(template, tmp_path, tensorflow_build="gpu")) != tree(pristine)
