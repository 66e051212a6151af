"""Hooks: nothing of a user's is overwritten, on any Python and with any cookiecutter."""

import ast
import os
import shutil
import subprocess
import sys

import pytest
from cookiecutter.generate import generate_context
from cookiecutter.utils import create_env_with_context

from render import CHECKOUT, as_typed, render, tree
from test_render import FILES

HOOKS = ["pre_gen_project.py", "post_gen_project.py"]

# What hooks may use of the standard library: Python 3.7 has it all. With sys.stdlib_module_names,
# for example, which came with 3.10, the hook failed on older ones.
IN_PYTHON_3_7 = (
    "json.dumps json.loads os.environ os.getcwd os.listdir os.name re.findall re.fullmatch"
    " re.search shlex.quote sys.exit sys.stdout tempfile.gettempdir"
).split()


def by_command(template, folder, *options):
    command = [sys.executable, "-m", "cookiecutter", str(template), "--no-input", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("options", [["-f", "-s"], ["-f"], []], ids=" ".join)
def test_an_edited_project_is_left_as_it_is(template, tmp_path, options):
    project = render(template, tmp_path, project_slug="mine")
    (project / "main.py").write_text("mine", encoding="utf-8")
    (project / "results" / "precious").write_text("a result", encoding="utf-8")
    before = tree(project)
    done = by_command(template, tmp_path, "project_slug=mine", *options)
    assert done.returncode == 1 and tree(project) == before
    if options:
        sentence = done.stderr.splitlines()[0]
        assert sentence.startswith("The folder ") and " already holds .github, and " in sentence
        assert 'run "cruft update" in it (its docs/updates.md says how).' in sentence


@pytest.mark.parametrize("name", ["README.md", ".github", "notes.txt", ".gitignore", "data"])
def test_a_folder_that_holds_a_file_is_refused_and_kept(template, tmp_path, name):
    folder = tmp_path / "mine"
    (folder / name).mkdir(parents=True)
    done = by_command(template, tmp_path, "-f", "project_slug=mine")
    assert done.returncode == 1 and f"already holds {name}, " in done.stderr.splitlines()[0]
    assert list(tree(tmp_path)) == ["mine", f"mine/{name}"]


def test_no_file_of_a_project_has_a_name_that_may_lie_there_before():
    hook = {"__name__": "hook"}
    exec(rendered(HOOKS[0]), hook)
    assert hook["HARMLESS"].isdisjoint(name.split("/")[0] for name in FILES.split())


def test_a_fresh_clone_or_environment_becomes_a_project(template, tmp_path):
    """Of what may lie in the folder before, the template has no file."""
    folder = tmp_path / "mine"
    harmless = [".git", ".venv", ".idea", ".vscode", ".DS_Store"]
    for name in harmless:
        (folder / name).mkdir(parents=True)
        (folder / name / "config").write_text("mine", encoding="utf-8")
    before = tree(folder)
    assert by_command(template, tmp_path, "-f", "project_slug=mine").returncode == 0
    after = tree(folder)
    assert {path: after[path] for path in before} == before
    assert {path: after[path] for path in after if path not in before} == tree(
        render(template, tmp_path / "new", project_slug="mine")
    )


def test_a_refused_slug_does_not_remove_a_folder_of_the_name_that_is_advised(template, tmp_path):
    (tmp_path / "a_b").mkdir()
    (tmp_path / "a_b" / "precious").write_text("mine", encoding="utf-8")
    before = tree(tmp_path)
    done = by_command(template, tmp_path, "-f", "project_slug=a/b")
    assert done.returncode == 1 and "Type for example a_b." in done.stderr
    assert tree(tmp_path) == before


@pytest.mark.skipif(os.name == "nt", reason="for a POSIX shell")
@pytest.mark.parametrize("output", ["| true", ">&-"])
def test_a_project_stays_when_nobody_can_read_its_next_steps(template, tmp_path, output):
    """cookiecutter deletes a project whose hook fails."""
    line = f'"$0" -m cookiecutter "$1" --no-input project_slug=mine {output}'
    # Buffered as in a terminal, so that Python writes what is left when it ends.
    environment = {name: os.environ[name] for name in os.environ if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}", sys.executable, str(template)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert tree(tmp_path / "mine") == tree(render(template, tmp_path / "new", project_slug="mine"))


def rendered(hook, **typed):
    answers = as_typed(generate_context(str(CHECKOUT / "cookiecutter.json")), **typed)
    source = (CHECKOUT / "hooks" / hook).read_text(encoding="utf-8")
    template = create_env_with_context({"cookiecutter": answers}).from_string(source)
    return template.render(cookiecutter=answers)


@pytest.mark.parametrize("hook", HOOKS)
def test_hooks_are_written_in_the_python_that_the_oldest_cookiecutter_runs_on(hook):
    oldest = (3, 7)
    parsed = ast.parse(rendered(hook), feature_version=oldest)
    modules = {
        name.name for node in parsed.body if isinstance(node, ast.Import) for name in node.names
    }
    assert modules <= {name.split(".")[0] for name in IN_PYTHON_3_7}
    used = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(parsed)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in modules
    }
    assert {"json.loads", "shlex.quote"} <= used <= set(IN_PYTHON_3_7)
    with pytest.raises(SyntaxError):
        ast.parse("(newer := 1)", feature_version=oldest)


