"""Checkpoints are whole, are checked, and are kept as asked."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from runs import digests, kept, lines, metrics, read, train

import main
from models import make_model
from training import checkpoints
from training.checkpoints import Checkpoints
from training.digests import digests as digests_of
from training.files import sha256


def test_files_of_a_save_that_was_cut_short_are_removed(copy_of_finished):
    folder = copy_of_finished / "checkpoints"
    for name in ("model.ckpt-99.index", "model.ckpt-120.data-00000-of-00001.tempstate1"):
        (folder / name).write_bytes(b"half")
    before = kept(copy_of_finished)
    train({"result_dir": str(copy_of_finished)})
    assert kept(copy_of_finished) == [step for step in before if step != 99]
    assert not list(folder.glob("*tempstate*"))


def test_a_checkpoint_is_on_the_disk_before_its_line_and_the_line_before_the_pointer(
    small, tmp_path, monkeypatch
):
    done = []
    for name, label in [("sync", "sync"), ("append_json", "line"), ("write_atomically", "write")]:
        original = getattr(checkpoints, name)

        def recorded(path, *rest, original=original, label=label):
            done.append((label, Path(path).name.split(".data")[0]))
            return original(path, *rest)

        monkeypatch.setattr(checkpoints, name, recorded)
    train(small | {"max_iter": 1}, until=0)
    assert done == [
        ("sync", "model.ckpt-0"),
        ("sync", "model.ckpt-0.index"),
        ("sync", "checkpoints"),
        ("sync", "run"),
        ("line", "checkpoints.jsonl"),
        ("sync", "checkpoints.jsonl"),
        ("sync", "checkpoints"),
        ("write", "checkpoint"),
    ]


def test_old_checkpoints_go_across_restarts_and_the_best_one_stays(small, tmp_path, monkeypatch):
    values = iter([0.5, 0.9, 0.9, 0.7, 0.6, 0.5])  # of equals the first is the best

    def evaluated(self, split):
        return {"loss": 1.0, "accuracy": next(values, 0.0) if split == "valid" else 1.0}

    monkeypatch.setattr("models.basic_model.BasicModel.evaluate", evaluated)
    small |= {"max_to_keep": 2, "save_every": 20}
    folder = tmp_path / "run"
    train(small, until=60)
    assert kept(folder) == [40, 60]
    train(small | {"max_iter": 200})
    assert kept(folder) == [80, 180, 200]
    assert read(folder, "checkpoints/best.json") == {
        "step": 80, "valid": {"loss": 1.0, "accuracy": 0.9}
    }  # fmt: skip
    assert list(digests(folder)) == list(range(0, 201, 20))


def test_a_best_evaluation_is_saved_even_between_checkpoints(small, tmp_path):
    train(small | {"save_every": 1000})
    best = read(tmp_path / "run", "checkpoints/best.json")["step"]
    assert best in (40, 80, 120)
    with make_model({"result_dir": small["result_dir"]}) as model:
        assert model.restore("best") == best


def test_a_best_that_a_kill_left_unnoted_is_noted_on_resume(copy_of_finished):
    best = read(copy_of_finished, "checkpoints/best.json")
    (copy_of_finished / "checkpoints" / "best.json").unlink()
    train({"result_dir": str(copy_of_finished)})
    assert read(copy_of_finished, "checkpoints/best.json") == best


def test_a_best_that_was_lost_is_best_no_more(small, tmp_path):
    train(small | {"save_every": 20}, until=60)
    for step in (40, 60):
        (tmp_path / "run" / "checkpoints" / f"model.ckpt-{step}.index").unlink()
    train(small | {"save_every": 20}, until=30)
    assert kept(tmp_path / "run") == [0, 20, 30]
    assert not (tmp_path / "run" / "checkpoints" / "best.json").exists()


def test_checkpoints_are_saved_by_the_clock_and_kept_by_the_hour(small, tmp_path):
    hour = iter(range(10**6))
    config = small | {"save_every": 10**6, "save_checkpoint_secs": 3600.0, "max_to_keep": 1}
    with (
        make_model(config | {"keep_checkpoint_every_n_hours": 4.0}) as model,
        model.graph.as_default(),
    ):
        saves = Checkpoints(tmp_path, model.config, clock=lambda: 3600 * next(hour))
        for model.step in range(8):
            if saves.is_due(model.step):
                model.global_step.load(model.step, model.session)
                saves.commit(model.step, digests_of(saves.write(model)))
                saves.rotate()
    permanent = [r["step"] for r in saves.records if r.get("permanent")]
    assert permanent == [2, 4, 6] and kept(tmp_path) == [2, 4, 6, 7]
    never = Checkpoints(tmp_path, config | {"save_checkpoint_secs": 0.0}, clock=lambda: 1e12)
    assert not never.is_due(9)


DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "flipped": lambda path: path.write_bytes(flipped(path.read_bytes())),
    "empty": lambda path: path.write_bytes(b""),
    "missing": lambda path: path.unlink(),
}


def flipped(content):
    """The bytes with one bit in the middle turned round."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def test_a_digest_is_that_of_the_whole_file(tmp_path):
    content = b"0123456789" * 300_000  # three blocks
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", ["model.ckpt-120.data-00000-of-00001", "model.ckpt-120.index"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    copy_of_finished, capsys, file, damage
):
    straight = digests(copy_of_finished)
    DAMAGES[damage](copy_of_finished / "checkpoints" / file)
    assert train({"result_dir": str(copy_of_finished)})["step"] == 120
    output = capsys.readouterr().out
    reason = "is missing" if damage == "missing" else "does not match its SHA-256"
    assert f"step 120 is damaged: {copy_of_finished / 'checkpoints' / file} {reason}" in output
    assert f"Resuming {copy_of_finished} at step 80" in output
    assert digests(copy_of_finished) == straight


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", ["status.json", "checkpoints/best.json", "checkpoints/checkpoint"])
def test_a_run_does_not_need_its_small_files_to_go_on(copy_of_finished, file, damage):
    best = read(copy_of_finished, "checkpoints/best.json")
    DAMAGES[damage](copy_of_finished / file)
    assert train({"result_dir": str(copy_of_finished), "max_iter": 125})["step"] == 125
    assert read(copy_of_finished, "status.json")["status"] == "complete"
    assert (
        read(copy_of_finished, "checkpoints/best.json")["valid"]["accuracy"]
        >= (best["valid"]["accuracy"])
    )
    pointer = (copy_of_finished / "checkpoints" / "checkpoint").read_text()
    assert pointer == 'model_checkpoint_path: "model.ckpt-125"\n'


