"""A trained model takes examples in many forms, answers in some, and is exported."""

import csv
import json

import numpy as np
import pytest

from models import make_model
from serving import comparison

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


def test_an_export_answers_bit_for_bit_as_the_model_does_at_that_step(shell, copy_of_finished):
    status, output, errors = shell("--export", f"--result_dir={copy_of_finished}", "--step=80")
    assert (status, errors) == (0, "") and "Exported step 80" in output
    export = copy_of_finished / "export"
    about = json.loads((export / "model.json").read_text())
    assert about["step"] == 80
    assert about["inputs"] == {
        "points": {"tensor": "points:0", "dtype": "float32", "shape": [None, 2]}
    }
    examples = {"points": np.random.default_rng(0).normal(size=[50, 2]).astype(np.float32)}
    with make_model({"result_dir": str(copy_of_finished)}) as model:
        found = [
            reader(export / name, about, model.config, examples)["label"]
            for name, reader in comparison.READERS.items()
        ]
        for step, is_equal in ((80, True), (40, False)):
            model.restore(step)
            expected = model.infer(examples)["label"]
            assert [np.array_equal(labels, expected) for labels in found] == 2 * [is_equal]
