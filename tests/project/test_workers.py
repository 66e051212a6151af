"""Data-parallel training: workers with equal weights, the same digests each time, and no hang."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from clusters import MAIN, NOTEBOOK, ends, start, task
from runs import digests, metrics

from models import ConfigError, make_model
from training import launcher, tf_config
from training.files import PROJECT
from training.launcher import free_ports

FLAGS = ("--random_seed=7", "--threads=1", "--max_iter=60", "--save_every=20", "--log_every=10",
         "--eval_every=20", "--lr=0.1")  # fmt: skip
LONG = ("--random_seed=7", "--threads=1", "--max_iter=3000", "--save_every=500", "--jit=off",
        "--log_every=500", "--eval_every=500")  # fmt: skip
FAKE = ("--model_name=MNIST", "--fake_data", "--random_seed=3", "--threads=1", "--max_iter=60",
        "--eval_every=30", "--log_every=10", "--save_every=30")  # fmt: skip
FAILS = """
from models import MODELS
def fail(model, *arguments, **options):
    raise ZeroDivisionError
MODELS["Toy"].{} = fail
"""
SLOW = """
import pathlib, time
from models import MODELS
def evaluate(model, split):
    while not pathlib.Path({!r}).exists():
        time.sleep(0.1)
    return MODELS["Toy"].evaluated(model, split)
MODELS["Toy"].evaluated, MODELS["Toy"].evaluate = MODELS["Toy"].evaluate, evaluate
"""
PATIENT = """
import pathlib
from training import cluster
def task_at(address, seconds):
    asked.append(address)
    if len(asked) == 4:  # at the start, and three times beyond the time limit
        pathlib.Path({!r}).touch()
    return first(address, seconds)
def agree(self, *arguments):
    config = cluster.Cluster.agreed(self, *arguments)
    self.timeout = 0.5
    return config
asked, first, cluster.task_at = [], cluster.task_at, task_at
cluster.Cluster.agreed, cluster.Cluster.agree = cluster.Cluster.agree, agree
"""
SOON = 15  # seconds in which the other workers end; on a busy machine


@pytest.fixture(scope="module")
def two(toy_project, tmp_path_factory):
    """The folder of an undisturbed run of two workers, and what each of them printed."""
    folder = tmp_path_factory.mktemp("two") / "run"
    return folder, ends(start(toy_project, 2, *FLAGS, f"--result_dir={folder}"))


@pytest.fixture(scope="module")
def long(toy_project, tmp_path_factory):
    """The digests of a longer undisturbed run of two workers."""
    folder = tmp_path_factory.mktemp("long") / "run"
    ended = ends(start(toy_project, 2, *LONG, f"--result_dir={folder}"))
    assert [status for status, _, _ in ended] == [0, 0], ended
    return digests(folder)


def losses(folder):
    """The loss of every record, in order."""
    return [record["loss"] for record in metrics(folder)]


def wait_for(path, processes, seconds=60):
    """Wait until a file is there."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end and all(p.poll() is None for p in processes)
        time.sleep(0.05)


def test_workers_train_together_and_the_chief_alone_writes(two):
    folder, ended = two
    assert [status for status, _, _ in ended] == [0, 0], ended
    assert sorted(digests(folder)) == [0, 20, 40, 60]
    assert "Results go to" in ended[0][1] and "Step 20" not in ended[1][1]
    assert "The chief has ended at step 60: complete" in ended[1][1]
    assert json.loads((folder / "config.json").read_text())["config"]["nb_workers"] == 2


def test_workers_that_main_starts_itself_give_the_bits_of_those_in_tf_config(
    two, process, tmp_path
):
    folder = tmp_path / "run"
    answer = process(*FLAGS, "--nb_workers=2", f"--result_dir={folder}")
    assert answer.returncode == 0, answer.stderr
    assert digests(folder) == digests(two[0])
    answer = process("--verify", "--worker_timeout=60", f"--result_dir={folder}")
    assert answer.returncode == 0 and "bit-identical at 4 of 4" in answer.stdout
    records = (folder / "checkpoints" / "checkpoints.jsonl").read_text().splitlines(True)
    spoilt = records[2].replace('"weights_sha256": "', '"weights_sha256": "0')
    (folder / "checkpoints" / "checkpoints.jsonl").write_text("".join([*records[:2], spoilt]))
    answer = process("--verify", f"--result_dir={folder}")
    assert answer.returncode == 1 and "different at step 40" in answer.stdout


