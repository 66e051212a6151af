"""What the READMEs say is true: every command in them runs, every local link exists."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from render import CHECKOUT
from test_render import read_toml
from test_train import clean_environment, run


def blocks(file, language):
    """The fenced blocks of one language in a Markdown file."""
    text = Path(file).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(*shell_blocks):
    """The command lines of blocks, without their comments."""
    lines = (
        shlex.join(shlex.split(line, comments=True)) for line in "".join(shell_blocks).split("\n")
    )
    return [line for line in lines if line]


def test_the_steps_that_are_printed_are_those_of_the_readmes(template, tmp_path):
    command = [sys.executable, "-m", "cookiecutter", str(template), "--no-input"]
    printed = run(command, tmp_path)
    cd, *steps = [line.strip() for line in printed.splitlines() if line.startswith("    ")]
    folder = str(tmp_path / "my_tensorflow_project")
    assert cd == (f'cd "{folder}"' if os.name == "nt" else f"cd {shlex.quote(folder)}")
    readme = commands(*blocks(CHECKOUT / "README.md", "sh"))
    if os.name != "nt":
        assert commands("\n".join(steps)) == readme[2 : 2 + len(steps)]
        assert len(steps) == 9
    said = [line for line in printed.splitlines() if line and not line.startswith("    ")]
    assert said == [
        "The project is ready. Next:",
        "With uv, which makes the environment itself: uv run python main.py, uv run pytest.",
        (
            "A run records the commit that it started from, and the changes since. "
            "For that the project needs a"
        ),
        "repository of its own: inside another one, a run would record a commit of the other one.",
        "See README.md for more.",
    ]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="for a POSIX shell; on Windows other steps are printed")
def test_a_new_user_who_types_what_the_readmes_say_gets_there(template, tmp_path):
    get, use, record, work = blocks(CHECKOUT / "README.md", "sh")
    assert commands(work) == ["make demo", "make test"]  # one has its own test, one runs this
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "cutter")], check=True)
    url = f"git+file://{shlex.quote(str(template))}"
    answers = "yes '' | "  # Enter at every question: the defaults
    script = [
        "source cutter/bin/activate",
        *commands(get),
        "deactivate",
        "cd my_tensorflow_project",
    ]
    script = [line.replace("gh:org/tf-template", url) for line in script]
    script = [answers + line if line.startswith("cookiecutter") else line for line in script]
    source = template / "{{cookiecutter.project_slug}}"
    install, _, again, *usage = blocks(source / "README.md", "sh")  # uv has a test of its own
    assert commands(use)[:3] == commands(install) and commands(again) == commands(record)
    for page in ("runs.md", "search.md"):
        usage += blocks(source / "docs" / page, "sh")
    script += commands(use, record, *usage)
    for i, line in enumerate(script):
        line = line.replace("python3 ", f"{shlex.quote(sys.executable)} ")
        real = line.startswith("python main.py --model_name=MNIST")
        real = real and (line.endswith("MNIST") or "--search" in line)
        if real and not os.environ.get("MNIST_MIRROR"):
            line += " --fake_data"
        if line.endswith("--board"):  # it serves until it is stopped
            line = f"{line} --port=0 & sleep 15; kill $!; wait $! || true"
        script[i] = line
    # `yes` ends with an error when nobody reads on, so that pipefail is off.
    who = {"NAME": "A", "EMAIL": "a@example.org"}
    who = {f"GIT_{role}_{key}": who[key] for role in ("AUTHOR", "COMMITTER") for key in who}
    environment = clean_environment() | who
    output = run(["bash", "-eux"], tmp_path, input="\n".join(script), env=environment)
    print(output)
    project = tmp_path / "my_tensorflow_project"
    assert output.count("Fitted y = ") == 3
    assert "Nothing is clearly better than what the search began with: loss = " in output
    assert "models/best/LinearRegression.json has the winner" in output
    assert re.search(r"\d+ passed", output) and "All checks passed!" in output
    assert "TensorBoard" in output and "Resuming results/digits at step 2000" in output
    assert len(list((project / "results" / "MNIST").iterdir())) == 3  # one is the branch
    config = json.loads((project / "results" / "digits" / "config.json").read_text())
    head = run(["git", "rev-parse", "HEAD"], project).strip()
    assert config["environment"]["git"] == {"commit": head, "diff": ""}


def test_the_python_of_the_page_on_runs_trains(project):
    [script] = blocks(project / "docs" / "runs.md", "python")
    output = run([sys.executable, "-c", script], project)
    accuracy, folder = output.splitlines()[-1].split()
    assert float(accuracy) > 0.5 and (project / folder / "status.json").exists()


def test_the_readmes_model_is_one_file_two_edits_and_works_in_everything(project):
    [model] = blocks(project / "README.md", "python")
    (project / "models" / "parabola.py").write_text(model, encoding="utf-8")
    registry = project / "models" / "__init__.py"
    text = registry.read_text(encoding="utf-8")
    text = text.replace("(LinearRegression, MNIST)", "(LinearRegression, MNIST, Parabola)")
    text = re.sub(
        r"( *)from models.mnist import MNIST\n",
        r"\g<0>\1from models.parabola import Parabola\n",
        text,
    )
    assert "Parabola)" in text and "import Parabola" in text
    registry.write_text(text, encoding="utf-8")
    main = [sys.executable, "main.py"]
    output = run([*main, "--model_name=Parabola", "--result_dir=run"], project)
    assert float(re.search(r"test: loss = (\S+),", output)[1]) < 1e-6
    assert "--lr=0.5" in run([*main, "--model_name=Parabola", "--help"], project)
    assert run([*main, "--infer", "--result_dir=run"], project).count("output = ") == 10
    tests = ["tests/test_every_model.py", "-k", "Parabola", "-n0"]
    assert "9 passed" in run([sys.executable, "-m", "pytest", *tests], project)


@pytest.mark.slow
def test_the_shipped_tests_follow_an_owner_who_replaces_the_examples(project):
    """As docs/write-a-model.md says; the owner also adds a hyper-parameter and changes defaults."""
    [model] = blocks(project / "README.md", "python")
    model = model.replace(
        "    hyperparameters = optimization(lr=0.5, batch_size=50, decay_steps=1000)\n",
        "    hyperparameters = (\n"
        "        *optimization(lr=0.1, batch_size=40, decay_steps=500, optimizer='adam'),\n"
        "        Setting('stddev', float, 0.5, 'of the first weight', 0.0, 10.0),\n"
        "        Setting('extra', bool, False, 'of no influence'),\n"
        "    )\n    max_iter = 300\n",
    ).replace("import optimization", "import Setting, optimization")
    assert "'stddev'" in model
    model = model.replace("stddev=1.0", "stddev=self.config['stddev']")
    (project / "models" / "parabola.py").write_text(model, encoding="utf-8")
    for path in ("models/mnist.py", "models/linear_regression.py"):
        (project / path).unlink()
    shutil.rmtree(project / "models" / "best")
    registry = project / "models" / "__init__.py"
    text = registry.read_text(encoding="utf-8").replace("(LinearRegression, MNIST)", "(Parabola,)")
    text = re.sub(r" *from models.linear_regression import .*\n", "", text)
    text = text.replace("models.mnist import MNIST", "models.parabola import Parabola")
    assert "MNIST" not in text.split('"""')[2] and "Parabola,)" in text
    registry.write_text(text, encoding="utf-8")
    settings = project / "settings.py"
    text = settings.read_text(encoding="utf-8")
    for name, old, new in [
        ("save_every", 1000, 30), ("eval_every", 1000, 500), ("log_every", 100, 50),
        ("max_to_keep", None, 3),
    ]:  # fmt: skip
        assert f'"{name}", int, {old}' in text
        text = text.replace(f'"{name}", int, {old}', f'"{name}", int, {new}')
    settings.write_text(text, encoding="utf-8")
    shutil.rmtree(project / "data")
    output = run([sys.executable, "-m", "pytest", "-ra"], project)
    assert re.search(r"\d+ passed", output) and "failed" not in output
    run([sys.executable, "main.py"], project)


