"""Searches as a user starts them: killed, interrupted, with other threads, and what they print."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runs import digests, read
from searches import LAST, assert_same, ledger, search, wait_for_lines

import main
from hpsearch import forking
from training.files import PROJECT

BY_THREADS = str(Path(__file__).with_name("search_by_threads.py"))
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows cannot send these signals")


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A search in one process that nothing disturbed: (folder, what it printed)."""
    folder = tmp_path_factory.mktemp("search") / "straight"
    process = search(folder, 1)
    output, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    return folder, output


def test_three_processes_give_the_same_answer_and_another_seed_another(straight, tmp_path):
    three, other = search(tmp_path / "three", 3), search(tmp_path / "other", 1, "--search_seed=4")
    for process in (three, other):
        assert process.communicate()[1] == "" and process.returncode == 0
    assert_same(tmp_path / "three", straight[0])
    assert ledger(tmp_path / "other") != ledger(straight[0])
    assert read(straight[0], "search.json")["run"] == {
        "fake_data": True,
        "jit": "off",
        "threads": 1,
    }
    configs = [read(trial, "config.json") for trial in (tmp_path / "three" / "trials").iterdir()]
    assert [content["config"]["threads"] for content in configs] == [1] * 25
    assert len({content["config"]["random_seed"] for content in configs}) == 3


@pytest.mark.slow
def test_one_two_and_four_processes_search_wide_networks_with_the_same_answer(tmp_path):
    """Networks compiled by XLA with large batches: their bits depend on threads."""
    flags = ["--model_name=MNIST", "--fake_data", "--search=hyperband", "--search_seed=5"]
    flags += ["--max_iter=27", "--min_iter=3", "--batch_size=1000"]
    for nb_process in (1, 2, 4):
        process = search(tmp_path / str(nb_process), nb_process, common=flags)
        assert process.communicate()[1] == "" and process.returncode == 0
    widths = {record["hyperparameters"]["hidden1"] for record in ledger(tmp_path / "1")}
    assert min(widths) < 64 and max(widths) > 256
    assert_same(tmp_path / "2", tmp_path / "1")
    assert_same(tmp_path / "4", tmp_path / "1")


@pytest.mark.slow
def test_the_threads_of_a_trial_do_not_follow_from_the_number_of_processes(tmp_path, monkeypatch):
    flags = ["--model_name=ByThreads", "--search=random", "--max_iter=27", "--min_iter=9"]
    flags += ["--units=4", "--jit=off", "--confirm=0"]

    def start(name, nb_process):
        return search(tmp_path / name, nb_process, program=BY_THREADS, common=flags)

    searches = [start("one", 1), start("two", 2)]
    monkeypatch.setenv("SPOIL", "1")  # then they do
    for process in (*searches, start("spoilt", 2)):
        assert process.communicate()[1] == "" and process.returncode == 0
    one, two, spoilt = (ledger(tmp_path / name) for name in ("one", "two", "spoilt"))
    assert one == two and len(one) == 4
    assert all(a["weights_sha256"] != b["weights_sha256"] for a, b in zip(one, spoilt, strict=True))


def servers_of(pid):
    """The processes of Python that a process has started to import TensorFlow."""
    command = ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="]  # -ww: long lines are not cut
    listed = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    found = [line.split(maxsplit=2) for line in listed if "spawn_main" in line]
    return [int(child) for child, parent, _ in found if int(parent) == pid]


def workers_of(pid):
    """The worker processes of a search: on Linux they are forked by another one."""
    children = servers_of(pid)
    if not forking.IS_POSSIBLE:
        return children
    return [worker for child in children for worker in servers_of(child)]


def wait_for_end(pids):
    deadline = time.monotonic() + 60  # one may still import TensorFlow
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@POSIX
def test_workers_and_parent_that_are_killed_change_nothing(straight, tmp_path):
    seed = os.getpid()
    print(f"seed {seed}")  # seen if it fails
    folder, chance = tmp_path / "killed", random.Random(seed)
    process = search(folder, 2)
    for count, kind, number in [
        (1, workers_of, signal.SIGKILL),
        (4, workers_of, signal.SIGTERM),
        (6, servers_of, signal.SIGKILL),
    ]:
        wait_for_lines(folder, count + chance.randrange(3), process)
        time.sleep(chance.random() / 4)
        os.kill(chance.choice(kind(process.pid)), number)
    wait_for_lines(folder, chance.choice([9, 21]), process)  # later, it confirms
    while len(started := servers_of(process.pid) + workers_of(process.pid)) < 2:
        assert process.poll() is None
    process.kill()
    process.communicate()
    wait_for_end(started)  # with their parent
    process = search(folder, 2)
    assert process.communicate()[1] == "" and process.returncode == 0
    assert_same(folder, straight[0])


