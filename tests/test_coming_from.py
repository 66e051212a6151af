"""What docs/coming-from-*.md show is run: scripts as they were, and the models that they become."""

import json
import re
import subprocess
import sys

import pytest

from pages import add_model, models_of, write_file
from test_documents import blocks, commands
from test_train import run

MAIN = [sys.executable, "main.py"]
PAGES = ["coming-from-tensorflow-1.md", "coming-from-keras.md"]


@pytest.fixture
def docs(pristine):
    return pristine / "docs"


def scripts(page):
    """{file: text} of the whole scripts on a page, which are no models."""
    found = {}
    for block in blocks(page, "python"):
        name = re.match(r'""".* (?:python )?(\w+\.py)', block)
        if name and "(BasicModel)" not in block:
            found[name[1]] = block
    return found


def accuracy(output, name):
    """What follows a name on the screen."""
    return float(re.search(rf"^{name} ([\d.]+)", output, re.MULTILINE)[1])


def valid_accuracy(output):
    return float(re.search(r"^valid: .*accuracy = ([\d.]+)", output, re.MULTILINE)[1])


def script(project, page, name, *flags):
    write_file(project, scripts(page)[name])
    return run([sys.executable, name, *flags], project)


def test_points_by_feed_dict_and_by_a_model_are_learnt_and_weights_come_along(project, docs):
    page = docs / PAGES[0]
    before, after = scripts(page)["points.py"], models_of(page)["Points"]
    (made,) = re.findall(r"def make_points.*?\n\n", before, re.DOTALL)
    assert made in after  # the same data
    old = accuracy(script(project, page, "points.py"), "valid accuracy")
    add_model(project, "Points", after)
    train = [*MAIN, "--model_name=Points", "--random_seed=1"]
    new = valid_accuracy(run([*train, "--result_dir=run"], project))
    assert old > 0.95 and new > 0.95
    assert valid_accuracy(run([*train, "--result_dir=other", "--lr=1e-9"], project)) < 0.9
    (load,) = (block for block in blocks(page, "python") if "load_checkpoint" in block)
    output = run([sys.executable, "-c", load], project)
    assert float(re.search(r"'accuracy': ([\d.]+)", output)[1]) == pytest.approx(old, abs=1e-6)
    go_on = [*MAIN, "--result_dir=results/from-old"]
    assert run([*go_on, "--infer"], project).count("output = ") == 10
    assert valid_accuracy(run([*go_on, "--max_iter=20"], project)) > 0.95


@pytest.mark.slow
def test_the_tutorials_script_and_mnist_take_the_same_flags_and_reach_the_same(project, docs):
    page = docs / PAGES[0]
    before, after = (line.split() for line in commands(*blocks(page, "sh")))
    assert before[:2] == ["python", "fully_connected_feed.py"]
    old = accuracy(script(project, page, *before[1:]).split("Step 2000")[1], "valid precision")
    new = valid_accuracy(run([sys.executable, *after[1:]], project))
    assert old > 0.85 and new > 0.85  # of made-up digits


@pytest.mark.slow
def test_a_script_of_keras_and_its_layers_in_a_model_reach_the_same(project, docs):
    page = docs / PAGES[1]
    old = accuracy(script(project, page, "digits.py"), ".*test accuracy")
    add_model(project, "Digits", models_of(page)["Digits"])
    lines = commands(*blocks(page, "sh"))
    outputs = [run([sys.executable, *line.split()[1:]], project) for line in lines]
    recorded = json.loads((project / "results" / "keras" / "config.json").read_text())
    assert len(lines) == 4 and recorded["config"]["patience"] == 3  # reached, with some seeds
    new = float(re.search(r"^test at step .*accuracy = ([\d.]+)", outputs[1])[1])
    assert old > 0.85 and new > 0.85
    assert outputs[2].count(": digit = ") == 10 and "saved_model: its outputs" in outputs[3]


def test_the_blocks_of_the_pages_are_as_ruff_wants_them(project, docs):
    for page in PAGES:
        for block in [*scripts(docs / page).values(), *models_of(docs / page).values()]:
            write_file(project, block)
    written = [*project.glob("*.py"), *project.glob("models/*.py")]
    assert {"points.py", "digits.py", "fully_connected_feed.py"} <= {path.name for path in written}
    for command in (["check", "."], ["format", "--check", "."]):
        run([sys.executable, "-m", "ruff", *command], project)


# Says of each expression whether it is an error, and of each name whether a model has it.
ASK = """
import json, sys
import tensorflow as tf
from models import make_model

gone, there, names = json.load(sys.stdin)


def fails(expression):
    try:
        eval(expression)
    except Exception:
        return True
    return False


with make_model({}) as model:
    missing = [name for name in names if not hasattr(model, name)]
print(json.dumps([[e for e in gone if not fails(e)], [e for e in there if fails(e)], missing]))
"""


def rows(text):
    """The cells of the tables below the heading of what is gone."""
    section = text.split("## What TensorFlow 2.21 no longer has")[1]
    lines = [line.strip("| ").split(" | ") for line in section.split("\n") if line[:2] == "| "]
    return [cells for cells in lines if cells[0] != "gone"]


def expressions(cell):
    return [found for found in re.findall(r"`(tf\.[^`]+)`", cell) if "..." not in found]


def test_what_is_said_to_be_gone_is_gone_and_what_is_named_instead_is_there(project, docs):
    texts = [(docs / page).read_text(encoding="utf-8") for page in PAGES]
    cells = [row for text in texts for row in rows(text)]
    gone = [found for first, *_ in cells for found in expressions(first)]
    there = [found for _, *others in cells for cell in others for found in expressions(cell)]
    names = sorted(set(re.findall(r"`self\.(\w+)", "".join(texts))))
    assert len(cells) > 30 and len(gone) > 50 and len(there) > 25 and len(names) > 8
    assert "tf.compat.v1.layers.dense" in gone and "tf.compat.v1.Session" in there

    def ask(*lists):
        done = subprocess.run(
            [sys.executable, "-c", ASK],
            cwd=project,
            input=json.dumps(lists),
            capture_output=True,
            text=True,
        )
        return json.loads(done.stdout.splitlines()[-1])

    wrong = ["tf.zeros"], ["tf.contrib"], ["nothing"]
    asked = [right + more for right, more in zip((gone, there, names), wrong, strict=True)]
    assert ask(*asked) == list(wrong)


@pytest.mark.parametrize("page", PAGES)
def test_the_flags_that_a_page_names_are_there(project, docs, page):
    text = (docs / page).read_text(encoding="utf-8")
    text = re.sub(r"```python\n.*?```", "", text, flags=re.DOTALL)
    named = set(re.findall(r"--(\w+)", text))
    old = {"learning_rate", "max_steps", "train_dir"} & named
    listed = run([*MAIN, "--model_name=MNIST", "--help"], project)
    missing = {flag for flag in named if not re.search(rf"^  --{flag}\b", listed, re.MULTILINE)}
    assert len(named) > 12 and missing == old


def test_links_to_a_section_of_a_page_lead_to_its_heading(docs):
    def anchors(page):
        headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    found = 0
    for page in docs.glob("*.md"):
        links = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text(encoding="utf-8"))
        for file, anchor in links:
            assert anchor in anchors(docs / file if file else page), (page.name, anchor)
        found += len(links)
    assert found > 6 and "no-such-heading" not in anchors(docs / "write-a-model.md")
