"""Models that the project does not hold, added as docs/write-a-model.md says, do what others do."""

import contextlib
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from pages import add_model, edit, models_of, write_file
from test_documents import blocks
from test_train import run

MAIN = [sys.executable, "main.py"]
RUFF = [sys.executable, "-m", "ruff"]
PYTEST = [sys.executable, "-m", "pytest"]
# {model: (flags, --input, what --infer prints for it, inputs and outputs of its export)}
MODELS = {
    "ConvNet": (
        ["--fake_data", "--max_iter=100"],
        "docs/three.jpg",
        lambda text: "digit = 3" in text,
        {"images": ("uint8", [None, 28, 28]), "digit": ("int64", [None])},
    ),
    "Houses": (
        ["--max_iter=1000"],
        "120,4,30",
        lambda text: abs(number(text, "price") - 131_000) < 20_000,
        {"features": ("float32", [None, 3]), "price": ("float32", [None])},
    ),
    "Normalised": (
        ["--max_iter=300"],
        "0,0",
        lambda text: number(text, "output") > 0,  # in the middle of the circle
        {"points": ("float32", [None, 2]), "output": ("float32", [None])},
    ),
    "Signs": (
        ["--max_iter=300"],
        "0,1,2,3,4,0,1,2",
        lambda text: "next = 3" in text,
        {"signs": ("uint8", [None, 8]), "next": ("int64", [None])},
    ),
    "WideDeep": (
        ["--max_iter=300"],
        "0.5,0.5,0.5,0.5",
        lambda text: abs(number(text, "output") - 2.25) < 0.3,
        {"x": ("float32", [None, 4]), "output": ("float32", [None])},
    ),
}


def number(text, name):
    return float(re.search(rf"{name} = ([^\s,]+)", text)[1])


def write_houses(folder):
    """A table of 200 houses: 1000 for a square metre, 5000 for a room, 300 less for a year."""
    random = np.random.default_rng(0)
    area, rooms, age = (random.uniform(*span, 200).round() for span in ((40, 200), (1, 8), (0, 90)))
    table = np.stack([area, rooms, age, 1000 * area + 5000 * rooms - 300 * age], axis=1)
    header = {"header": "area,rooms,age,price", "comments": ""}
    np.savetxt(folder / "houses.csv", table, "%d", ",", **header)


@pytest.fixture(scope="module")
def page(pristine):
    return pristine / "docs" / "write-a-model.md"


@pytest.fixture(scope="module")
def followed(pristine, page, tmp_path_factory):
    """A project to which the models are added; each test has a folder of its own in it."""
    project = tmp_path_factory.mktemp("followed") / pristine.name
    shutil.copytree(pristine, project)
    blocks_of = models_of(page)
    for name in MODELS:
        add_model(project, name, blocks_of[name])
    write_houses(project / "data" / "raw")
    run([*RUFF, "format", "."], project)
    run([*RUFF, "check", "--fix", "."], project)
    return project


def recorded(folder, name="checkpoints/checkpoints.jsonl"):
    lines = (folder / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def digests(folder):
    return {record["step"]: record["weights_sha256"] for record in recorded(folder)}


def metrics(folder):
    """All records but for times."""
    return [
        {name: value for name, value in record.items() if name != "examples_per_second"}
        for record in recorded(folder, "metrics.jsonl")
    ]


def status(folder):
    return json.loads((folder / "status.json").read_text(encoding="utf-8"))["status"]


def kill_in_the_middle(command, project, folder):
    """Start a run and kill it when a checkpoint after the first one is there."""
    for _ in range(5):  # on a busy machine it may end first
        process = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL)
        while process.poll() is None:
            with contextlib.suppress(OSError, ValueError):  # not yet there, or half a line
                if len(recorded(folder)) > 1:
                    break
            time.sleep(0.002)
        process.kill()
        process.wait()
        if status(folder) == "running":
            return
        shutil.rmtree(folder)
    raise AssertionError("each run ended before it was killed")


def train_and_resume(project, name):
    """Three runs in runs/NAME: straight, killed and resumed, and one of another seed."""
    flags, folder = MODELS[name][0], project / "runs" / name
    train = [*MAIN, f"--model_name={name}", *flags, "--save_every=20", "--eval_every=50"]
    output = run([*train, "--random_seed=1", f"--result_dir={folder / 'straight'}"], project)
    assert re.search(r"^test: loss = \S+, ", output, re.MULTILINE)
    kill_in_the_middle(
        [*train, "--random_seed=1", f"--result_dir={folder / 'killed'}"], project, folder / "killed"
    )
    output = run([*MAIN, f"--result_dir={folder / 'killed'}"], project)
    assert "Resuming" in output and status(folder / "killed") == "complete"
    run([*train, "--random_seed=2", f"--result_dir={folder / 'other'}"], project)
    assert digests(folder / "killed") == digests(folder / "straight")
    assert metrics(folder / "killed") == metrics(folder / "straight")
    assert not set(digests(folder / "other").values()) & set(digests(folder / "straight").values())
    return folder


def infer(project, name, folder):
    _, asked, is_right, _ = MODELS[name]
    command = [*MAIN, "--infer", f"--result_dir={folder / 'straight'}", f"--input={asked}"]
    output = run(command, project)
    assert is_right(output), output