def test_several_workers_lose_what_one_loses_up_to_the_order_of_sums(tmp_path):
    found = {}
    for count in (1, 2, 4):
        folder = tmp_path / str(count)
        flags = [*FAKE, f"--result_dir={folder}", f"--nb_workers={count}"]
        answer = subprocess.run([sys.executable, "main.py", *flags], cwd=PROJECT,
                                capture_output=True, text=True)  # fmt: skip
        assert answer.returncode == 0, answer.stderr
        found[count] = losses(folder), digests(folder)
    for count in (2, 4):
        np.testing.assert_allclose(found[count][0], found[1][0], rtol=1e-4)
        assert found[count][1][60] != found[1][1][60]  # what differs can be seen
        assert found[count][1][0] == found[1][1][0]


@pytest.mark.parametrize("index, name", [(0, "the chief"), (1, "worker 1")])
def test_when_a_worker_is_killed_the_other_says_so_and_all_go_on_exactly(
    index, name, long, toy_project, tmp_path
):
    folder = tmp_path / "run"
    flags = (*LONG, f"--result_dir={folder}")
    workers = start(toy_project, 2, *flags, limit=600)
    wait_for(folder / "checkpoints" / "model.ckpt-500.index", workers)
    workers[index].kill()
    began = time.monotonic()
    status, _, errors = ends([workers[1 - index]])[0]
    assert time.monotonic() - began < SOON
    assert status == 1 and f"{name} (localhost:" in errors and "has ended" in errors
    assert ends(workers)[index][0] == -signal.SIGKILL
    assert [status for status, _, _ in ends(start(toy_project, 2, *flags))] == [0, 0]
    assert digests(folder) == long


@pytest.mark.slow
def test_workers_that_something_starts_again_one_by_one_reach_the_same_end(
    long, toy_project, tmp_path
):
    """As Kubernetes does: whatever ends with an error starts again by itself."""
    folder, starts, random = tmp_path / "run", [0, 0], np.random.default_rng(0)
    hosts = [f"localhost:{port}" for port in free_ports(2)]
    flags = (*LONG, f"--result_dir={folder}")
    running = start(toy_project, 2, *flags, hosts=hosts, limit=20)
    kills, end = [500, 1500], time.monotonic() + 300
    while [process.poll() for process in running] != [0, 0] and time.monotonic() < end:
        for index, process in enumerate(running):
            if process.poll() not in (None, 0):
                starts[index] += 1
                again = start(toy_project, 2, *flags, hosts=hosts, only=index, limit=20)
                running[index] = again[index]
        if kills and (folder / "checkpoints" / f"model.ckpt-{kills[0]}.index").exists():
            running[random.integers(2)].kill()
            del kills[0]
        time.sleep(0.2)
    ends(running)
    assert not kills and min(starts) >= 1
    assert digests(folder) == long


@pytest.mark.parametrize("told", [[1], [0, 1]], ids=["one", "all"])
def test_workers_that_are_told_to_stop_stop_all_after_saving(told, long, toy_project, tmp_path):
    folder = tmp_path / "run"
    flags = (*LONG, f"--result_dir={folder}")
    workers = start(toy_project, 2, *flags, "--eval_every=10")  # so that it takes seconds
    wait_for(folder / "checkpoints" / "model.ckpt-500.index", workers)
    for index in told:  # a time limit tells all, and so does Ctrl-C
        workers[index].send_signal(signal.SIGTERM)
    ended = ends(workers)
    assert [status for status, _, _ in ended] == [143, 143], ended
    assert json.loads((folder / "status.json").read_text())["status"] == "interrupted"
    assert [status for status, _, _ in ends(start(toy_project, 2, *flags))] == [0, 0]
    found = digests(folder)
    assert {step: found[step] for step in long} == long


