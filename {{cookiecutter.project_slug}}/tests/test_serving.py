"""A trained model takes examples in many forms, answers in some, and is exported."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from models import make_model

POINTS = [[0.5, -0.25], [-1.0, 0.125]]


@pytest.fixture
def trained(finished):
    with make_model({"result_dir": str(finished[0])}) as model:
        yield model


def infer(shell, folder, *flags):
    status, output, errors = shell("--infer", f"--result_dir={folder}", *flags)
    assert status == 0, errors
    return output


def test_the_same_examples_in_any_form_get_the_same_answers(shell, finished, tmp_path):
    files = {
        "x.csv": "0.5,-0.25\n-1,0.125\n",
        "header.csv": "points_1,points_0,name\n-0.25,0.5,a\n0.125,-1,b\n",
        "x.json": json.dumps(POINTS),
        "objects.json": json.dumps([{"points": point} for point in POINTS]),
        "lists.json": json.dumps({"points": POINTS}),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    np.save(tmp_path / "x.npy", np.float32(POINTS))
    (tmp_path / "other.csv").write_text("0.5,0.75\n-1,0.125\n")
    answers = {
        form: json.loads(infer(shell, finished[0], f"--input={form}", "--format=json"))
        for form in ["0.5,-0.25,-1,0.125", *(str(path) for path in sorted(tmp_path.iterdir()))]
    }
    other = answers.pop(str(tmp_path / "other.csv"))
    assert len(answers) == 7 and len({json.dumps(answer) for answer in answers.values()}) == 1
    assert other not in answers.values()


def test_answers_are_read_back_as_they_were_given(shell, finished, trained, tmp_path):
    expected = trained.infer({"points": np.float32(POINTS)})["label"]
    flags = ["--input=0.5,-0.25,-1,0.125"]
    for name in ("y.json", "y.csv", "y.npy", "y.txt"):
        output = infer(shell, finished[0], *flags, f"--output={tmp_path / name}")
        assert output.endswith(f"Written to {tmp_path / name}: label int64 [2]\n")
    found = [row["label"] for row in json.loads((tmp_path / "y.json").read_text())]
    with open(tmp_path / "y.csv", newline="") as file:
        rows = [int(row["label"]) for row in csv.DictReader(file)]
    assert found == rows == np.load(tmp_path / "y.npy")["label"].tolist() == expected.tolist()
    lines = (tmp_path / "y.txt").read_text().splitlines()
    assert lines == [f"example {i}: label = {label}" for i, label in enumerate(expected)]


# What a program that does not know this project does with an export.
READER = """
import json, sys
import numpy as np, tensorflow as tf
folder, examples, answers = sys.argv[1:]
about = json.load(open(folder + "/model.json"))
inputs = dict(np.load(examples))
infer = tf.saved_model.load(folder + "/saved_model").signatures["serving_default"]
found = {"saved_model": {n: v.numpy() for n, v in infer(**{
    n: tf.constant(v) for n, v in inputs.items()}).items()}}
definition = tf.compat.v1.GraphDef()
definition.ParseFromString(open(folder + "/model.pb", "rb").read())
with tf.Graph().as_default() as graph:
    tf.import_graph_def(definition, name="")
config = tf.compat.v1.ConfigProto()
config.graph_options.rewrite_options.remapping = 2
with tf.compat.v1.Session(graph=graph, config=config) as session:
    found["model.pb"] = session.run(
        {n: about["outputs"][n]["tensor"] for n in about["outputs"]},
        {about["inputs"][n]["tensor"]: v for n, v in inputs.items()})
np.savez(answers, **{f"{file} {n}": v for file in found for n, v in found[file].items()})
"""


def test_an_export_answers_bit_for_bit_without_the_projects_code(shell, copy_of_finished, tmp_path):
    status, output, errors = shell("--export", f"--result_dir={copy_of_finished}", "--step=80")
    assert (status, errors) == (0, "") and "Exported step 80" in output
    export = copy_of_finished / "export"
    points = np.random.default_rng(0).normal(size=[50, 2]).astype(np.float32)
    np.savez(tmp_path / "x.npz", points=points)
    command = [sys.executable, "-c", READER, export, tmp_path / "x.npz", tmp_path / "y.npz"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    with make_model({"result_dir": str(copy_of_finished)}) as model:
        model.restore(80)
        expected = model.infer({"points": points})["label"]
        model.restore(40)
        assert not np.array_equal(model.infer({"points": points})["label"], expected)
    with np.load(tmp_path / "y.npz") as found:
        assert set(found) == {"saved_model label", "model.pb label"}
        assert all(np.array_equal(found[name], expected) for name in found)
    about = json.loads((export / "model.json").read_text())
    assert about["inputs"] == {
        "points": {"tensor": "points:0", "dtype": "float32", "shape": [None, 2]}
    }
    assert about["step"] == 80 and set(about["differences"]) == {"model.pb", "saved_model"}
