"""A run resumes from its folder as if it had never stopped."""

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from runs import digests, metrics, read, train
from toy import Toy

import main
from models import MODELS, ConfigError, make_model
from training.run import Run
from training.signals import StopSignals


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_a_paused_and_resumed_run_equals_one_that_never_stopped(small, tmp_path, optimizer):
    small |= {"optimizer": optimizer, "lr": 0.01}
    straight, paused = (tmp_path / name for name in ("straight", "paused"))
    train(small | {"result_dir": str(straight)})
    first = train(small | {"result_dir": str(paused)}, until=50)
    assert (first["status"], first["step"]) == ("interrupted", 50)
    assert read(paused, "status.json")["reason"] == "paused at step 50"
    assert train({"result_dir": str(paused)})["step"] == 120
    assert metrics(paused) == metrics(straight)
    both = digests(paused)
    assert both.pop(50)
    assert both == digests(straight)


def test_max_iter_is_a_total_that_may_be_raised(small, tmp_path):
    folder = tmp_path / "run"
    assert train(small | {"max_iter": 40})["step"] == 40
    assert train({"result_dir": str(folder)})["step"] == 40
    assert train({"result_dir": str(folder), "max_iter": 120})["step"] == 120
    train(small | {"result_dir": str(tmp_path / "straight")})
    assert digests(folder) == digests(tmp_path / "straight")
    with pytest.raises(ConfigError, match="max_iter=80.*step 120 already"):
        train({"result_dir": str(folder), "max_iter": 80})
    content = read(folder, "config.json")
    assert content["config"]["max_iter"] == 120 and len(content["resumed"]) == 2


def test_a_resumed_run_takes_what_is_not_given_from_its_config(small, tmp_path):
    train(small, until=20)
    with make_model({"result_dir": small["result_dir"]}) as model:
        assert type(model).__name__ == "Toy"
        assert model.config["random_seed"] == 7 and model.config["units"] == 4
    with make_model({"result_dir": small["result_dir"], "log_every": 1}) as model:
        assert model.config["log_every"] == 1


def test_pausing_at_no_step_trains_none_and_beyond_the_end_no_more_than_to_the_end(small):
    assert train(small, until=0)["step"] == 0
    assert train(small, until=500)["step"] == 120


