"""A search gives the same answer with any number of processes, in any order, killed or not."""

import os
import random
import signal
import subprocess
import time

import pytest
import tensorflow as tf
from runs import digests, read
from searches import LAST, assert_same, ledger, search, wait_for_lines

import main
from hpsearch import trial
from hpsearch.halving import Job
from hpsearch.local import ATTEMPTS, LocalExecutor
from models import MODELS, make_model
from training import processors
from training.files import PROJECT


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A search in one process that nothing disturbed: (folder, what it printed)."""
    folder = tmp_path_factory.mktemp("search") / "straight"
    process = search(folder, 1)
    output, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    return folder, output


def test_any_number_of_processes_gives_the_same_answer_and_another_seed_another(straight, tmp_path):
    two, four = search(tmp_path / "two", 2), search(tmp_path / "four", 4)
    other = search(tmp_path / "other", 1, "--search_seed=4")
    for process in (two, four, other):
        assert process.communicate()[1] == "" and process.returncode == 0
    assert_same(tmp_path / "two", straight[0])
    assert_same(tmp_path / "four", straight[0])
    assert ledger(tmp_path / "other") != ledger(straight[0])


WIDE = ["--fake_data", "--search=hyperband", "--search_seed=6", "--max_iter=54", "--min_iter=18"]


def test_any_number_of_processes_gives_wide_networks_the_same_answer(tmp_path):
    """Widths from 16 to 512: on many processors their bits depend on the number of threads."""
    processes = [search(tmp_path / f"{n}", n, "--model_name=MNIST", common=WIDE) for n in (1, 2, 4)]
    for process in processes:
        assert process.communicate()[1] == "" and process.returncode == 0
    for n in (2, 4):
        assert_same(tmp_path / f"{n}", tmp_path / "1")
    widths = {record["hyperparameters"]["hidden1"] for record in ledger(tmp_path / "1")}
    assert len(widths) == 5 and max(widths) > 100
    settings = read(tmp_path / "1", "search.json")
    assert settings["run"] == {"fake_data": True, "threads": 1}
    configs = [read(trial, "config.json") for trial in (tmp_path / "4" / "trials").iterdir()]
    assert [content["config"]["threads"] for content in configs] == [1] * 5


def test_threads_that_follow_from_the_number_of_processes_would_be_seen(tmp_path, monkeypatch):
    flags = ["--model_name=ByThreads", "--hidden1=16", "--optimizer=sgd"]
    program = str(PROJECT / "tests" / "search_by_threads.py")

    def ledgers(name):
        processes = [
            search(tmp_path / f"{name} {n}", n, *flags, program=program, common=WIDE)
            for n in (1, 2)
        ]
        for process in processes:
            assert process.communicate()[1] == "" and process.returncode == 0
        return [ledger(tmp_path / f"{name} {n}") for n in (1, 2)]

    one, two = ledgers("right")
    assert one == two
    monkeypatch.setenv("SPOIL", "1")
    one, two = ledgers("spoilt")
    assert [record["trial"] for record in one] == [record["trial"] for record in two]
    assert all(a["weights_sha256"] != b["weights_sha256"] for a, b in zip(one, two, strict=True))


def workers_of(pid):
    """The worker processes of a search."""
    command = ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="]  # -ww: long lines are not cut
    listed = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    found = [line.split(maxsplit=2) for line in listed if "spawn_main" in line]
    return [int(child) for child, parent, _ in found if int(parent) == pid]


def assert_end(pids):
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_workers_and_parent_that_are_killed_change_nothing(straight, tmp_path):
    seed = os.getpid()
    print(f"seed {seed}")  # seen if it fails
    folder, chance = tmp_path / "killed", random.Random(seed)
    process = search(folder, 2)
    wait_for_lines(folder, 1 + chance.randrange(3), process)
    time.sleep(chance.random() / 4)
    os.kill(chance.choice(workers_of(process.pid)), signal.SIGKILL)
    wait_for_lines(folder, 8, process)
    workers = workers_of(process.pid)
    process.kill()
    process.communicate()
    assert_end(workers)  # with their parent
    process = search(folder, 2)
    assert process.communicate()[1] == "" and process.returncode == 0
    assert_same(folder, straight[0])


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send these signals to one process")
def test_ctrl_c_leaves_no_process_behind_and_the_search_goes_on(straight, tmp_path):
    process = search(tmp_path / "stopped", 2)
    wait_for_lines(tmp_path / "stopped", 2, process)
    workers = workers_of(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "") and "the same command goes on" in output
    assert len(workers) == 2 and not any(alive(pid) for pid in workers)
    process = search(tmp_path / "stopped", 1)
    assert process.communicate()[1] == "" and process.returncode == 0
    assert_same(tmp_path / "stopped", straight[0])


def test_processes_are_as_many_as_processors_and_gpus_allow(monkeypatch):
    monkeypatch.setattr(processors, "count", lambda: 8)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert LocalExecutor(3, 1).gpus == ["2", "3", "2"]
    assert LocalExecutor(None, 1).gpus == ["2", "3"]
    assert LocalExecutor(2, 1, device="cpu").gpus == [None, None]
    for none in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", none)
        assert LocalExecutor(2, 1).gpus == [None, None]
    assert [LocalExecutor(None, threads).nb_process for threads in (1, 3, 9)] == [8, 2, 1]


def test_a_trial_whose_process_dies_again_and_again_has_failed(small):
    job = Job(0, 10**6, "random", 0, {})
    with LocalExecutor(1, 1) as executor:
        executor.start(job, small | {"max_iter": 10**6})
        finished = []
        while not finished:
            executor.workers[0].process.kill()
            finished = executor.finished(timeout=10)
        assert executor.is_free()
    reason = f"its process died {ATTEMPTS} times"
    assert finished == [(job, {"state": "failed", "score": None, "reason": reason})]


def test_a_promoted_trial_equals_a_straight_training(straight, process):
    """--verify trains it in one go, and compares where it was paused."""
    folder = straight[0]
    promoted = next(r for r in ledger(folder) if r["rung"] == 1 and r["until"] == LAST)
    run_folder = folder / "trials" / f"{promoted['trial']:04}"
    recorded = digests(run_folder)
    assert list(recorded) == [0, 18, LAST] and len(set(recorded.values())) == 3
    assert recorded[LAST] == promoted["weights_sha256"]
    answer = process("--verify", f"--result_dir={run_folder}")
    assert answer.stdout.splitlines()[-1] == "bit-identical at 3 of 3 recorded steps"


def test_the_end_is_a_table_a_picture_and_the_command_that_promotes(
    straight, tmp_path, monkeypatch
):
    folder, output = straight
    assert f"--promote --result_dir={folder}" in output and "0 diverged, 0 failed" in output
    assert output.count("Trial 0000 at step 6: score ") == 1
    assert (folder / "search.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr("hpsearch.stages.PROJECT", tmp_path)
    (tmp_path / "models").mkdir()
    assert main.main(["main.py", "--promote", f"--result_dir={folder}"]) == 0
    promoted = read(tmp_path, "models/best/MNIST.json")
    run = {"fake_data": True, "threads": 1}  # which digits it is the best for
    assert promoted["from"]["run"] == run
    assert (promoted["from"]["folder"], promoted["from"]["search"]) == (folder.name, "hyperband")
    best = read(folder, "best.json")
    assert promoted["config"] == best["hyperparameters"]
    assert promoted["from"]["trial"] == best["trial"] and promoted["from"]["data_checksum"]
    whole = [r for r in ledger(folder) if r["until"] == LAST]
    assert best["score"] == max(record["score"] for record in whole)


def test_the_test_split_stays_closed(tmp_path, monkeypatch):
    model_class = MODELS["LinearRegression"]
    inputs = model_class.inputs

    def closed(self, split):
        if split == "test":
            raise AssertionError("the test split was opened")
        return inputs(self, split)

    monkeypatch.setattr(model_class, "inputs", closed)
    config = {"result_dir": str(tmp_path / "0000"), "max_iter": 10, "random_seed": 0}
    outcome = trial.run(config, 10, trial.Models())
    assert outcome["state"] == "trained"
    with pytest.raises(AssertionError, match="test split"), make_model(config) as model:
        model.evaluate("test")


def test_a_trial_in_a_session_that_is_used_again_equals_one_in_a_fresh_one(small, tmp_path):
    configs = [
        small | {"lr": lr, "optimizer": "adam", "result_dir": str(tmp_path / f"{lr}")}
        for lr in (0.1, 0.01, 0.01)
    ]
    configs[2] |= {"result_dir": str(tmp_path / "again")}
    models, graphs, outcomes = trial.Models(), set(), []
    for config in configs:
        outcomes.append(trial.run(config, 60, models))
        graphs |= {id(model.graph) for model in models.by_shape.values()}
    assert len(graphs) == 1
    config = configs[1] | {"result_dir": str(tmp_path / "fresh")}
    assert trial.run(config, 60, trial.Models()) == outcomes[1] == outcomes[2] != outcomes[0]


def test_a_job_whose_line_was_lost_is_done_again_beside_its_run(small, tmp_path):
    config = small | {"max_iter": 90, "max_to_keep": 1}
    models, folder = trial.Models(), tmp_path / "run"
    first, second = (trial.run(config, until, models) for until in (30, 90))
    kept = digests(folder)
    assert trial.run(config, 30, models) == first != second
    assert digests(folder) == kept and trial.run(config, 90, models) == second


def test_what_is_wrong_outside_of_a_trial_says_nothing_about_it(small, tmp_path):
    for changed, words in [
        ({"batch_size": 10**6}, "more than the"),
        ({"result_dir": str(tmp_path / "a[1]")}, "cannot read"),
        ({"result_dir": "/proc/nowhere"}, "nowhere"),
    ]:
        outcome = trial.run(small | changed, 30, trial.Models())
        assert outcome["state"] is None and words in outcome["reason"], outcome


def test_a_model_that_cannot_be_built_has_failed_and_one_without_memory_is_tried_alone(
    small, monkeypatch
):
    def broken(self, batch, training):
        raise TypeError("no such layer")

    with monkeypatch.context() as patch:
        patch.setattr(MODELS["MNIST"], "inference", broken)
        outcome = trial.run(small, 30, trial.Models())
    assert outcome == {"state": "failed", "score": None, "reason": "TypeError: no such layer"}

    models = trial.Models()
    trial.run(small | {"hidden1": 4, "result_dir": small["result_dir"] + "4"}, 30, models)
    learn, counts = MODELS["MNIST"].learn_from_epoch, []

    def scarce(self, stop):
        counts.append(len(models.by_shape))
        if len(models.by_shape) > 1:
            raise tf.errors.ResourceExhaustedError(None, None, "no memory left")
        return learn(self, stop)

    monkeypatch.setattr(MODELS["MNIST"], "learn_from_epoch", scarce)
    assert trial.run(small, 30, models)["state"] == "trained" and counts[:2] == [2, 1]


def test_a_diverged_trial_is_a_state_and_not_a_score(tmp_path):
    config = {"result_dir": str(tmp_path / "0000"), "max_iter": 300, "lr": 100.0, "random_seed": 0}
    outcome = trial.run(config | {"batch_size": 30}, 300, trial.Models())
    assert outcome["state"] == "diverged" and outcome["score"] is None
    assert "not finite at step" in outcome["reason"]
