"""One job of a search: what it leaves, and what each failure says about the trial."""

import concurrent.futures
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
import tensorflow as tf
from runs import digests
from toy import Toy

from hpsearch import trial
from hpsearch.halving import Job
from hpsearch.ledger import Outcome
from hpsearch.local import LocalExecutor, Worker
from hpsearch.trial import ModelCache, run_job, shape_of, size_of
from models import make_model
from training import processors
from training.signals import StopSignals


def test_a_trial_never_opens_the_test_split(small, monkeypatch):
    inputs = Toy.inputs

    def closed(self, split):
        assert split != "test", "the test split was opened"
        return inputs(self, split)

    monkeypatch.setattr(Toy, "inputs", closed)
    assert run_job(small, small["max_iter"], ModelCache()).state == "trained"
    with pytest.raises(AssertionError, match="test split"), make_model(small) as model:
        model.evaluate("test")


@pytest.mark.parametrize("jit", ["off", "loop", "short"])
def test_a_trial_in_a_session_that_is_used_again_equals_one_in_a_fresh_one(small, tmp_path, jit):
    def config(lr, folder):
        own = {"lr": lr, "optimizer": "adam", "result_dir": str(tmp_path / folder)}
        return small | {"jit": jit} | own

    models, graphs, outcomes = ModelCache(), set(), []
    for lr, folder in [(0.1, "first"), (0.01, "second"), (0.01, "third")]:
        outcomes.append(run_job(config(lr, folder), 60, models))
        graphs |= {id(model.graph) for model in models.by_shape.values()}
    assert len(graphs) == 1
    fresh = run_job(config(0.01, "fresh"), 60, ModelCache())
    assert fresh == outcomes[1] == outcomes[2] != outcomes[0]
    run_job(config(0.01, "half"), 30, ModelCache())
    assert run_job(config(0.01, "half"), 60, ModelCache()) == fresh  # in another process