@pytest.mark.parametrize("index, name", [(0, "the chief"), (1, "worker 1")])
def test_a_worker_that_does_not_answer_stops_the_others_after_the_time_limit(
    index, name, toy_project, tmp_path
):
    folder = tmp_path / "run"
    workers = start(toy_project, 2, *LONG, f"--result_dir={folder}", limit=5)
    wait_for(folder / "checkpoints" / "model.ckpt-500.index", workers)
    workers[index].send_signal(signal.SIGSTOP)
    began = time.monotonic()
    try:
        status, _, errors = ends([workers[1 - index]])[0]
        assert status == 1
        assert f"no answer within --worker_timeout=5 seconds from {name} (" in errors
        assert time.monotonic() - began < 5 + SOON
    finally:
        workers[index].kill()


@pytest.mark.parametrize(
    "index, method", [(0, "evaluate"), (0, "load"), (1, "weights"), (1, "inference")]
)
def test_when_a_worker_fails_in_a_notebook_the_others_end_soon(
    index, method, toy_project, tmp_path
):
    """In an evaluation, at a checkpoint, or while the model is built."""
    programs = {index: FAILS.format(method) + NOTEBOOK}
    flags = (*FLAGS, f"--result_dir={tmp_path / 'run'}")
    workers = start(toy_project, 2, *flags, limit=600, programs=programs)
    status, _, errors = ends([workers[1 - index]])[0]
    name = ["the chief", "worker 1"][index]
    assert status == 1 and f"{name} (localhost:" in errors and "has failed; its own" in errors
    assert workers[index].poll() is None
    assert "ZeroDivisionError" in ends([workers[index]])[0][2]


def test_workers_wait_for_a_chief_that_evaluates_for_longer_than_the_time_limit(
    two, toy_project, tmp_path
):
    folder, sign = tmp_path / "run", str(tmp_path / "sign")
    programs = {0: SLOW.format(sign) + MAIN, 1: PATIENT.format(sign) + MAIN}
    ended = ends(start(toy_project, 2, *FLAGS, f"--result_dir={folder}", programs=programs))
    assert [status for status, _, _ in ended] == [0, 0], ended
    assert digests(folder) == digests(two[0])


def test_the_chief_computes_the_digests_of_a_checkpoint_once(two, toy_project, tmp_path):
    folder, programs = tmp_path / "run", {0: "import training.run\ndel training.run.digests" + MAIN}
    ended = ends(start(toy_project, 2, *FLAGS, f"--result_dir={folder}", programs=programs))
    assert [status for status, _, _ in ended] == [0, 0], ended
    assert digests(folder) == digests(two[0])


def test_a_run_that_diverges_ends_so_on_every_worker(toy_project, tmp_path):
    folder = tmp_path / "run"
    flags = (*FLAGS[:-1], "--lr=1000", "--optimizer=momentum", "--jit=off")
    ended = ends(start(toy_project, 2, *flags, "--weight_decay=1", f"--result_dir={folder}"))
    assert [status for status, _, _ in ended] == [3, 3], ended
    assert "not finite at step" in ended[0][2]
    assert "diverged" in ended[1][1]


def test_streamed_data_gives_the_bits_of_data_on_the_device(two, process, tmp_path):
    folder = tmp_path / "run"
    answer = process(*FLAGS, "--nb_workers=2", "--data=stream", f"--result_dir={folder}")
    assert answer.returncode == 0, answer.stderr
    assert digests(folder) == digests(two[0])