@pytest.mark.skipif(os.name == "nt", reason="for a POSIX shell")
def test_the_scripts_for_clusters_are_shell_and_their_flags_are_there(project):
    scripts = blocks(CHECKOUT / "docs" / "cluster.md", "sh")
    assert len(scripts) == 3
    listed = run([sys.executable, "main.py", "--model_name=MNIST", "--help"], project)
    for script in scripts:
        run(["bash", "-n"], project, input=script)
        flags = re.findall(r"--(\w+)", script.split("main.py")[1])
        assert flags and all(f"  --{flag}" in listed for flag in flags), flags


DOCUMENTS = ["*.md", "docs/*.md", "benchmarks/*.md"]


@pytest.mark.parametrize(
    "file", [f for pattern in DOCUMENTS for f in CHECKOUT.glob(pattern)], ids=lambda f: f.name
)
def test_links_within_the_repository_lead_somewhere(file):
    for link in re.findall(r"\]\(([^)#]+)\)", file.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (file.parent / link).exists(), link


def test_links_within_the_project_lead_somewhere(pristine):
    for file in (pristine / "README.md", *(pristine / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)\)", file.read_text(encoding="utf-8")):
            assert "://" in link or (file.parent / link).exists(), link


def test_each_dependency_and_no_other_has_its_reason(pristine):
    def names(lines):
        return {Requirement(line).name.replace("tensorflow-cpu", "tensorflow") for line in lines}

    text = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for whose, folder in [("a project", pristine), ("the template", CHECKOUT)]:
        table = read_toml(folder / "pyproject.toml")["project"]
        declared = [table["dependencies"], *table.get("optional-dependencies", {}).values()]
        rows = text.split(f"| of {whose} | why |\n|---|---|\n")[1].split("\n\n")[0].splitlines()
        reasons = [name for row in rows for name in row.split("|")[1].strip().split(", ")]
        assert sorted(reasons) == sorted(names(sum(declared, [])))


@pytest.mark.parametrize("folder", ["training", "hpsearch", "reports"])
def test_the_layout_lists_every_file_with_its_line(pristine, folder):
    layout = (pristine / "docs" / "layout.md").read_text(encoding="utf-8").split("```")[1]
    lines = re.search(rf"^{folder}/\n((?:    .*\n)+)", layout, re.MULTILINE)[1]
    listed = re.findall(r"^    (\w+\.py) +\w.*$", lines, re.MULTILINE)
    there = {path.name for path in (pristine / folder).glob("*.py")} - {"__init__.py"}
    assert sorted(listed) == sorted(there)