def test_a_table_is_learnt_killed_resumed_and_asked(followed):
    """One of the five, without the rest: this takes seconds."""
    shutil.rmtree(followed / "runs" / "Houses", ignore_errors=True)
    infer(followed, "Houses", train_and_resume(followed, "Houses"))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_the_page_does_all_that_models_do(followed, name):
    shutil.rmtree(followed / "runs" / name, ignore_errors=True)
    folder = train_and_resume(followed, name)
    infer(followed, name, folder)
    evaluate(followed, folder / "straight")
    search(followed, name)
    look_at_tensorboard(folder / "straight")
    compare(followed, folder)
    export(followed, name, folder / "straight")
    train_by_workers(followed, name, folder)
    tests = ["tests/test_every_model.py", "-k", f"[{name}]", "-n0"]
    assert "9 passed" in run([*PYTEST, *tests], followed)
    if name == "WideDeep":  # whose update is its own
        tests[0] = "tests/test_workers.py"
        assert "2 passed" in run([*PYTEST, *tests], followed)


def train_by_workers(project, name, folder):
    """Two workers end with the same digests each time. At each checkpoint they compared weights."""
    flags = [flag for flag in MODELS[name][0] if "max_iter" not in flag]
    shape = ["--nb_workers=2", "--max_iter=40", "--save_every=20", "--random_seed=1"]
    command = [*MAIN, f"--model_name={name}", *flags, *shape]
    for place in ("first", "second"):
        run([*command, f"--result_dir={folder / place}"], project)
    found, alone = digests(folder / "first"), digests(folder / "straight")
    assert sorted(found) == [0, 20, 40] and found == digests(folder / "second")
    assert found[0] == alone[0] and found[40] != alone[40]  # sums in another order


def evaluate(project, folder):
    output = run([*MAIN, "--evaluate", f"--result_dir={folder}"], project)
    last = next(record for record in reversed(metrics(folder)) if record["split"] == "test")
    assert number(output, "loss") == pytest.approx(last["loss"], rel=1e-5)


def search(project, name):
    folder = project / "runs" / f"search-{name}"
    flags = [flag for flag in MODELS[name][0] if "max_iter" not in flag]
    shape = ["--search=random", "--trials=2", "--confirm=0", "--nb_process=1", "--max_iter=40"]
    command = [*MAIN, f"--model_name={name}", *flags, *shape, f"--result_dir={folder}"]
    assert "2 trials: 2 complete" in run(command, project)
    best = json.loads((folder / "best.json").read_text(encoding="utf-8"))
    scores = {r["hyperparameters"]["lr"]: r["score"] for r in recorded(folder, "ledger.jsonl")}
    pick = {"min": min, "max": max}[best["settings"]["objective"][1]]
    assert len(scores) == 2 and best["mean"] == pick(scores.values())
    assert best["mean"] == scores[best["hyperparameters"]["lr"]]


def look_at_tensorboard(folder):
    """What TensorBoard reads: the curves of both splits, and the line of its HPARAMS page."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    measured = {r["split"]: set(r) - {"step", "split"} for r in metrics(folder)}
    for split, name in (("train", "train_sample"), ("valid", "valid")):
        events = EventAccumulator(str(folder / split))
        events.Reload()
        assert measured[name] <= set(events.Tags()["scalars"])
    content = events.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    shown = HParamsPluginData.FromString(content).session_start_info.hparams
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))["config"]
    assert shown["lr"].number_value == config["lr"] and shown["random_seed"].number_value == 1


def compare(project, folder):
    """The two runs of one seed tell no more than one: the group has two seeds."""
    output = run([*MAIN, "--compare", str(folder), "--format=json"], project)
    runs = {line["folder"].rsplit("/", 1)[-1]: line for line in json.loads(output)}
    assert runs.keys() == {"straight", "killed", "other"}
    assert {(line["group"], line["seeds"]) for line in runs.values()} == {(1, 2)}
    assert "3 complete" in run([*MAIN, "--compare", str(folder)], project)


def export(project, name, folder):
    run([*MAIN, "--export", f"--result_dir={folder}"], project)
    about = json.loads((folder / "export" / "model.json").read_text(encoding="utf-8"))
    assert about["model_name"] == name
    assert about["weights_sha256"] == digests(folder)[about["step"]]
    found = {n: (a["dtype"], a["shape"]) for n, a in (about["inputs"] | about["outputs"]).items()}
    assert found == MODELS[name][3]
    assert {"model.pb", "saved_model/saved_model.pb"} <= about["files"].keys()
    said = "not written: LiteRT has no " if name == "Signs" else "written"  # a loop over time
    assert about["model.tflite"].startswith(said)
    assert ("model.tflite" in about["files"]) == (said == "written")
    for file, digest in about["files"].items():
        assert hashlib.sha256((folder / "export" / file).read_bytes()).hexdigest() == digest
    assert max(about["differences"].values()) < (0.1 if name == "Houses" else 1e-5)  # of a price


def test_the_two_edits_are_those_that_the_page_shows(project, page):
    """Applied as they stand there, the registry is in order and the model is there."""
    write_file(project, models_of(page)["ConvNet"])
    (difference,) = blocks(page, "diff")
    registry = project / "models" / "__init__.py"
    for part in difference.strip("\n").split("\n\n"):
        lines = part.split("\n")
        before, after = (
            "".join(f"{line[1:]}\n" for line in lines if line[0] in kept) for kept in (" -", " +")
        )
        assert registry.read_text(encoding="utf-8").count(before) == 1
        edit(registry, lambda text, pair=(before, after): text.replace(*pair))
    for command in (["check", "."], ["format", "--check", "."]):
        run([*RUFF, *command], project)
    asked = [line for line in "".join(blocks(page, "sh")).split("\n") if "--help" in line]
    assert asked == ["python main.py --model_name=ConvNet --help                       # its flags"]
    assert "--filters=8" in run([*MAIN, *asked[0].split()[2:4]], project)
