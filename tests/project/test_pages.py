"""What the pages in the project's docs/ show is run as it stands there."""

import importlib.util
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from runs import digests, train

import command_line
from hpsearch import fullsearch
from hpsearch.search_settings import search_settings
from models import MODELS, make_model
from serving.inputs import read_inputs
from settings import Setting
from training.files import PROJECT

STEPS = {"ConvNet": 30, "CircleGAN": 300, "Signs": 60}
GUIDE = PROJECT / "docs" / "write-a-model.md"


def python_of(page):
    """The blocks of Python on a page."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


RECIPES = {
    re.search(r"^class (\w+)\(BasicModel\)", block, re.MULTILINE)[1]: block
    for block in python_of(GUIDE)
    if "(BasicModel)" in block
}


@pytest.fixture
def registered(tmp_path, monkeypatch):
    """Write a recipe to a file as its reader does, and put its class into MODELS."""

    def register(name):
        file = tmp_path / "models" / re.search(r"models/(\w+\.py)", RECIPES[name])[1]
        file.parent.mkdir()
        file.write_text(RECIPES[name], encoding="utf-8")
        spec = importlib.util.spec_from_file_location(file.stem, file)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, file.stem, module)
        spec.loader.exec_module(module)
        monkeypatch.setitem(MODELS, name, getattr(module, name))
        if name == "Houses":
            write_houses(tmp_path / "data" / "raw")
        return getattr(module, name)

    return register


def write_houses(folder):
    """A table of 200 houses."""
    random = np.random.default_rng(0)
    area, rooms, age = (
        random.uniform(40, 200, 200),
        random.integers(1, 8, 200),
        random.uniform(0, 90, 200),
    )
    price = 1000 * area + 5000 * rooms - 300 * age
    folder.mkdir(parents=True)
    table = np.stack([area, rooms, age, price], axis=1)
    np.savetxt(
        folder / "houses.csv", table, delimiter=",", header="area,rooms,age,price", comments=""
    )


def test_the_page_holds_the_recipes():
    assert len(RECIPES) == 11


def test_recipes_are_as_ruff_wants_them(tmp_path):
    for name, text in RECIPES.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    ruff, table = [sys.executable, "-m", "ruff"], PROJECT / "pyproject.toml"
    for command in (["check"], ["format", "--check"]):
        line = [*ruff, *command, "--no-cache", "--config", str(table), str(tmp_path)]
        done = subprocess.run(line, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "untidy.py").write_text("import os\n", encoding="utf-8")
    line = [*ruff, "check", "--no-cache", "--config", str(table), str(tmp_path)]
    assert subprocess.run(line, capture_output=True).returncode == 1


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_learns_and_resumes_to_the_same_bits(registered, tmp_path, name):
    model_class = registered(name)
    steps = STEPS.get(name, 150)
    config = {"model_name": name, "random_seed": 1, "jit": "off", "max_iter": steps}
    config |= {"save_every": steps // 2} | (
        {"fake_data": True} if model_class.has_fake_data else {}
    )
    straight, paused, other = (str(tmp_path / folder) for folder in ("straight", "paused", "other"))
    train(config | {"result_dir": straight})
    with make_model({"result_dir": straight}) as model:
        losses = []
        for step in (0, steps):
            model.restore(step)
            losses.append(model.evaluate("valid")["loss"])
        assert losses[1] < 0.9 * losses[0]
        values = model.evaluate("valid")
        assert np.isfinite(list(values.values())).all() and model.objective[0] in values
        few = read_inputs(model, "").arrays
        assert {len(array) for array in model.infer(few).values()} == {10}
    train(config | {"result_dir": paused}, until=steps // 3)
    train({"result_dir": paused})
    train(config | {"result_dir": other, "random_seed": 2}, until=steps // 3)
    right, found = digests(tmp_path / "straight"), digests(tmp_path / "paused")
    assert found.pop(steps // 3) not in digests(tmp_path / "other").values() and found == right


def test_a_model_of_any_depth_is_searched_as_the_page_says(
    registered, shell, tmp_path, monkeypatch
):
    registered("Deep")
    name = Setting("model_name", str, "Deep", "")
    others = tuple(setting for setting in command_line.SHELL if setting.name != name.name)
    monkeypatch.setattr(command_line, "SHELL", (name, *others))
    page = GUIDE.read_text(encoding="utf-8")
    train_it, search_it = re.findall(r"^python main.py (--model_name=Deep .*)$", page, re.M)
    line = [*shlex.split(train_it), "--max_iter=20", "--jit=off"]
    status, _, errors = shell(*line, f"--result_dir={tmp_path / 'run'}")
    assert status == 0, errors
    with make_model({"result_dir": str(tmp_path / "run")}) as model:
        weights = model.weights().items()
        shapes = [array.shape for name, array in weights if name.endswith("/weights")]
        assert shapes == [(2, 64), (64, 64), (64, 16), (16, 1)] and model.config["dropout"] == 0.1
    model_class, given = command_line.parse(["main.py", *shlex.split(search_it)])
    options = {s.name: given.get(s.name, s.default) for s in command_line.SEARCH}
    asked = search_settings(model_class, given, options) | {"sampler": "random"}
    (random_search,) = fullsearch.brackets(model_class, asked, [])
    drawn = list(random_search.trials.values())
    assert len(drawn) == 6 and {n for c in drawn for n in c["hidden"]} <= {8, 16, 32, 64}
    assert {config["dropout"] == 0.2 for config in drawn} == {True, False}
    assert all(config["dropout"] == 0.2 for config in drawn if config["net"] == "plain")


def test_the_example_of_a_test_passes(registered, tmp_path):
    registered("ConvNet")
    (example,) = (block for block in python_of(GUIDE) if "def test_" in block)
    assert "    assert result" in example
    space = {}
    exec(example, space)
    (name,) = (name for name in space if name.startswith("test_"))
    space[name](tmp_path)


def test_the_methods_are_called_one_by_one_as_the_page_says(capsys):
    (script,) = (block for block in python_of(GUIDE) if "model.eager()" in block)
    exec(script, {})
    assert capsys.readouterr().out.startswith("(100, 10) [")


def test_tied_weights_are_one_matrix(registered):
    registered("Autoencoder")
    with make_model({"model_name": "Autoencoder", "fake_data": True, "random_seed": 1}) as model:
        weights = model.weights()
        few = read_inputs(model, "").arrays
        code = model.infer(few)["code"]
        with model.eager() as batch:
            drawn = model.inference(batch, training=False)
    assert {n for n in weights if "Adam" not in n and "power" not in n} == {
        "global_step", "tied/weights", "tied/bias_there", "tied/bias_back"
    }  # fmt: skip
    pixels = few["images"].reshape(-1, 784) / np.float32(255)
    assert np.allclose(code, np.maximum(pixels @ weights["tied/weights"], 0), atol=1e-4)
    right = drawn["code"].numpy() @ weights["tied/weights"].T
    assert np.allclose(drawn["drawn"].numpy(), right, atol=1e-4)


def test_checkpoints_are_read_with_tensorflow_alone_as_the_page_says(tmp_path):
    """In a process that does not see the project; its answers are those of the model."""
    page = PROJECT / "docs" / "checkpoints.md"
    folder = tmp_path / "results" / "digits"
    config = {"model_name": "MNIST", "fake_data": True, "random_seed": 1, "hidden1": 16}
    train(config | {"max_iter": 2000, "result_dir": str(folder), "jit": "off"})
    values, graph, frozen, both = python_of(page)
    for script in (values, graph, both, frozen):
        assert "models" not in re.findall(r"^(?:import|from) (\w+)", script, re.MULTILINE)
    with make_model({"result_dir": str(folder)}) as model:
        images = model.load("valid")["images"][:3]
        expected = []
        for step in (1000, 2000):
            model.restore(step)
            expected.append(model.infer({"images": images}))
        std = model.weights()["hidden1/weights"].std()
    np.save(tmp_path / "images.npy", images)
    zeros, saved = "np.zeros([3, 28, 28], np.uint8)", "np.load('images.npy')"
    assert zeros in graph and zeros in both

    def run(script):
        command = [sys.executable, "-c", script.replace(zeros, saved)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    printed = run(values).splitlines()
    assert "hidden1/weights [784, 16]" in printed and np.float32(printed[-1]) == std
    assert run(graph).split() == str(expected[1]["digit"]).split()
    found = np.array(re.findall(r"0\.\d+|1\.", run(frozen + both)), float).reshape(2, 3)
    for row, right in zip(found, expected, strict=True):
        assert row == pytest.approx(right["probability"], abs=1e-4)
    assert not np.allclose(found[0], found[1], atol=1e-3)
    load = (
        "import numpy as np, tensorflow as tf\nv1 = tf.compat.v1\n"
        "content = open('results/digits/frozen.pb', 'rb').read()\n"
        "with v1.Session(graph=tf.Graph()) as session:\n"
        "    tf.import_graph_def(v1.GraphDef.FromString(content), name='')\n"
        "    feed = {'images:0': np.load('images.npy')}\n"
        "    print(session.run('predictions/digit:0', feed))\n"
    )
    assert run(load).split() == str(expected[1]["digit"]).split()
