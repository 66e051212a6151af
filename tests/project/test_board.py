"""The real server of --board on runs of all kinds, read back through its addresses."""

import contextlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import wave

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from runs import curves, metrics, train
from toy import Toy

from data.fake_digits import fake_digits
from models import MODELS
from training.files import PROJECT

pytest.importorskip("tensorboard")

MNIST = {
    "model_name": "MNIST",
    "fake_data": True,
    "hidden1": 16,
    "jit": "off",
    "random_seed": 3,
    "max_iter": 40,
    "eval_every": 20,
}
RUNS = {  # the objective of the first is better than that of the second
    "MNIST/fast": MNIST | {"lr": 0.3, "trace_every": 20},
    "MNIST/slow": MNIST | {"lr": 0.001, "optimizer": "adam"},
    "MNIST/interrupted": MNIST,
    "Loud/run": {"model_name": "Loud", "jit": "off", "max_iter": 20, "eval_every": 20},
    "LinearRegression/diverged": {"lr": 1000.0, "jit": "off", "random_seed": 0},
}
RATE, HERTZ = 8000, 440


class Loud(Toy):
    """Its summaries are a tone, which is louder in the right channel."""

    def summaries(self, batch, outputs, loss):
        tone = tf.sin(2 * np.pi * HERTZ * tf.range(RATE, dtype=tf.float32) / RATE)
        both = tf.stack([0.4 * tone, 0.8 * tone], axis=-1)
        return [tf.compat.v1.summary.audio("tone", both[tf.newaxis], RATE)]