@POSIX
@pytest.mark.parametrize(
    "lines",
    [pytest.param(0, id="at the start"), pytest.param(2, id="later", marks=pytest.mark.slow)],
)
def test_ctrl_c_leaves_no_process_behind_and_the_search_is_resumed(straight, tmp_path, lines):
    folder = tmp_path / "stopped"
    process = search(folder, 2)
    while len(workers := workers_of(process.pid)) < 2:
        assert process.poll() is None
    servers = servers_of(process.pid)
    wait_for_lines(folder, lines, process)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")
    assert "run the same command to resume" in output
    assert not any(alive(pid) for pid in workers + servers)
    if lines:
        process = search(folder, 1)
        assert process.communicate()[1] == "" and process.returncode == 0
        assert_same(folder, straight[0])


def test_the_process_of_a_search_never_imports_tensorflow(straight):
    """The same search again, which is complete, and all that it writes at its end."""
    program = (
        "import sys, main, tensorflow; from searches import FLAGS;"
        f"status = main.main(['main.py', *FLAGS, '--nb_process=1', '--result_dir={straight[0]}']);"
        "loaded = 'tensorflow.python' in sys.modules; tensorflow.constant;"
        "sys.exit((status, loaded, 'tensorflow.python' in sys.modules) != (0, False, True))"
    )
    paths = os.pathsep.join([str(PROJECT), str(Path(__file__).parent), str(PROJECT / "tests")])
    command = [sys.executable, "-c", program]
    process = subprocess.run(command, cwd=PROJECT, env=os.environ | {"PYTHONPATH": paths})
    assert process.returncode == 0


def test_a_promoted_trial_equals_a_straight_training(straight):
    """--verify trains it in one go, and compares where it was paused."""
    folder = straight[0]
    promoted = next(r for r in ledger(folder) if r["rung"] == 1 and r["until"] == LAST)
    run_folder = folder / "trials" / f"{promoted['trial']:04}"
    recorded = digests(run_folder)
    assert list(recorded) == [0, 18, LAST] and len(set(recorded.values())) == 3
    assert recorded[LAST] == promoted["weights_sha256"]
    command = [sys.executable, "main.py", "--verify", f"--result_dir={run_folder}"]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
    assert answer.stdout.splitlines()[-1] == "bit-identical at 3 of 3 recorded steps"


def test_the_end_is_a_table_a_picture_and_the_command_that_promotes(
    straight, tmp_path, monkeypatch
):
    folder, output = straight
    assert f"--promote --result_dir={folder}" in output and "0 diverged, 0 failed" in output
    assert output.count("Trial 0000 at step 6: score ") == 1
    assert (folder / "search.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr("hpsearch.promotion.PROJECT", tmp_path)
    (tmp_path / "models").mkdir()
    assert main.main(["main.py", "--promote", f"--result_dir={folder}"]) == 0
    promoted = read(tmp_path, "models/best/MNIST.json")
    run = {"fake_data": True, "jit": "off", "threads": 1}  # which digits it is the best for
    assert promoted["from"]["run"] == run
    assert (promoted["from"]["folder"], promoted["from"]["search"]) == (folder.name, "hyperband")
    best = read(folder, "best.json")
    assert promoted["config"] == best["hyperparameters"]
    assert promoted["from"]["trial"] == best["trial"] and promoted["from"]["data_checksum"]
    again = [record for record in ledger(folder) if "seed" in record]
    assert len(again) == 8 and {record["until"] for record in again} == {LAST}
    means = [result["mean"] for result in best["confirmed"]]
    assert best["mean"] == promoted["valid"]["accuracy"] == means[0] > min(means)
    assert promoted["seeds"] == 2 and promoted["spread"] == best["spread"] > 0


def test_more_steps_go_on_in_the_trials_runs_and_equal_a_straight_training(straight, tmp_path):
    folder, further = tmp_path / "extended", 2 * LAST
    shutil.copytree(straight[0], folder)
    process = search(folder, 2, common=["--search=hyperband", f"--max_iter={further}"])
    assert process.communicate()[1] == "" and process.returncode == 0
    assert [r for r in ledger(straight[0]) if "seed" not in r and r not in ledger(folder)] == []
    own = [r for r in ledger(folder) if r["until"] == further and "seed" not in r]
    assert len(own) == 2 and read(folder, "best.json")["until"] == further
    run_folder = folder / "trials" / f"{own[0]['trial']:04}"
    assert list(digests(run_folder))[-2:] == [LAST, further]
    assert digests(run_folder)[further] == own[0]["weights_sha256"]
    command = [sys.executable, "main.py", "--verify", f"--result_dir={run_folder}"]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
    assert "bit-identical at" in answer.stdout.splitlines()[-1], answer.stdout
