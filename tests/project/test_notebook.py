"""The project in Jupyter: docs/notebook.ipynb in a real kernel, and what else people try there."""

import os
import re
import shutil
import signal
import threading
import time

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

from training.files import PROJECT

START = """
import sys
sys.path.insert(0, "..")
from models import make_model
MNIST = {"model_name": "MNIST", "fake_data": True, "hidden1": 8, "jit": "off", "random_seed": 1}
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the project, in whose docs/ the kernels run: their runs go to its results/."""
    folder = tmp_path_factory.mktemp("notebook") / "project"
    left_out = shutil.ignore_patterns(".*", "results", "mnist", "__pycache__", "tests")
    shutil.copytree(PROJECT, folder, ignore=left_out)
    return folder


def executed(notebook, folder, meanwhile=None):
    """Run all cells in a kernel of its own; returns the notebook with their outputs.

    meanwhile: called with the client in a thread, while the cells run.
    """
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=False,
                            resources={"metadata": {"path": str(folder / "docs")}})  # fmt: skip
    if meanwhile:
        threading.Thread(target=meanwhile, args=[client], daemon=True).start()
    client.execute()
    return notebook


def notebook_of(*cells):
    return new_notebook(cells=[new_code_cell(text) for text in (START, *cells)])


def output_of(cell):
    """What a cell has printed, shown and returned, as one text."""
    text = ""
    for output in cell.outputs:
        if "text" in output:
            text += output["text"]  # a line that was printed may come in two parts
        else:
            data = output.get("data", {})
            text += "\n" if text and not text.endswith("\n") else ""
            text += data.get("text/html") or data.get("text/plain", "")
    return text


def test_the_notebook_runs_from_top_to_bottom(copy):
    notebook = nbformat.read(PROJECT / "docs" / "notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # it is stored without
    cells = [c for c in executed(notebook, copy).cells if c.cell_type == "code"]
    printed = [output_of(cell) for cell in cells]
    assert '<progress value="1000" max="1000"' in printed[1] and "Step 100: loss" not in printed[1]
    assert float(re.search(r"'accuracy': ([\d.]+)", printed[1])[1]) > 0.5
    assert printed[2].endswith("1500") and '<progress value="1500" max="1500"' in printed[2]
    assert "digit" in printed[3] and "1500" in printed[4] and "hidden1/weights:0" in printed[4]
    y, at_2 = (
        re.search(r"y = (\S+) x \+ (\S+)\n", printed[5]),
        re.search(r"at 2: (\S+)", printed[5]),
    )
    assert 2 * float(y[1]) + float(y[2]) == pytest.approx(float(at_2[1]), abs=1e-4)
    assert re.search(r"\(100, 10\) [\d.]+", printed[6])
    assert not [o for c in cells for o in c.outputs if o.get("name") == "stderr"]


def test_after_an_exception_the_same_model_goes_on(copy):
    notebook = executed(
        notebook_of(
            "model = make_model(MNIST | {'max_iter': 200, 'log_every': 50})",
            "learn = model.learn_from_epoch\n"
            "def fail(stop):\n    raise RuntimeError('of my own')\n"
            "model.learn_from_epoch = fail\n"
            "try:\n    model.train()\nexcept RuntimeError as error:\n    print(error)",
            "model.learn_from_epoch = learn\nresult = model.train()",
            "first = model.weights()\nother = make_model(MNIST | {'max_iter': 200})\n"
            "other.train()\nsame = [(first[n] == a).all() for n, a in other.weights().items()]\n"
            "third = make_model(MNIST | {'random_seed': 2, 'max_iter': 200})\nthird.train()\n"
            "differ = [(first[n] == a).all() for n, a in third.weights().items()]\n"
            "print(result['status'], all(same), all(differ))",
        ),
        copy,
    )
    assert output_of(notebook.cells[2]).endswith("of my own\n")
    assert output_of(notebook.cells[4]).endswith("complete True False\n")


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send this signal to one process")
def test_interrupting_a_cell_saves_the_run_and_train_goes_on(copy):
    def interrupt(client):
        results = copy / "results" / "MNIST"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for path in results.glob("*/checkpoints/checkpoints.jsonl"):
                if str(path) not in before and path.read_bytes().count(b"\n") > 1:
                    os.kill(client.km.provisioner.pid, signal.SIGINT)
                    return
            time.sleep(0.05)

    before = {str(p) for p in (copy / "results").glob("MNIST/*/checkpoints/checkpoints.jsonl")}
    notebook = executed(
        notebook_of(
            "model = make_model(MNIST | {'max_iter': 10**8, 'save_every': 500})",
            "result = model.train()",
            "stopped = result['step']\nmodel.config['max_iter'] = stopped + 100\n"
            "again = model.train()\n"
            "print(result['status'], result['signal'], again['status'], again['step'] - stopped)",
        ),
        copy,
        interrupt,
    )
    assert output_of(notebook.cells[3]).endswith("interrupted 2 complete 100\n")


def test_within_a_model_its_graph_and_session_are_the_default_ones(copy):
    notebook = executed(
        notebook_of(
            "import tensorflow as tf\nouter, inner = make_model({}), make_model(MNIST)\n"
            "print(tf.executing_eagerly())",
            "with outer:\n    assert tf.compat.v1.get_default_session() is outer.session\n"
            "    with inner:\n        assert tf.compat.v1.get_default_graph() is inner.graph\n"
            "        assert inner.variables[0].eval().shape == (784, 8)\n"
            "    assert tf.compat.v1.get_default_session() is outer.session\n"
            "    with outer.eager() as batch:\n        assert tf.executing_eagerly()\n"
            "        print(outer.inference(batch, training=True).shape)\n"
            "    assert not tf.executing_eagerly() and outer.variables[0].eval().shape == ()\n",
            "third, fourth = make_model({}), make_model({})\n"
            "with third:\n    try:\n        with third:\n            pass\n"
            "    except ValueError as error:\n        print(error)\n"
            "    with fourth:\n        try:\n            with third.eager():\n"
            "                pass\n        except ValueError as error:\n"
            "            print(error)",
            "print(tf.compat.v1.get_default_session(), tf.executing_eagerly())",
        ),
        copy,
    )
    assert output_of(notebook.cells[1]) == "True\n"
    assert output_of(notebook.cells[2]).endswith("(100,)\n")
    assert output_of(notebook.cells[3]).splitlines()[0] == (
        "a model's block is within another block of the same model"
    )
    assert "leave the block of the other model or graph first" in output_of(notebook.cells[3])
    assert output_of(notebook.cells[4]) == "None True\n"


def test_a_cell_that_fails_is_seen_here(copy):
    with pytest.raises(CellExecutionError, match="--lrr is not a setting of LinearRegression"):
        executed(notebook_of("make_model({'lrr': 1})"), copy)