@pytest.mark.parametrize(
    "own, words",
    [
        ("--lr=0.2", "other flags: --lr=0.2 (the chief: 0.1)"),
        ("--threads=2", "--threads=2 (the chief: 1;"),
    ],
)
def test_workers_with_other_settings_than_the_chief_are_refused(own, words, toy_project, tmp_path):
    flags = [flag for flag in FLAGS if flag.partition("=")[0] != own.partition("=")[0]]
    mine = {0: [f for f in FLAGS if f not in flags], 1: [own]}
    ended = ends(start(toy_project, 2, *flags, f"--result_dir={tmp_path / 'run'}", own=mine))
    assert [status for status, _, _ in ended] == [2, 2], ended
    assert words in ended[1][2] and "worker 1 (localhost:" in ended[0][2]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "line, by, words",
    [
        ('f"points of {split}"', 'f"points, {split}"', "training data"),
        ("stddev=0.5", "stddev=0.25", "graph"),
    ],
)
def test_workers_with_other_data_or_code_than_the_chief_are_refused(
    line, by, words, toy_project, tmp_path
):
    other = shutil.copytree(toy_project, tmp_path / "other")
    text = (other / "models" / "toy.py").read_text()
    assert line in text
    (other / "models" / "toy.py").write_text(text.replace(line, by))
    hosts = [f"localhost:{port}" for port in free_ports(2)]
    flags = (*FLAGS, f"--result_dir={tmp_path / 'run'}")
    chief, _ = start(toy_project, 2, *flags, hosts=hosts, only=0)
    _, worker = start(other, 2, *flags, hosts=hosts, only=1)
    ended = ends([chief, worker])
    assert [status for status, _, _ in ended] == [2, 2], ended
    assert words in ended[1][2] and "worker 1 (localhost:" in ended[0][2]
    assert not (tmp_path / "run").exists()


def test_a_worker_that_never_comes_is_named_after_the_time_limit(toy_project, tmp_path):
    hosts = [f"localhost:{free_ports(1)[0]}", "nowhere.invalid:2222"]
    flags = (*FLAGS, f"--result_dir={tmp_path / 'run'}")
    chief, _ = start(toy_project, 2, *flags, hosts=hosts, only=0, limit=2)
    status, output, errors = ends([chief])[0]
    assert status == 1 and "worker 1 (nowhere.invalid:2222)" in errors
    assert "--worker_timeout=2" in errors and "Waiting for worker 1" in output
    assert not (tmp_path / "run").exists()


def test_a_chief_that_accepts_and_never_answers_is_given_up_after_the_time_limit(toy_project):
    hosts, began = [f"localhost:{port}" for port in free_ports(2)], time.monotonic()
    with socket.create_server(("localhost", int(hosts[0].rpartition(":")[2]))):
        _, worker = start(toy_project, 2, *FLAGS, hosts=hosts, only=1, limit=2)
        status, _, errors = ends([worker])[0]
    assert status == 1 and "no answer within --worker_timeout=2 seconds from the chief (" in errors
    assert time.monotonic() - began < 2 * SOON


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists a process's children so")
def test_workers_end_soon_after_a_launcher_that_is_killed_early(toy_project, tmp_path):
    command = [sys.executable, "main.py", "--nb_workers=2", f"--result_dir={tmp_path / 'run'}"]
    chief = subprocess.Popen(command, cwd=toy_project, stdout=subprocess.DEVNULL)
    children = Path(f"/proc/{chief.pid}/task/{chief.pid}/children")
    end = time.monotonic() + 30
    while not (worker := children.read_text().split()):
        assert time.monotonic() < end
        time.sleep(0.01)
    chief.kill()
    chief.wait()
    while Path(f"/proc/{worker[0]}").exists():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_two_models_of_one_worker_keep_variables_of_their_own(tmp_path):
    program = """
import json, sys
from models import make_model
def weights(model):
    return {name: array.tolist() for name, array in model.weights().items()}
common = {"model_name": "LinearRegression", "threads": 1}
with make_model(common | {"random_seed": 1}) as one:
    before = weights(one)
    with make_model(common | {"random_seed": 2}) as other:
        print(json.dumps([before, weights(one), weights(other)]))
"""
    hosts = [f"localhost:{port}" for port in free_ports(2)]
    processes = [
        subprocess.Popen([sys.executable, "-c", program], cwd=PROJECT, text=True,
                         env=os.environ | {"TF_CONFIG": task(hosts, index)},
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for index in range(2)
    ]  # fmt: skip
    for status, output, errors in ends(processes):
        assert status == 0, errors
        before, after, other = json.loads(output.splitlines()[-1])
        assert before == after != other


def test_two_chiefs_on_two_machines_are_refused(toy_project, tmp_path):
    """Each machine has its own port here; both processes take themselves for the chief.

    The one that is refused first may have ended before the other looks for it.
    """
    hosts = [f"localhost:{port}" for port in free_ports(2)]
    flags = (*FLAGS, "--worker_timeout=20", f"--result_dir={tmp_path / 'run'}")
    one, _ = start(toy_project, 2, *flags, hosts=hosts, only=0)
    other, _ = start(toy_project, 2, *flags, hosts=hosts[::-1], only=0)
    ended = ends([one, other])
    assert 2 in [status for status, _, _ in ended], ended
    for (status, _, errors), address in zip(ended, hosts[::-1], strict=True):
        said = f"worker 1 ({address}) is task 1, and the process there says that it is task 0"
        gone = f"worker 1 ({address}) has ended", f"worker 1 ({address}): Connection refused"
        assert said in errors if status == 2 else any(words in errors for words in gone)
    assert not (tmp_path / "run").exists()


def test_a_second_process_with_the_same_task_is_refused(toy_project, tmp_path):
    hosts = [f"localhost:{port}" for port in free_ports(2)]
    with socket.socket() as first:
        first.bind(("", int(hosts[0].rpartition(":")[2])))
        first.listen()
        chief, _ = start(toy_project, 2, *FLAGS, hosts=hosts, only=0)
        status, _, errors = ends([chief])[0]
    assert status == 2 and "the chief (localhost:" in errors and "Is another process" in errors


@pytest.mark.parametrize(
    "content, words",
    [
        ("{", "is not a cluster and a task in JSON"),
        ('["a:1"]', "is not a cluster and a task in JSON"),
        ({"cluster": {"worker": ["a:1", "b"]}}, "b is not host:port"),
        ({"cluster": {"worker": ["a:1", "a:1"]}}, "a:1 is there more than once"),
        ({"cluster": {"chief": ["a:1", "b:1"]}}, "the cluster has 2 chiefs"),
        ({"cluster": {"worker": ["a:1"], "ps": ["b:1"]}}, "the cluster has ps tasks"),
        ({"cluster": {"worker": ["a:1", "b:1"]}}, "no task None None"),
        ({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}},
         "no task worker 2"),
        ({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "evaluator", "index": 0}},
         "no task evaluator 0"),
    ],
)  # fmt: skip
def test_a_wrong_tf_config_is_refused_in_a_line(content, words, shell, monkeypatch):
    text = content if isinstance(content, str) else json.dumps(content)
    monkeypatch.setenv("TF_CONFIG", text)
    status, _, errors = shell()
    assert status == 2 and "TF_CONFIG" in errors and words in errors
    assert errors.count("\n") == 1