def run_hook(python, hook, folder, version="2.6.0", temporary="path", **typed):
    """Run a hook as cookiecutter of a version does, with a Python that need not have it."""
    (folder / "path" / "cookiecutter").mkdir(parents=True, exist_ok=True)
    package = folder / "path" / "cookiecutter" / "__init__.py"
    package.write_text(f"__version__ = {version!r}\n", encoding="utf-8")
    script = folder / hook
    script.write_text(rendered(hook, **typed), encoding="utf-8")
    (folder / "project").mkdir(exist_ok=True)
    return subprocess.run(
        [python, str(script)],
        cwd=folder / "project",
        env=os.environ | {"PYTHONPATH": str(folder / "path"), "TMPDIR": str(folder / temporary)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("minor", range(7, 15))
def test_hooks_run_on_each_python_that_is_here(tmp_path, minor):
    python = shutil.which(f"python3.{minor}")
    if python is None or subprocess.run([python, "-c", ""], capture_output=True).returncode:
        pytest.skip(f"there is no Python 3.{minor} here")
    assert run_hook(python, HOOKS[0], tmp_path).returncode == 0
    refused = run_hook(python, HOOKS[0], tmp_path, project_slug="click")
    assert refused.returncode == 1 and len(refused.stderr.splitlines()) == 1
    assert "The project is ready" in run_hook(python, HOOKS[1], tmp_path).stdout


@pytest.mark.skipif(os.name == "nt", reason="Windows lets few users make links")
def test_a_temporary_folder_is_known_by_a_link_too_as_macos_has_it(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    assert run_hook(sys.executable, HOOKS[1], tmp_path, temporary="link").stdout == ""
    assert "The project is ready" in run_hook(sys.executable, HOOKS[1], tmp_path).stdout


@pytest.mark.parametrize(
    "version, accepted",
    [
        ("1.7.3", False),
        ("2.1.1", False),
        ("2.1.2.dev0", True),  # so version 2.2.0 calls itself
        ("2.2.3", True),
        ("2.7.1", True),
        ("2.10.0", True),
        ("2.8rc1", True),
        ("3.0.0", True),
    ],
)
def test_a_cookiecutter_that_is_too_old_is_refused_with_what_to_install(
    tmp_path, version, accepted
):
    done = run_hook(sys.executable, HOOKS[0], tmp_path, version)
    assert (done.returncode == 0) == accepted
    if not accepted:
        assert done.stderr.startswith(f"cookiecutter {version} ")
        advice = 'pip install "cookiecutter>=2.2"\n'
        assert done.stderr.endswith(advice)
        assert f"```sh\n{advice}" in (CHECKOUT / "README.md").read_text(encoding="utf-8")
