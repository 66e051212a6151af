"""A search gives the same answer with any number of processes, in any order, killed or not."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from runs import digests, read

import main
from hpsearch import trial
from hpsearch.display import Display, draw
from hpsearch.search import SearchFolder, run
from models import MODELS, ConfigError, make_model
from training.checkpoints import weights_sha256
from training.files import PROJECT

LAST = 54  # steps
FLAGS = [f"--max_iter={LAST}", "--min_iter=6", "--nojit", "--search_seed=3", "--search=hyperband"]


def ledger(folder):
    """The ledger's records, sorted by trial."""
    records = lines_of(folder / "ledger.jsonl")
    return sorted(records, key=lambda record: (record["trial"], record["until"]))


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def search(folder, nb_process, *flags):
    """Start a search as a user does."""
    command = [sys.executable, "main.py", *FLAGS, f"--nb_process={nb_process}"]
    command += [f"--result_dir={folder}", *flags]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    if os.name != "nt":  # tests that run in the background inherit an ignored SIGINT
        options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, cwd=PROJECT, **options)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A search in one process that nothing disturbed: (folder, what it printed)."""
    folder = tmp_path_factory.mktemp("search") / "straight"
    process = search(folder, 1)
    output, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    return folder, output


def assert_same(folder, straight):
    assert ledger(folder) == ledger(straight)
    assert read(folder, "best.json") == read(straight, "best.json")


def test_two_processes_give_the_same_answer_as_one_and_another_seed_another(straight, tmp_path):
    two, other = search(tmp_path / "two", 2), search(tmp_path / "other", 1, "--search_seed=4")
    for process in (two, other):
        assert process.communicate()[1] == "" and process.returncode == 0
    assert_same(tmp_path / "two", straight[0])
    assert ledger(tmp_path / "other") != ledger(straight[0])


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


def wait_for_lines(folder, count, process):
    path, deadline = folder / "ledger.jsonl", time.monotonic() + 120
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_workers_and_parent_that_are_killed_change_nothing(straight, tmp_path):
    folder, chance = tmp_path / "killed", random.Random(os.getpid())
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
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "") and "the same command goes on" in output
    assert len(workers) == 2 and not any(alive(pid) for pid in workers)
    process = search(tmp_path / "stopped", 1)
    assert process.communicate()[1] == "" and process.returncode == 0
    assert_same(tmp_path / "stopped", straight[0])


def test_a_promoted_trial_equals_a_straight_training(straight):
    folder = straight[0]
    promoted = next(r for r in ledger(folder) if r["rung"] == 1 and r["until"] == LAST)
    run_folder = folder / "trials" / f"{promoted['trial']:04}"
    assert list(digests(run_folder))[:2] == [0, 18]
    config = read(run_folder, "config.json")["config"]
    with make_model({n: v for n, v in config.items() if n != "result_dir"}) as model:
        model.prepare_steps()
        while model.step < LAST:
            model.learn_from_epoch(LAST)
        assert weights_sha256(model.weights()) == promoted["weights_sha256"]
        assert weights_sha256(model.weights()) != digests(run_folder)[18]


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
    promoted = read(tmp_path, "models/best/LinearRegression.json")
    best = read(folder, "best.json")
    assert promoted["config"] == best["hyperparameters"]
    assert promoted["from"]["trial"] == best["trial"] and promoted["from"]["data_checksum"]
    whole = [r for r in ledger(folder) if r["until"] == LAST]
    assert best["score"] == min(record["score"] for record in whole)


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


def test_a_diverged_trial_is_a_state_and_not_a_score(tmp_path):
    config = {"result_dir": str(tmp_path / "0000"), "max_iter": 300, "lr": 100.0, "random_seed": 0}
    outcome = trial.run(config | {"batch_size": 30}, 300, trial.Models())
    assert outcome["state"] == "diverged" and outcome["score"] is None
    assert "not finite at step" in outcome["reason"]


# --- with a made-up objective -----------------------------------------------------------------


class MadeUp:
    """An executor without processes: scores by a formula, in a random order."""

    def __init__(self, order, width=4, stop_after=None):
        self.chance, self.width, self.stop_after = random.Random(order), width, stop_after
        self.running, self.done = [], 0

    def is_free(self):
        return len(self.running) < self.width

    def start(self, job, config):
        self.running.append(job)

    def finished(self, timeout):
        job = self.running.pop(self.chance.randrange(len(self.running)))
        self.done += 1
        if job.trial % 7 == 0:
            return [(job, {"state": "failed", "score": None, "reason": "made up"})]
        return [(job, {"state": "trained", "score": score(job)} | NOTHING)]

    def stopped(self):
        return self.stop_after is not None and self.done >= self.stop_after


NOTHING = {"valid": {}, "weights_sha256": ""}


def score(job):
    return -abs(job.hyperparameters["lr"] - 0.01) + job.until / 1e6


def settings(**changed):
    base = {s.name: s.default for s in MODELS["MNIST"].hyperparameters}
    return {
        "model_name": "MNIST", "search": "fullsearch", "search_seed": 0, "max_iter": 81,
        "min_iter": 3, "eta": 3, "fixed_params": {}, "base": base,
        "objective": ["accuracy", "max"], "run": {},
    } | changed  # fmt: skip


def made_up_search(path, executor, **changed):
    names = ["lr"]
    with SearchFolder(settings(**changed), path) as folder, Display("max", names) as display:
        return run(folder, MODELS["MNIST"], executor, display, executor.stopped)


def test_any_order_of_completion_gives_the_same_ledger(tmp_path, capsys):
    for order, width in [(0, 1), (1, 4), (2, 64)]:
        assert made_up_search(tmp_path / f"{order}", MadeUp(order, width))
    assert_same(tmp_path / "1", tmp_path / "0")
    assert_same(tmp_path / "2", tmp_path / "0")
    whole = [r for r in ledger(tmp_path / "0") if r["until"] == 81 and r["state"] == "trained"]
    assert read(tmp_path / "0", "best.json")["score"] == max(r["score"] for r in whole)


def test_a_search_that_was_stopped_anywhere_goes_on_to_the_same_end(tmp_path, capsys):
    made_up_search(tmp_path / "straight", MadeUp(0))
    total = len(ledger(tmp_path / "straight"))
    for stop in range(0, total, 37):
        folder = tmp_path / f"{stop}"
        assert made_up_search(folder, MadeUp(1, stop_after=stop)) is False
        with open(folder / "ledger.jsonl", "a") as file:
            file.write('{"trial": 3, "torn')
        executor = MadeUp(2)
        assert made_up_search(folder, executor) is True
        assert_same(folder, tmp_path / "straight")
        assert executor.done < total or stop == 0  # what was there was not run again


def test_an_altered_line_is_said_and_its_job_is_run_again(tmp_path, capsys):
    made_up_search(tmp_path / "search", MadeUp(0))
    before = ledger(tmp_path / "search")
    path = tmp_path / "search" / "ledger.jsonl"
    records = lines_of(path)
    records[3]["score"] = 99.0
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    made_up_search(tmp_path / "search", MadeUp(0))
    assert f"trial {records[3]['trial']} was altered" in capsys.readouterr().out
    assert ledger(tmp_path / "search") == before


def test_a_search_with_other_settings_or_of_another_model_is_refused(tmp_path, capsys):
    made_up_search(tmp_path / "search", MadeUp(0))
    with pytest.raises(ConfigError, match=r"search_seed=0 \(now 1\)"):
        made_up_search(tmp_path / "search", MadeUp(0), search_seed=1)
    with pytest.raises(ConfigError, match="model_name=MNIST"):
        made_up_search(tmp_path / "search", MadeUp(0), model_name="LinearRegression")


def test_two_parents_on_one_search_are_one_too_many(tmp_path):
    with (
        SearchFolder(settings(), tmp_path / "search"),
        pytest.raises(BlockingIOError, match="in use by another search"),
        SearchFolder(settings(), tmp_path / "search"),
    ):
        pass


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("ten years")
    with pytest.raises(FileExistsError, match="thesis.txt but no search"):
        made_up_search(tmp_path, MadeUp(0))
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_search_in_which_nothing_could_be_trained_says_so(tmp_path, capsys):
    class Failing(MadeUp):
        def finished(self, timeout):
            return [(self.running.pop(), {"state": "failed", "score": None, "reason": "no"})]

    with pytest.raises(ValueError, match="no trial could be trained to the end"):
        made_up_search(tmp_path / "search", Failing(0))
    assert not (tmp_path / "search" / "best.json").exists()


def test_the_same_settings_have_the_same_folder(results):
    one, two, other = (SearchFolder(settings(eta=eta)) for eta in (3, 3, 4))
    assert one.path == two.path != other.path and not results.exists()


def test_the_picture_is_drawn_of_any_search(tmp_path, capsys):
    made_up_search(tmp_path / "search", MadeUp(0))
    with SearchFolder(settings(), tmp_path / "search") as folder:
        draw(folder)
    assert (tmp_path / "search" / "search.png").exists()


@pytest.mark.parametrize(
    "flags, words",
    [
        ("--search=grid", ["--search=grid", "one of random, hyperband, lr"]),
        ("--nb_process=2", ["--nb_process goes with --search"]),
        ("--search=lr --nb_process=0", ["--nb_process=0", "from 1"]),
        ("--search=lr --fullsearch", ["one stage"]),
        ("--search=hyperband --random_seed=1", ["--random_seed", "--search_seed"]),
        ("--search=hyperband --min_iter=300", ["--min_iter=300", "--max_iter=200"]),
        ("--search=hyperband --fixed_params={", ["--fixed_params={", "initial_mean"]),
        ('--search=lr --fixed_params={"lrr":1}', ["lrr is not", "lr (float, from 1e-09 to 1000)"]),
        ('--search=lr --fixed_params={"lr":"x"}', ["--lr=x", "float"]),
        ('--search=lr --fixed_params={"lr":-1}', ["--lr=-1", "from"]),
        ("--search=hyperband --lr=1 --optimizer=sgd --initial_stddev=1", ["left to search"]),
        ("--promote", ["--promote needs --result_dir"]),
    ],
)
def test_a_search_that_cannot_be_is_refused(shell, flags, words, results):
    status, _, errors = shell(*flags.split())
    assert status == 2 and errors.count("\n") == 1, errors
    for word in words:
        assert word in errors
    assert not results.exists()


def test_a_dry_run_prints_the_schedule_and_writes_nothing(shell, results):
    status, output, errors = shell("--search=hyperband", "--dry_run", "--nojit")
    assert (status, errors) == (0, "") and not results.exists()
    assert "49 trials, 2,628 steps, 4 processes" in output
    assert "MB of disk" in output