@contextlib.contextmanager
def board(*flags):
    """Start main.py --board. Within it: (process, address); it ends as by Ctrl-C."""
    command = [sys.executable, "main.py", "--board", "--port=0", *flags]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    if os.name != "nt":  # tests that run in the background inherit an ignored SIGINT
        pipes["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, cwd=PROJECT, **pipes) as process:
        try:
            line = process.stdout.readline()
            yield process, re.search(r"http://127\.0\.0\.1:\d+/", line)[0]
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """(the folder of RUNS, a function that asks the board on it for an address)."""
    if os.name == "nt":
        pytest.skip("on Windows TensorBoard names runs with backslashes")
    folder = tmp_path_factory.mktemp("results")
    MODELS["Loud"] = Loud
    try:
        for name, settings in RUNS.items():
            until = 20 if name == "MNIST/interrupted" else None
            train(settings | {"result_dir": str(folder / name)}, until=until)
    finally:
        del MODELS["Loud"]
    with board(f"--result_dir={folder}") as (_, url):

        def ask(path, **body):
            content = json.dumps(body).encode() if body else None
            about = {"Content-Type": "application/json"}
            request = urllib.request.Request(url + "data/" + path, content, about)
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.read()

        wait_for_runs(ask)
        yield folder, ask


def wait_for_runs(ask):
    deadline = time.monotonic() + 60
    expected = {f"{name}/{split}" for name in RUNS for split in ("train", "valid")}
    while not expected <= set(json.loads(ask("runs"))):
        assert time.monotonic() < deadline, "the server has not read all runs"
        time.sleep(0.2)
    while "step 40" not in tags(ask, "graphs/info", "MNIST/fast/train"):
        assert time.monotonic() < deadline, "the server has not read the traces"
        time.sleep(0.2)


def tags(ask, path, run):
    found = json.loads(ask(f"plugin/{path}")).get(run, {})
    return found.get("tags", found)


def test_the_board_shows_the_curves_that_were_recorded(server):
    folder, ask = server
    for split in ("train", "valid"):
        path = f"plugin/scalars/scalars?run=MNIST/fast/{split}&tag=accuracy"
        shown = [(step, value) for _, step, value in json.loads(ask(path))]
        assert shown == curves(folder / "MNIST/fast")[split, "accuracy"] and len(shown) == 2


def test_the_board_shows_the_images_of_a_model(server):
    _, ask = server
    tag = "summaries/images/image/3"
    assert tag in tags(ask, "images/tags", "MNIST/fast/valid")
    path = f"plugin/images/images?run=MNIST/fast/valid&tag={tag}&sample=0"
    image, *_ = json.loads(ask(path))
    with Image.open(io.BytesIO(ask(f"plugin/images/individualImage?{image['query']}"))) as shown:
        assert np.array_equal(shown, fake_digits("valid")["images"][3])


def test_the_board_plays_the_audio_of_a_model(server):
    _, ask = server
    (tag,) = tags(ask, "audio/tags", "Loud/run/valid")
    (sound,) = json.loads(ask(f"plugin/audio/audio?run=Loud/run/valid&tag={tag}&sample=0"))
    with wave.open(io.BytesIO(ask(f"plugin/audio/individualAudio?{sound['query']}"))) as file:
        assert (file.getframerate(), file.getnchannels()) == (RATE, 2)
        left, right = np.frombuffer(file.readframes(RATE), "<i2").reshape(-1, 2).T / 2**15
    tone = np.sin(2 * np.pi * HERTZ * np.arange(RATE) / RATE)
    assert np.abs(left - 0.4 * tone).max() < 0.001 and np.abs(right - 0.8 * tone).max() < 0.001


def test_the_board_shows_time_and_memory_of_the_operations_in_the_graph(server):
    _, ask = server
    graph = ask("plugin/graphs/graph?run=MNIST/fast/train&conceptual=false").decode()
    drawn = set(re.findall(r'^  name: "(.*)"$', graph, re.MULTILINE))
    path = "plugin/graphs/run_metadata?run=MNIST/fast/train&tag=step%2040"
    traced = set(re.findall(r'node_name: "(.*)"', ask(path).decode()))
    assert {"Relu", "loss/Mean", "update/gradients/hidden1/matmul_grad/MatMul_1"} <= traced & drawn
    assert not any(name.startswith("inference/") for name in traced)  # these are not drawn


def ask_sessions(ask, **column):
    """The sessions on the page HPARAMS; column: how one of its columns sorts or filters."""
    columns = [{"metric": {"tag": "accuracy"}, **column}] if column else []
    statuses = ["STATUS_RUNNING", "STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE"]
    about = {"startIndex": 0, "sliceSize": 99, "allowedStatuses": statuses, "colParams": columns}
    groups = json.loads(ask("plugin/hparams/session_groups", **about))["sessionGroups"]
    return {group["name"].removesuffix("/valid"): group for group in groups}


def test_the_hparams_page_has_the_status_and_the_last_metrics_of_each_run(server):
    folder, ask = server
    found = ask_sessions(ask)
    statuses = {name: group["sessions"][0]["status"] for name, group in found.items()}
    assert statuses == {
        "MNIST/fast": "STATUS_SUCCESS",
        "MNIST/slow": "STATUS_SUCCESS",
        "MNIST/interrupted": "STATUS_UNKNOWN",
        "Loud/run": "STATUS_SUCCESS",
        "LinearRegression/diverged": "STATUS_FAILURE",
    }
    for name in ("MNIST/fast", "MNIST/slow", "MNIST/interrupted"):
        last = [r for r in metrics(folder / name) if r["split"] == "valid"][-1]
        shown = {m["name"]["tag"]: m["value"] for m in found[name]["metricValues"]}
        assert shown == {tag: pytest.approx(last[tag]) for tag in ("loss", "accuracy")}
    assert found["MNIST/slow"]["hparams"]["optimizer"] == "adam"


def test_the_hparams_page_sorts_and_filters_by_the_objective(server):
    _, ask = server
    names = ("MNIST/fast", "MNIST/slow")
    for order, expected in (("ORDER_DESC", names), ("ORDER_ASC", names[::-1])):
        found = ask_sessions(ask, order=order, missingValuesFirst=False)
        assert tuple(name for name in found if name in names) == expected
    values = {n: g["metricValues"] for n, g in ask_sessions(ask, order="ORDER_DESC").items()}
    slow = next(m["value"] for m in values["MNIST/slow"] if m["name"]["tag"] == "accuracy")
    interval = {"minValue": slow + 1e-6, "maxValue": 1.0}
    above = ask_sessions(ask, filterInterval=interval, excludeMissingValues=True)
    assert "MNIST/fast" in above and "MNIST/slow" not in above


def test_the_hparams_page_says_what_the_tables_of_the_models_say(server):
    _, ask = server
    about = json.loads(ask("plugin/hparams/experiment", includeMetrics=True))
    infos = {info["name"]: info for info in about["hparamInfos"]}
    assert infos["optimizer"]["domainDiscrete"] == ["sgd", "momentum", "adam"]
    assert infos["hidden2"]["description"] == "units in the second hidden layer"
    assert infos["lr"]["differs"] and not infos["hidden2"]["differs"]
    assert {"initial_stddev", "hidden1", "units"} <= set(infos)  # of models of all kinds
    tags = [info["name"]["tag"] for info in about["metricInfos"]]
    assert tags[:2] == ["accuracy", "loss"]  # the objectives come first


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send this signal to one process")
def test_ctrl_c_ends_the_board_which_has_not_loaded_tensorflow(finished):
    with board(f"--result_dir={finished[0].parent}") as (process, url):
        with urllib.request.urlopen(url, timeout=30) as page:
            assert b"TensorBoard" in page.read()
        if sys.platform == "linux":
            with open(f"/proc/{process.pid}/maps", encoding="utf-8") as maps:
                assert "tensorflow" not in maps.read()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")


def test_what_the_board_cannot_do_is_said_in_a_line(shell, tmp_path, finished, monkeypatch):
    run = f"--result_dir={finished[0]}"
    expected = [
        ((f"--result_dir={tmp_path}",), 1, f"error: {tmp_path} holds no run yet; train a model, "),
        ((run, "--lr=1"), 2, "error: --lr does not go with --board\n"),
        ((run, "--port=65536"), 2, "error: --port=65536 is not allowed"),
    ]
    for flags, status, words in expected:
        answer = shell("--board", *flags)
        assert answer[0] == status and answer[2].startswith(words) and answer[2].count("\n") == 1
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, _, errors = shell("--board", run, f"--port={port}")
    assert status == 2 and errors.startswith(f"error: --port={port} is in use by another program; ")
    assert shell("--port=1")[2] == "error: --port goes with --board\n"
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    status, _, errors = shell("--board", run)
    assert status == 1 and "pip install --upgrade tensorboard" in errors


def test_the_board_shows_all_runs_or_those_of_a_model(shell, results, monkeypatch):
    shown = []
    monkeypatch.setattr("reports.board.serve", lambda folder, port: shown.append((folder, port)))
    for flags in ((), ("--model_name=MNIST", "--port=7000"), ("--result_dir=R",)):
        assert shell("--board", *flags) == (0, "", "")
    where = [str(results), str(results / "MNIST"), "R"]
    assert [(str(folder), port) for folder, port in shown] == list(
        zip(where, (None, 7000, None), strict=True)
    )
