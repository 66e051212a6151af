"""--from_checkpoint starts a new run from a checkpoint of another."""

from pathlib import Path

import pytest
from runs import digests, kept, metrics, read, train

import main
from models import ConfigError


@pytest.fixture
def parent(finished):
    return {"from_checkpoint": str(finished[0])}


def test_a_branch_with_the_same_settings_continues_as_its_parent_did(parent, finished, tmp_path):
    branch = parent | {"step": "40", "result_dir": str(tmp_path / "branch")}
    assert train(branch)["status"] == "complete"
    expected = digests(finished[0])
    del expected[0]
    assert digests(tmp_path / "branch") == expected
    assert metrics(tmp_path / "branch") == [r for r in metrics(finished[0]) if r["step"] > 40]


def test_a_branch_records_its_parent_and_keeps_where_it_began(parent, finished, tmp_path):
    folder = tmp_path / "branch"
    train(parent | {"step": "40", "result_dir": str(folder), "lr": 0.1, "max_to_keep": 1})
    content = read(folder, "config.json")
    assert content["parent"] == {
        "result_dir": str(finished[0]), "step": 40, "weights_sha256": digests(finished[0])[40]
    }  # fmt: skip
    assert content["config"]["lr"] == 0.1 and content["config"]["random_seed"] == 7
    assert kept(folder)[0] == 40
    assert digests(folder)[40] == digests(finished[0])[40]
    assert digests(folder)[80] != digests(finished[0])[80]


def test_a_branch_is_resumed_without_its_parent(parent, finished, tmp_path, copy_of_finished):
    folder = tmp_path / "branch"
    settings = {"from_checkpoint": str(copy_of_finished), "step": "40", "result_dir": str(folder)}
    train(settings, until=60)
    copy_of_finished.rename(tmp_path / "moved")
    assert train({"result_dir": str(folder)})["step"] == 120
    assert digests(folder)[120] == digests(finished[0])[120]


def test_a_branch_that_was_killed_during_its_first_save_starts_as_if_new(parent, tmp_path):
    folder = tmp_path / "branch"
    train(parent | {"step": "40", "result_dir": str(folder)}, until=40)
    (folder / "checkpoints" / "checkpoints.jsonl").unlink()
    assert train({"result_dir": str(folder)})["step"] == 120
    assert read(folder, "config.json")["parent"]["step"] == 40


def test_a_branch_that_is_begun_again_starts_where_it_began(copy_of_finished, tmp_path):
    folder = tmp_path / "branch"
    settings = {
        "from_checkpoint": str(copy_of_finished),
        "result_dir": str(folder),
        "max_iter": 150,
    }
    train(settings, until=120)
    (folder / "checkpoints" / "checkpoints.jsonl").unlink()
    train({"result_dir": str(copy_of_finished), "max_iter": 140})
    train({"result_dir": str(folder)})
    assert list(digests(folder))[0] == 120 == read(folder, "config.json")["parent"]["step"]


def test_a_branch_of_a_branch_has_its_own_start_and_folder(parent, tmp_path):
    folder = tmp_path / "branch"
    train(parent | {"step": "40", "result_dir": str(folder)}, until=60)
    second = train({"from_checkpoint": str(folder)}, until=60)["result_dir"]
    assert list(digests(folder)) == [40, 60] and list(digests(Path(second))) == [60]
    assert Path(second) != folder


def test_best_and_newest_can_be_branched_from(parent, finished, tmp_path):
    best = read(finished[0], "checkpoints/best.json")["step"]
    for step, expected in (("best", best), (None, 120)):
        folder = tmp_path / str(step)
        train(parent | {"step": step, "result_dir": str(folder), "max_iter": 130}, until=0)
        assert read(folder, "config.json")["parent"]["step"] == expected


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"step": "50"}, "--step=50 is not kept in .*kept: 0, 40, 80, 120"),
        ({"step": "80", "max_iter": 60}, "--max_iter=60: step 80 is beyond it"),
        (
            {"units": 3},
            r"hidden/weights is float32 \[2, 3\] in the model and float32 \[2, 4\] in",
        ),
        ({"optimizer": "adam"}, "optimizer/beta1_power is float32 .* and missing in .*ckpt-120"),
        ({"from_checkpoint": "nowhere"}, "nowhere holds no run"),
    ],
)
def test_a_branch_that_cannot_be_is_refused_and_leaves_nothing(parent, settings, message, results):
    with pytest.raises((ConfigError, FileNotFoundError), match=message):
        train(parent | settings)
    assert not results.exists()


def test_a_copy_that_is_not_what_was_copied_is_noticed(parent, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.copyfile", lambda source, copy: copy.write_bytes(b"else"))
    with pytest.raises(OSError, match="is not what was copied"):
        train(parent | {"result_dir": str(tmp_path / "branch"), "max_iter": 130})
    assert digests(tmp_path / "branch") == {}


def test_a_branch_into_its_parents_folder_is_refused(copy_of_finished, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="empty is --result_dir too"):
        train({"from_checkpoint": str(tmp_path / "empty"), "result_dir": str(tmp_path / "empty")})
    with pytest.raises(ConfigError, match="from_checkpoint"):
        train({"from_checkpoint": str(copy_of_finished), "result_dir": str(copy_of_finished)})


def test_the_shell_branches(finished, tmp_path):
    flags = [f"--from_checkpoint={finished[0]}", "--step=80", f"--result_dir={tmp_path / 'b'}"]
    assert main.main(["main.py", *flags]) == 0
    assert list(digests(tmp_path / "b")) == [80, 120]
