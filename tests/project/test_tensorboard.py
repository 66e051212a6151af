"""What TensorBoard shows of a run, and a run without TensorBoard."""

import collections
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
import tensorflow as tf

from models import make_model
from training.files import PROJECT


def events(folder):
    """The events of a folder, file after file."""
    for path in sorted(folder.glob("events.*")):
        yield from tf.compat.v1.train.summary_iterator(str(path))


def points(folder):
    """{tag: [step, ...]} of all summaries."""
    found = collections.defaultdict(list)
    for event in events(folder):
        for value in event.summary.value:
            found[value.tag].append(event.step)
    return found


def test_curves_variables_summaries_and_graph_are_recorded(finished):
    folder, _ = finished
    train, valid = points(folder / "train"), points(folder / "valid")
    assert train["loss"] == [20, 40, 60, 80, 100, 120]
    assert valid["loss"] == valid["accuracy"] == [40, 80, 120]
    for statistic in ("mean", "std", "min", "max"):
        assert train[f"hidden/weights/{statistic}"] == [40, 80, 120]
    assert train["hidden/weights"] == [40, 80, 120]
    assert train["summaries/points"] == [40, 80, 120]
    graph = tf.compat.v1.GraphDef()
    (text,) = [event.graph_def for event in events(folder / "train") if event.graph_def]
    graph.ParseFromString(text)
    scopes = {node.name.split("/")[0] for node in graph.node}
    assert {"hidden", "logits", "loss", "evaluation"} <= scopes


def test_a_resumed_run_tells_tensorboard_what_to_forget(small, tmp_path):
    with make_model(small) as model:
        model.train(until=50)
    with make_model(small) as model:
        model.train()
    starts = [
        event.step
        for event in events(tmp_path / "run" / "train")
        if event.session_log.status == tf.compat.v1.SessionLog.START
    ]
    assert starts == [51]
    assert points(tmp_path / "run" / "train")["loss"] == [20, 40, 60, 80, 100, 120]


def test_a_run_goes_on_when_an_event_file_was_deleted(small, tmp_path):
    for until in (20, 40):
        with make_model(small) as model:
            model.train(until=until)
    next(iter((tmp_path / "run" / "train").glob("*.00000"))).unlink()
    with make_model(small) as model:
        assert model.train()["status"] == "complete"
    assert points(tmp_path / "run" / "train")["loss"] == [40, 60, 80, 100, 120]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ask(url, deadline):
    """The JSON that a server answers, once it is up."""
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)
        except OSError:
            assert time.monotonic() < deadline, f"no answer from {url}"
            time.sleep(0.2)


def test_a_tensorboard_server_shows_the_run(finished, tmp_path):
    pytest.importorskip("tensorboard")
    shutil.copytree(finished[0], tmp_path / "MNIST" / "run")
    port = free_port()
    command = [sys.executable, "-m", "tensorboard.main", f"--logdir={tmp_path}", f"--port={port}"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        base = f"http://127.0.0.1:{port}/data"
        while "MNIST/run/valid" not in (runs := ask(f"{base}/runs", deadline)):
            assert time.monotonic() < deadline, runs
            time.sleep(0.2)
        url = f"{base}/plugin/scalars/scalars?run=MNIST/run/valid&tag=accuracy"
        curve = ask(url, deadline)
        assert [step for _, step, _ in curve] == [40, 80, 120]
        assert all(0 <= value <= 1 for _, _, value in curve)
        session = ask_hparams(base, deadline)
        assert {"lr", "units"} <= set(session["hparams"])
    finally:
        server.kill()
        server.wait()


def ask_hparams(base, deadline):
    """The one session group on TensorBoard's HPARAMS page."""
    statuses = ["STATUS_RUNNING", "STATUS_UNKNOWN"]
    body = json.dumps({"startIndex": 0, "sliceSize": 9, "allowedStatuses": statuses})
    url = f"{base}/plugin/hparams/session_groups"
    request = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json"})
    return ask(request, deadline)["sessionGroups"][0]


def test_without_the_tensorboard_package_a_run_works_all_the_same(tmp_path):
    code = (
        "import sys; sys.modules['tensorboard'] = None; import main;"
        f"sys.exit(main.main(['main.py', '--max_iter=10', {f'--result_dir={tmp_path}'!r}]))"
    )
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert points(tmp_path / "valid")["loss"] == [10]