def test_a_job_whose_line_was_lost_runs_again_and_leaves_its_run_as_it_is(small, tmp_path):
    config = small | {"max_to_keep": 1}
    models, folder = ModelCache(), tmp_path / "run"
    first, second = (run_job(config, until, models) for until in (30, 90))
    kept = digests(folder)
    assert run_job(config, 30, models) == first != second
    assert digests(folder) == kept and run_job(config, 90, models) == second


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"batch_size": 10**6}, "more than the"),
        ({"result_dir": "a[1]"}, "cannot read"),
        ({"result_dir": "a file/run"}, "a file"),
    ],
)
def test_an_error_outside_of_a_trial_is_not_an_outcome(
    small, changed, words, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a file").touch()
    with pytest.raises(OSError, match=words):
        run_job(small | changed, 30, ModelCache())


def test_a_model_that_cannot_be_built_has_failed(small, monkeypatch):
    def broken(self, batch, training):
        raise TypeError("no such layer")

    monkeypatch.setattr(Toy, "inference", broken)
    outcome = run_job(small, 30, ModelCache())
    assert outcome == Outcome("failed", reason="TypeError: no such layer")


def test_a_model_without_memory_is_tried_again_alone(small, tmp_path, monkeypatch):
    models, learn, counts = ModelCache(), Toy.learn_from_epoch, []
    run_job(small | {"units": 5, "result_dir": str(tmp_path / "5")}, 30, models)

    def scarce(self, stop):
        counts.append(len(models.by_shape))
        if len(models.by_shape) > 1:
            raise tf.errors.ResourceExhaustedError(None, None, "no memory left")
        return learn(self, stop)

    monkeypatch.setattr(Toy, "learn_from_epoch", scarce)
    assert run_job(small, 30, models).state == "trained" and counts[:2] == [2, 1]


def test_a_trial_that_a_signal_stops_is_interrupted_and_goes_on_later(small, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(StopSignals, "__enter__", lambda self: SimpleNamespace(received=15))
        assert run_job(small, 30, ModelCache()) == Outcome("interrupted")
    assert run_job(small, 30, ModelCache()).state == "trained"


def test_a_diverged_trial_is_a_state_and_not_a_score(tmp_path):
    config = {"result_dir": str(tmp_path / "0000"), "max_iter": 300, "lr": 100.0, "random_seed": 0}
    outcome = run_job(config | {"batch_size": 30}, 300, ModelCache())  # of LinearRegression
    assert outcome.state == "diverged" and outcome.score is None
    assert "not finite at step" in outcome.reason


def test_a_trial_whose_score_is_not_finite_has_diverged(small, monkeypatch):
    values = {"loss": 1.0, "accuracy": float("nan")}
    monkeypatch.setattr(Toy, "evaluate", lambda self, split: values)
    outcome = run_job(small, 30, ModelCache())
    assert outcome == Outcome("diverged", reason="accuracy on valid is nan at step 30")


def test_a_model_is_used_again_for_another_learning_rate_or_folder_and_for_nothing_else(small):
    models = ModelCache()
    first = models.get(small)
    for changed in ({"lr": 0.1}, {"result_dir": "other"}, {"log_every": 7}, {}):
        assert models.get(small | changed) is first
    for changed in ({"batch_size": 8}, {"units": 5}, {"random_seed": 8}, {"optimizer": "adam"}):
        assert models.get(small | changed) is not first
    models.clear()


def test_a_trial_whose_process_dies_again_and_again_has_failed(small, monkeypatch):
    start, started = Worker.start, []

    def start_and_kill(worker):
        start(worker)
        started.append(worker.process)
        worker.process.kill()

    monkeypatch.setattr(Worker, "start", start_and_kill)
    with LocalExecutor(1, 1) as executor:
        future = executor.submit(Job(0, 60, "random", 0, {}), small)
        assert future.result() == Outcome("failed", reason="its process died 3 times")
    assert len(started) == 3


def test_a_job_goes_to_a_process_that_has_compiled_its_shape(small, monkeypatch):
    def run(worker, config, until):
        ran.append((worker, until))
        return waiting.get(until, done).result(20)

    done, waiting, ran = Future(), {1: Future(), 2: Future()}, []
    done.set_result(None)
    monkeypatch.setattr(Worker, "run", run)
    with LocalExecutor(2, 1) as executor:
        for until, units in enumerate([4, 5, 5, 4, 5], start=1):
            config = small | {"units": units, "lr": until / 10}
            future = executor.submit(Job(until, until, "random", 0, {}), config)
            if until == 2:  # both processes have been busy
                for one in waiting.values():
                    one.set_result(None)
            if until > 1:
                concurrent.futures.wait([worker.future for worker in executor.workers])
        shapes = executor.cached_shapes()
    first, second = executor.workers
    assert dict(map(reversed, ran)) == {1: first, 2: second, 3: second, 4: first, 5: second}
    assert future.done() and len(shapes) == 2 and shape_of(small) not in shapes


def test_a_process_keeps_small_models_and_fewer_large_ones(small, monkeypatch):
    def kept(limit):
        monkeypatch.setattr(trial, "KEPT_BYTES", limit)
        models = trial.ModelCache()
        models.by_shape = {n: SimpleNamespace(number=n, close=lambda: None) for n in range(40)}
        models.make_room()
        return list(models.by_shape)

    monkeypatch.setattr(trial, "size_of", lambda model: 10)
    assert kept(10**6) == list(range(9, 40))  # and one more comes
    assert kept(0) == list(range(33, 40))
    assert kept(200) == list(range(21, 40))  # as many as these bytes hold
    with make_model(small) as model:
        model.prepare_steps()
        weights = sum(array.nbytes for array in model.weights().values())
        data = sum(array.nbytes for array in model.load("train").values())
        assert size_of(model) == weights + data > data > 0


def test_processes_are_as_many_as_processors_and_gpus_allow(monkeypatch):
    def gpus(*options, **names):
        return [worker.gpu for worker in LocalExecutor(*options, **names).workers]

    monkeypatch.setattr(processors, "count", lambda: 8)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert gpus(3, 1) == ["2", "3", "2"] and gpus(None, 1) == ["2", "3"]
    assert gpus(2, 1, device="cpu") == [None, None]
    for none in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", none)
        assert gpus(2, 1) == [None, None]
    assert [LocalExecutor(None, threads).nb_process for threads in (1, 3, 9)] == [8, 2, 1]
