"""The ledger of a search: what it holds of which trial, and when that counts."""

import pytest
from searches import lines_of

from hpsearch.halving import Bracket, Job
from hpsearch.ledger import Ledger, Outcome

JOB = Job(0, 9, "random", 0, {"lr": 0.1})


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger.jsonl", "max")


def trained(score):
    return Outcome("trained", score, None, {"accuracy": score}, "")


def test_an_outcome_is_on_the_disk_before_it_counts(ledger, monkeypatch):
    done = []
    for name in ("append_json", "sync"):

        def called(path, *record, name=name):
            done.append((path.name, name, len(ledger.records)))

        monkeypatch.setattr(f"hpsearch.ledger.{name}", called)
    ledger.add(JOB, trained(0.5))
    assert done == [("ledger.jsonl", "append_json", 0), ("ledger.jsonl", "sync", 0)]
    assert len(ledger.records) == 1


@pytest.mark.parametrize(
    "lr, seed, scores", [(0.1, 5, {(0, 9): 0.5}), (0.2, 5, {}), (0.1, 6, {}), (0.1, None, {})]
)
def test_a_record_of_another_configuration_or_seed_is_not_that_of_a_trial(ledger, lr, seed, scores):
    ledger.add(JOB._replace(seed=5), trained(0.5))
    assert ledger.scores(Bracket("random", {0: {"lr": lr}}, [(1, 9)], seed)) == scores


def test_trials_are_ranked_by_their_scores_at_one_step_without_those_that_confirm_others(ledger):
    for trial, until, score, seed in [
        (0, 9, 0.5, None), (1, 9, 0.7, None), (2, 3, 0.9, None), (3, 9, 0.8, 5), (4, 9, None, None),
    ]:  # fmt: skip
        ledger.add(JOB._replace(trial=trial, until=until, seed=seed), trained(score))
    assert [record["trial"] for record in ledger.ranked(9)] == [1, 0]
    assert [record["trial"] for record in ledger.ranked(3)] == [2]
    ledger.direction = "min"
    assert [record["trial"] for record in ledger.ranked(9)] == [0, 1]


def test_a_line_that_another_one_of_the_same_job_replaces_is_left_out_at_the_end(ledger):
    for lr in (0.1, 0.2):
        ledger.add(JOB._replace(hyperparameters={"lr": lr}), Outcome("trained", lr))
    assert len(lines_of(ledger.path)) == 2
    ledger.keep([Bracket("random", {0: {"lr": 0.2}}, [(1, 9)])])
    assert [line["hyperparameters"] for line in lines_of(ledger.path)] == [{"lr": 0.2}]