def test_the_chief_of_tf_config_comes_first(monkeypatch):
    hosts = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    for kind, index, wanted in [("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)]:
        content = {"cluster": hosts, "task": {"type": kind, "index": index}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(content))
        assert tf_config.task_of_environment() == (("a:1", "b:1", "c:1"), wanted)


def test_workers_on_one_machine_have_gpus_of_their_own(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    config = {"device": "auto", "nb_replicas": 2, "nb_workers": 2}
    assert launcher.gpus(config, 1) == {"CUDA_VISIBLE_DEVICES": "2,3"}
    assert launcher.gpus(config | {"device": "cpu"}, 1) == {}
    with pytest.raises(ConfigError, match="there are 4 GPUs here, and each worker needs 2"):
        launcher.gpus(config | {"nb_workers": 3}, 0)


@pytest.mark.parametrize("content", ["", "{}", '{"cluster": {"worker": ["a:1"]}}'])
def test_a_process_alone_in_tf_config_trains_as_without_it(content, small, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", content)
    assert tf_config.task_of_environment() is None
    with make_model(small) as model:
        assert model.cluster is None


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"batch_size": 15}, "--batch_size=15 cannot be shared equally by --nb_workers=2"),
        ({"jit": "loop"}, "--jit=loop"),
    ],
)
def test_what_workers_cannot_share_is_refused(settings, words, toy_project, tmp_path):
    flags = [f"--{name}={value}" for name, value in settings.items()]
    ended = ends(start(toy_project, 2, *flags, f"--result_dir={tmp_path / 'run'}"))
    assert [status for status, _, _ in ended] == [2, 2], ended
    assert words in ended[0][2]


def test_a_process_in_no_cluster_says_what_starts_one(small):
    with make_model(small | {"nb_workers": 2}) as model:
        with pytest.raises(ConfigError, match="this process is in no cluster"):
            model.train()
