"""--verify trains a run again and tells equal from different."""

import json

import numpy as np
from runs import read, train

from models import make_model
from training import batches
from training.verification import verify


def files(folder):
    """{path: bytes} of everything in a folder."""
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def lines_of(folder, **settings):
    with make_model({"result_dir": str(folder)} | settings) as model:
        found = verify(model)
    return found.equal, found.lines


def test_an_untouched_run_is_bit_identical_and_nothing_is_written(finished, results):
    before = files(finished[0])
    assert lines_of(finished[0]) == (True, ["bit-identical at 4 of 4 recorded steps"])
    assert files(finished[0]) == before and not results.exists()


def test_the_shell_says_so_with_its_exit_status(shell, copy_of_finished):
    status, output, errors = shell("--verify", f"--result_dir={copy_of_finished}")
    assert (status, errors) == (0, "")
    assert output.splitlines()[-1] == "bit-identical at 4 of 4 recorded steps"
    change(copy_of_finished / "config.json", lambda content: content["config"].update(lr=0.1))
    assert shell("--verify", f"--result_dir={copy_of_finished}")[0] == 1


def test_an_interrupted_and_a_branched_run_are_verified_too(small, tmp_path):
    train(small | {"optimizer": "adam", "lr": 0.01}, until=50)
    branched = tmp_path / "branched"
    train({"from_checkpoint": small["result_dir"], "step": "40", "result_dir": str(branched)})
    assert lines_of(tmp_path / "run") == (True, ["bit-identical at 3 of 3 recorded steps"])
    assert lines_of(branched)[0] is True
    reseeded = {"from_checkpoint": small["result_dir"], "step": "0", "random_seed": 9}
    train(reseeded | {"result_dir": str(tmp_path / "reseeded")})
    assert lines_of(tmp_path / "reseeded")[0] is True


def change(file, edit):
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def test_a_batch_order_that_changed_is_seen_at_the_first_step_it_matters(finished, monkeypatch):
    order = batches.epoch_order
    monkeypatch.setattr(batches, "epoch_order", lambda *a: np.roll(order(*a), 1))
    equal, lines = lines_of(finished[0])
    assert not equal
    assert lines[0] == (
        "bit-identical at 1 of 4 recorded steps, then different at step 40, first in hidden/biases"
    )


def test_what_is_not_as_it_was_is_listed_in_order(copy_of_finished, monkeypatch):
    def edit(content):
        content["config"]["random_seed"] = 8
        about = content["environment"]
        about["versions"] |= {"numpy": "1.0", "tensorflow": "2.0"}
        about["processor"] |= {"model": "another", "caches": {"L2": 1}}
        about["variables"] |= {"TF_GONE": "1"}
        about["sources"]["models/basic_model.py"]["sha256"] = about["sources"]["main.py"]["sha256"]
        content["data_checksum"] = "other"
        changes = {"processor": about["processor"] | {"features": ["SSE"]}}
        content["resumed"] = [changes | {"sources": {"models/gone.py": {"sha256": "0"}}}]

    change(copy_of_finished / "config.json", edit)
    monkeypatch.setenv("XLA_FLAGS", "")
    equal, lines = lines_of(copy_of_finished)
    assert not equal and "then different at step 0, first in hidden/weights" in lines[0]
    names = [line.split(":")[0].strip() for line in lines[2:]]
    assert names[1:] == [
        "code", "code", "training data", "graph", "tensorflow", "numpy", "processor",
        "processor's caches", "processor's features", "XLA_FLAGS", "TF_GONE",
    ]  # fmt: skip
    assert "random_seed" in names[0]
    assert lines[3] == "  code: models/basic_model.py is not what it was when it was started"
    assert lines[4] == "  code: models/gone.py is not what it was at its start 2"
    assert "2.0 when it was started" in lines[7] and "L2 1 when it was started" in lines[10]
    assert "SSE at its start 2" in lines[11]
    assert lines[13] == "  TF_GONE: 1 when it was started, None now"


def test_a_run_that_has_nothing_recorded_cannot_be_verified(copy_of_finished, shell):
    (copy_of_finished / "checkpoints" / "checkpoints.jsonl").unlink()
    status, _, errors = shell("--verify", f"--result_dir={copy_of_finished}")
    assert status == 1 and "--verify" in errors and "train first" in errors
    assert read(copy_of_finished, "status.json")["status"] == "complete"


def test_a_damaged_checkpoint_of_an_equal_run_is_named(copy_of_finished):
    damaged = copy_of_finished / "checkpoints" / "model.ckpt-80.index"
    damaged.write_bytes(b"")
    equal, lines = lines_of(copy_of_finished)
    assert not equal and lines[0].startswith("bit-identical at 4 of 4")
    assert lines[1:] == [f"but {damaged} does not match its SHA-256"]


def test_a_run_whose_first_line_is_damaged_is_verified_at_the_others(copy_of_finished):
    ledger = copy_of_finished / "checkpoints" / "checkpoints.jsonl"
    ledger.write_text("torn" + ledger.read_text())
    assert lines_of(copy_of_finished) == (True, ["bit-identical at 3 of 3 recorded steps"])
