"""With --patience a run ends when valid gets no better, at the same step however often it stops."""

import pytest
from runs import digests, metrics, read, train

# By dropout and a large lr accuracy goes up and down.
CONFIG = {
    "model_name": "Toy", "random_seed": 7, "jit": "off", "max_iter": 400, "save_every": 50,
    "eval_every": 10, "log_every": 10, "lr": 1.0, "patience": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def stalled(tmp_path_factory):
    """(folder, what train returned) of a run that patience ended. Not to be changed."""
    from toy import Toy

    folder = tmp_path_factory.mktemp("stalled") / "run"
    with Toy(CONFIG | {"result_dir": str(folder)}) as model:
        return folder, model.train()


def accuracies(folder):
    """[(step, accuracy)] of the evaluations of valid."""
    return [(r["step"], r["accuracy"]) for r in metrics(folder) if r["split"] == "valid"]


def test_it_ends_after_so_many_evaluations_that_are_no_better(stalled):
    folder, result = stalled
    *_, last = found = accuracies(folder)
    best = max(accuracy for _, accuracy in found)
    (step, *_) = (step for step, accuracy in found if accuracy == best)
    assert last[0] == step + 4 * 10 == result["step"] < 400
    assert read(folder / "checkpoints", "best.json")["step"] == step
    assert result["status"] == "complete" and result["test"]


def test_it_says_why(stalled):
    folder, result = stalled
    status = read(folder, "status.json")
    assert status["status"] == "complete"
    best = result["step"] - 40
    reason = f"4 evaluations without a better accuracy on valid; the best was at step {best}"
    assert status["reason"] == reason
    assert f"Stopped at step {result['step']}: {reason}" in (folder / "train.log").read_text()


def test_pauses_do_not_change_where_it_ends(stalled, tmp_path):
    folder, result = stalled
    paused = tmp_path / "run"
    stops = [result["step"] - 25, result["step"] - 10, None]
    for stop in stops:
        train(CONFIG | {"result_dir": str(paused)}, until=stop)
    assert metrics(paused) == metrics(folder)
    found = digests(paused)
    assert {step: found[step] for step in digests(folder)} == digests(folder)


def test_a_run_that_has_ended_trains_no_more_until_patience_is_raised(stalled, tmp_path):
    again = tmp_path / "run"
    first = train(CONFIG | {"result_dir": str(again)})
    second = train({"result_dir": str(again)})
    assert second["step"] == first["step"] and second["valid"] == first["valid"]
    assert metrics(again) == metrics(stalled[0])
    assert train({"result_dir": str(again), "patience": 0, "max_iter": 300})["step"] == 300


def test_an_earlier_end_between_two_evaluations_does_not_count(stalled, tmp_path):
    raised = tmp_path / "run"
    train(CONFIG | {"result_dir": str(raised), "max_iter": stalled[1]["step"] - 25})
    assert train({"result_dir": str(raised), "max_iter": 400})["step"] == stalled[1]["step"]
    found = digests(raised)
    assert {step: found[step] for step in digests(stalled[0])} == digests(stalled[0])


def test_another_patience_ends_elsewhere(stalled, tmp_path):
    other = train(CONFIG | {"result_dir": str(tmp_path / "run"), "patience": 6})
    assert other["step"] > stalled[1]["step"]


def test_a_search_has_no_patience(shell):
    status, _, errors = shell("--search=random", "--patience=3")
    assert (status, errors) == (2, "error: --patience goes with training\n")
