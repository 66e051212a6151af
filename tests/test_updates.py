"""A project is brought up to date as its docs/updates.md says, and what is its owner's stays."""

import importlib.util
import io
import json
import re
import shlex
import subprocess
import sys
import tarfile

import pytest

from render import CHECKOUT, copy_template, render, tree
from test_documents import blocks
from test_render import read_toml
from test_train import run

LIVE = "{{cookiecutter.project_slug}}"
VERSION = read_toml(CHECKOUT / "pyproject.toml")["project"]["version"]
ADDRESS = "https://github.com/org/tf-template"
ENTER = "\n" * 6  # the default at each question
MADE = "made older here"

INSTALL, CREATE, LINK, ROUTINE, UNDO = (
    block.splitlines() for block in blocks(CHECKOUT / LIVE / "docs" / "updates.md", "sh")
)


def change(path, pattern, new):
    """Replace what matches in a file, which it must do once."""
    text, count = re.subn(pattern, new, path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert count == 1, (path, pattern)
    path.write_text(text, encoding="utf-8", newline="\n")


def make_older(folder):
    """Turn a copy of the template into one as there may have been before."""
    project = folder / LIVE
    (project / "docs" / "updates.md").unlink()
    (project / "docs" / "old.md").write_text("# Gone since\n", encoding="utf-8")
    (folder / "hooks" / "pre_gen_project.py").unlink()
    change(folder / "templates" / "MIT", r"\AMIT License", "The licence of MIT")
    change(project / "README.md", r"^## Install", "An older sentence.\n\n## Install")
    change(project / "pyproject.toml", r"matplotlib>=[\d.]*", "matplotlib>=3.7")
    change(project / "main.py", r"^def main", "# An older comment.\ndef main")
    change(project / "models" / "__init__.py", r"\A(.*)", r"\1\n\nAn older sentence.")
    best = project / "models" / "best" / "LinearRegression.json"
    best.write_text(json.dumps({"older": True}), encoding="utf-8")


def last_tag():
    """The last version that was given out, as far as this checkout knows, or an empty text."""
    describe = ["git", "describe", "--tags", "--abbrev=0"]
    return subprocess.run(describe, cwd=CHECKOUT, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def history(request, tmp_path_factory):
    """A repository with two versions, one tagged `before`, then the present one."""
    folder = tmp_path_factory.mktemp("history") / "tf-template"
    version = getattr(request, "param", MADE)
    if version == MADE:
        make_older(copy_template(folder))
    else:
        archive = ["git", "archive", version]
        done = subprocess.run(archive, cwd=CHECKOUT, check=True, capture_output=True)
        tarfile.open(fileobj=io.BytesIO(done.stdout)).extractall(folder, filter="data")
    git(folder, "init --quiet")
    commit(folder)
    git(folder, "tag before")
    git(folder, "rm -r --quiet .")
    commit(copy_template(folder))
    git(folder, f"tag {VERSION}")
    return folder


def git(folder, arguments):
    someone = "-c user.name=A -c user.email=a@example.org -c commit.gpgSign=false"
    return run(["git", *someone.split(), *arguments.split()], folder)


def commit(folder):
    git(folder, "add --all")
    git(folder, "commit --quiet --allow-empty --message=All")


@pytest.fixture
def shell(history, tmp_path, monkeypatch):
    """Runs a command line of the page in a folder, with the repository under its address."""
    settings = tmp_path / "gitconfig"
    settings.write_text(f'[url "{history.as_uri()}"]\n\tinsteadOf = {ADDRESS}\n', encoding="utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    (tmp_path / "temporary").mkdir()
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(tmp_path / "temporary"))

    def shell(line, folder, input="", status=0):
        command = shlex.split(line)
        if command[0] == "cruft":
            command[:1] = [sys.executable, "-m", "cruft"]
        done = subprocess.run(
            command, cwd=folder, input=input, capture_output=True, encoding="utf-8"
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    return shell


@pytest.fixture
def old(shell, tmp_path):
    """A project of the older version, under git."""
    shell(f"{CREATE[0]} --checkout before", tmp_path, ENTER)
    git(tmp_path / "my_tensorflow_project", "init --quiet")
    commit(tmp_path / "my_tensorflow_project")
    return tmp_path / "my_tensorflow_project"


@pytest.fixture
def now(history, tmp_path):
    """A project of the present version."""
    return render(history, tmp_path / "now")


def edit(project):
    """What an owner does: text, a dependency, a model with its line, a test, data, no notebook."""
    change(project / "README.md", r"\A# .*", "# Our project")
    with open(project / "README.md", "a", encoding="utf-8", newline="\n") as file:
        file.write("\n## Ours\n\nOur text.\n")
    change(project / "pyproject.toml", r"^( *)\"numpy.*\n", r'\g<0>\1"pandas>=2.0",\n')
    change(project / "main.py", r"^import sys\n", "import sys  # ours\n")
    (project / "docs" / "notebook.ipynb").unlink()
    (project / "LICENSE").write_text("Ours alone.\n", encoding="utf-8")
    (project / "models" / "best" / "LinearRegression.json").write_text("{}\n", encoding="utf-8")
    (project / "tests" / "test_ours.py").write_text("# ours\n", encoding="utf-8")
    (project / "data" / "raw" / "table.csv").write_text("a,b\n", encoding="utf-8")
    [model] = blocks(CHECKOUT / LIVE / "README.md", "python")
    (project / "models" / "parabola.py").write_text(model, encoding="utf-8")
    registry = project / "models" / "__init__.py"
    change(
        registry, r"^( *)from models.mnist .*\n", r"\g<0>\1from models.parabola import Parabola\n"
    )
    change(registry, r"in \(LinearRegression, MNIST\)", "in (LinearRegression, MNIST, Parabola)")


def files(folder, *ignored):
    return {
        path: content
        for path, content in tree(folder).items()
        if content is not None and not re.match(r"\.git/|\.cruft\.json$|results/", path)
    }


def train(project, result):
    command = [sys.executable, "main.py", "--model_name=Parabola", "--max_iter=200"]
    assert "absolute_error = " in run([*command, f"--result_dir=results/{result}"], project)


@pytest.mark.parametrize(
    "history", [version for version in (MADE, last_tag()) if version], indirect=True
)
def test_an_update_brings_what_is_new_and_keeps_what_is_the_owners(old, now, shell):
    edit(old)
    commit(old)
    train(old, "first")
    results = tree(old / "results")
    assert files(old) != files(now)
    shell(ROUTINE[2], old)
    edit(now)
    assert files(old) == files(now)
    assert tree(old / "results") == results
    train(old, "second")


def test_each_command_of_the_page_does_what_it_says(old, now, shell, tmp_path):
    """In the order of the page: create, link, check, diff, update, take it back."""
    assert INSTALL == ['pip install "cruft[pyproject]"'] and importlib.util.find_spec("cruft")
    created = tmp_path / "created"
    created.mkdir()
    assert "cd " in shell(CREATE[0], created, ENTER)
    assert files(created / old.name) == files(now)

    assert LINK == [f"{CREATE[0].replace('create', 'link')} --checkout {VERSION}"]
    change(now / "README.md", r"\A# .*", "# Our project")
    shell(LINK[0], now, ENTER + "\n")
    check, diff, update = ROUTINE
    assert re.findall(r"^\+.*", shell(diff, now), re.MULTILINE)[1:] == ["+# My TensorFlow Project"]
    assert "SUCCESS" in shell(check, now)

    assert "FAILURE" in shell(check, old, status=1)
    assert shell(diff, old) == ""
    before = files(old)
    assert "The project is ready" not in shell(update, old)
    new = files(created / old.name)
    left_alone = {"LICENSE", "models/best/LinearRegression.json"}
    assert {path for path, content in files(old).items() if content != new[path]} <= left_alone
    assert files(old).keys() == new.keys()
    assert "+# Updates" in git(old, "diff HEAD")
    for line in UNDO:
        shell(line, old)
    assert files(old) == before


@pytest.mark.parametrize("known", [True, False], ids=["known to git", "edited before git"])
def test_conflicts_are_shown_and_can_be_taken_back(old, shell, known):
    if not known:
        (old / ".git").rename(old.parent / "other")
        git(old, "init --quiet")
    change(old / "pyproject.toml", r"matplotlib>=[\d.]*", "matplotlib>=3.9")
    commit(old)
    before = files(old)
    shell(ROUTINE[2], old)
    text = (old / "pyproject.toml").read_text(encoding="utf-8")
    assert "matplotlib>=3.9" in text and (old / "docs" / "updates.md").exists()
    if known:
        assert "<<<<<<< " in text and "both modified" in git(old, "status")
    else:
        assert "matplotlib>=3.8" in (old / "pyproject.toml.rej").read_text(encoding="utf-8")
    for line in UNDO:
        shell(line, old)
    assert files(old) == before


def test_an_update_wants_everything_committed(old, shell):
    (old / "mine.txt").write_text("mine", encoding="utf-8")
    before = tree(old)
    assert "unclean" in shell(ROUTINE[2], old, status=1)
    assert tree(old) == before


def test_the_version_is_the_same_wherever_it_stands(pristine):
    declared = read_toml(pristine / "pyproject.toml")["tool"]
    assert declared["tf-template"] == {"version": VERSION, "address": ADDRESS}
    changelog = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall("^## (.*)", changelog, re.MULTILINE)[0] == VERSION
    assert CREATE == [f"cruft create {ADDRESS}"]


def test_no_choice_is_ever_removed():
    """`cruft update` of a project that made it would end in a traceback."""
    questions = json.loads((CHECKOUT / "cookiecutter.json").read_text(encoding="utf-8"))
    once = {
        "license": ["MIT", "BSD-3-Clause", "Apache-2.0", "GPL-3.0-or-later", "none"],
        "tensorflow_build": ["cpu", "gpu"],
    }
    for question, choices in once.items():
        assert set(choices) <= set(questions[question])