def test_a_line_that_names_files_of_others_is_left_out(copy_of_finished):
    ledger, precious = copy_of_finished / "checkpoints" / "checkpoints.jsonl", "../metrics.jsonl"
    records, before = lines(ledger), metrics(copy_of_finished)
    records[0]["files"] = {precious: "0"}
    ledger.write_text("".join(json.dumps(record) + "\n" for record in records))
    train({"result_dir": str(copy_of_finished), "max_iter": 200, "max_to_keep": 1})
    assert metrics(copy_of_finished)[: len(before)] == before  # not removed as an old checkpoint


def test_a_run_without_a_usable_checkpoint_never_starts_again_in_silence(copy_of_finished):
    for path in copy_of_finished.glob("checkpoints/*.index"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="no usable checkpoint"):
        train({"result_dir": str(copy_of_finished)})
    assert not read(copy_of_finished, "config.json")["resumed"]


def test_a_run_that_was_killed_during_its_first_save_starts_as_if_new(small, tmp_path):
    train(small, until=0)
    folder = tmp_path / "run" / "checkpoints"
    for path in folder.iterdir():
        if "ckpt-0." not in path.name:
            path.unlink()
    assert train(small)["step"] == 120
    train(small | {"result_dir": str(tmp_path / "straight")})
    assert metrics(tmp_path / "run") == metrics(tmp_path / "straight")


def test_checkpoints_without_their_list_are_not_written_over(copy_of_finished):
    (copy_of_finished / "checkpoints" / "checkpoints.jsonl").unlink()
    with pytest.raises(ValueError, match="no usable checkpoint"):
        train({"result_dir": str(copy_of_finished)})


def test_an_incomplete_last_line_is_removed(copy_of_finished):
    ledger = copy_of_finished / "metrics.jsonl"
    whole = metrics(copy_of_finished)
    with open(ledger, "a") as file:
        file.write('{"step": 12')
    train({"result_dir": str(copy_of_finished)})
    assert metrics(copy_of_finished) == whole and ledger.read_bytes().endswith(b"}\n")
    with open(ledger, "a") as file:
        file.write('{"step": 12')
    assert (
        main.main(["main.py", "--evaluate", f"--result_dir={copy_of_finished}", "--step=40"]) == 0
    )
    assert metrics(copy_of_finished)[:-1] == whole


@pytest.mark.parametrize("name", ["metrics.jsonl", "checkpoints/checkpoints.jsonl"])
def test_a_corrupt_line_is_reported_and_skipped(copy_of_finished, capsys, name):
    ledger = copy_of_finished / name
    before = lines(ledger)
    ledger.write_text("{torn\n" + ledger.read_text())
    assert train({"result_dir": str(copy_of_finished)})["status"] == "complete"
    assert f"{name.split('/')[-1]}: line 1 is corrupt and is skipped" in capsys.readouterr().out
    assert lines(ledger) == before and b"torn" not in ledger.read_bytes()


def test_any_kept_checkpoint_can_be_opened_and_another_lists_those(finished):
    with make_model({"result_dir": str(finished[0])}) as model:
        assert [model.restore(step) for step in (40, 120, None)] == [40, 120, 120]
        with pytest.raises(FileNotFoundError, match="--step=50 is not kept.*0, 40, 80, 120"):
            model.restore(50)


def test_a_damaged_checkpoint_that_is_asked_for_is_refused(copy_of_finished):
    DAMAGES["flipped"](copy_of_finished / "checkpoints" / "model.ckpt-80.index")
    with make_model({"result_dir": str(copy_of_finished)}) as model:
        with pytest.raises(ValueError, match="checkpoint of step 80 is damaged"):
            model.restore(80)


@pytest.mark.parametrize("also", ["status.json", "metrics.jsonl"])
def test_a_run_that_lost_its_checkpoints_never_starts_again_in_silence(copy_of_finished, also):
    shutil.rmtree(copy_of_finished / "checkpoints")
    (copy_of_finished / also).unlink()
    before = metrics(copy_of_finished)
    with pytest.raises(ValueError, match="was at step 120 and has lost its checkpoints"):
        train({"result_dir": str(copy_of_finished)})
    assert metrics(copy_of_finished) == before