def test_a_signal_during_the_start_trains_no_step(small, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(StopSignals, "__enter__", lambda self: SimpleNamespace(received=15))
        result = train(small)
    assert (result["status"], result["step"]) == ("interrupted", 0)
    assert train(small)["step"] == 120


def test_a_finished_run_gives_its_metrics_again(finished, copy_of_finished):
    again = train({"result_dir": str(copy_of_finished)})
    assert {s: again[s] for s in ("train_sample", "valid", "test", "examples")} == {
        s: finished[1][s] for s in ("train_sample", "valid", "test", "examples")
    }
    assert metrics(copy_of_finished) == metrics(finished[0])  # recorded once


def test_a_run_in_the_home_folder_is_found_by_the_shell(small, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    train(small | {"result_dir": "~/run"}, until=20)
    assert metrics(tmp_path / "run")
    assert main.main(["main.py", "--infer", "--result_dir=~/run"]) == 0
    assert train({"result_dir": "~/run"})["step"] == 120


def test_a_run_paused_at_its_last_step_is_evaluated_when_that_becomes_the_end(small, tmp_path):
    train(small, until=35)
    result = train({"result_dir": small["result_dir"], "max_iter": 35})
    records = [(r["step"], r["split"]) for r in metrics(tmp_path / "run")]
    assert records == [(20, "train"), (35, "train_sample"), (35, "valid"), (35, "test")]
    assert set(result["valid"]) == {"loss", "accuracy"}
    assert read(tmp_path / "run", "checkpoints/best.json") == {"step": 35, "valid": result["valid"]}


def test_flags_that_contradict_a_run_are_refused_with_the_differences(small, monkeypatch):
    monkeypatch.setitem(MODELS, "Other", type("Other", (Toy,), {}))
    train(small, until=20)
    with pytest.raises(ConfigError, match=r"lr=0.3 \(now 0.5\).*units=4 \(now 8\)"):
        make_model({"result_dir": small["result_dir"], "lr": 0.5, "units": 8})
    with pytest.raises(ConfigError, match=r"model_name=Toy \(now Other\)"):
        make_model({"result_dir": small["result_dir"], "model_name": "Other"})


def test_a_run_that_another_process_began_meanwhile_is_not_taken_over(small):
    with make_model(small) as first, make_model(small | {"lr": 0.1}) as second:
        first.train(until=20)
        with pytest.raises(ConfigError, match=r"lr=0.3 \(now 0.1\)"):
            second.train()


def test_other_training_data_than_at_the_start_is_refused(small, monkeypatch):
    train(small, until=20)
    monkeypatch.setattr("models.basic_model.BasicModel.data_checksum", "other")
    with pytest.raises(ValueError, match="training data is not what"):
        train(small)


INTERVALS = {"save_every": 500, "log_every": 100, "eval_every": 1000}


def start(project, folder, *flags):
    """Start a long run as a process; return it once it has saved a checkpoint beyond step 0."""
    flags = [*flags, f"--result_dir={folder}", "--random_seed=5", "--jit=off"]
    flags += [f"--{name}={value}" for name, value in INTERVALS.items()]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": project}
    if os.name != "nt":  # tests that run in the background inherit an ignored SIGINT
        options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen([sys.executable, "main.py", *flags], **options)
    ledger, deadline = folder / "checkpoints" / "checkpoints.jsonl", time.monotonic() + 60
    while not ledger.exists() or len(ledger.read_bytes().splitlines()) < 3:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.01)
    return process


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send these signals to one process")
@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_in_good_order(toy_project, tmp_path, number, status):
    process = start(toy_project, tmp_path / "run", "--max_iter=1000000000")
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    step = read(tmp_path / "run", "status.json")["step"]
    assert read(tmp_path / "run", "status.json")["status"] == "interrupted"
    assert list(digests(tmp_path / "run"))[-1] == step
    assert f"Interrupted at step {step}" in output and errors == ""


def test_a_second_ctrl_c_stops_at_once(shell, small, tmp_path, monkeypatch):
    def interrupt_twice(*arguments):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    train(small, until=20)
    monkeypatch.setattr(Run, "log_losses", interrupt_twice)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    status, _, errors = shell(f"--result_dir={tmp_path / 'run'}")
    signal.signal(signal.SIGINT, before)
    assert status == 130 and errors.startswith("error: stopped at once;"), errors
    about = read(tmp_path / "run", "status.json")
    assert (about["status"], about["reason"]) == ("interrupted", "stopped at once")
    assert list(digests(tmp_path / "run")) == [0, 20]


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send these signals to one process")
def test_a_signal_that_is_ignored_stays_so_as_nohup_asks():
    for handler, seen in [(signal.SIG_IGN, None), (signal.SIG_DFL, signal.SIGTERM)]:
        before = signal.signal(signal.SIGTERM, handler)
        with StopSignals() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            assert signal.getsignal(signal.SIGTERM) == handler  # of a second signal
        signal.signal(signal.SIGTERM, before)
        assert stop.received == seen


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_run_ends_with_the_weights_and_metrics_of_one_that_was_not(toy_project, tmp_path):
    process = start(toy_project, tmp_path / "killed", "--max_iter=1000000000")
    process.kill()
    process.communicate()
    # The number of steps is raised to what a run that was not killed does as well.
    reached = list(digests(tmp_path / "killed"))[-1]
    last = 1000 * (reached // 1000 + 3)
    settings = {"model_name": "Toy", "random_seed": 5, "jit": "off"} | INTERVALS
    for path in (tmp_path / "killed", tmp_path / "straight"):
        train(settings | {"result_dir": str(path), "max_iter": last})
    assert digests(tmp_path / "killed") == digests(tmp_path / "straight")
    assert metrics(tmp_path / "killed") == metrics(tmp_path / "straight")
    assert len(metrics(tmp_path / "killed")) == last // 100 + 2 * (last // 1000) + 1
