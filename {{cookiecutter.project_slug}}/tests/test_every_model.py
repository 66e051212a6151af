"""Every model in models/__init__.py keeps the promises of the project.

A model that is added to MODELS is tested here, without another line. Beside every equality stands a
negative control: a change that must be seen. tests/test_kills.py kills each model as well.
"""

import json

import numpy as np
import pytest
from runs import digests, metrics, train

from models import MODELS, make_model
from serving.export import export_model
from serving.inputs import read_inputs
from training.digests import weights_sha256
from training.loop import advance
from training.verification import verify

STEPS = 60
CONFIG = {
    "random_seed": 7, "max_iter": STEPS, "save_every": 20, "log_every": 10, "eval_every": 30,
}  # fmt: skip


@pytest.fixture(scope="module", params=MODELS)
def config(request):
    offline = {"fake_data": True} if MODELS[request.param].has_fake_data else {}
    return CONFIG | {"model_name": request.param} | offline


@pytest.fixture(scope="module")
def model(config):
    """One model for all tests of its kind, which begin with init(): compiling takes seconds."""
    with make_model(config) as model:
        model.prepare_steps()
        yield model


@pytest.fixture(scope="module")
def run(config, tmp_path_factory):
    """The folder of a finished run. Not to be changed."""
    folder = tmp_path_factory.mktemp("every_model") / "run"
    train(config | {"result_dir": str(folder)})
    return folder


def trained(model, steps, chunk):
    """weights_sha256 after so many steps, in chunks of one length."""
    model.init()
    loop = model.compiled_loop
    loop.adapt = lambda count, seconds: setattr(loop, "limit", chunk)
    loop.limit = chunk
    for _ in advance(model, steps):
        pass
    return weights_sha256(model.weights())


def test_it_learns(model):
    model.init()
    before = model.evaluate("train")["loss"]
    for _ in advance(model, STEPS):
        pass
    assert model.evaluate("train")["loss"] < before


def test_any_length_of_a_chunk_gives_the_same_weights(model, monkeypatch):
    right = trained(model, 12, chunk=12)
    assert trained(model, 12, chunk=1) == trained(model, 12, chunk=5) == right
    monkeypatch.setitem(model.config, "lr", 1.5 * model.config["lr"])
    assert trained(model, 12, chunk=12) != right


def test_a_paused_and_resumed_run_equals_one_that_never_stopped(config, run, tmp_path):
    train(config | {"result_dir": str(tmp_path / "run")}, until=25)
    train({"result_dir": str(tmp_path / "run")})
    assert metrics(tmp_path / "run") == metrics(run)
    found, expected = digests(tmp_path / "run"), digests(run)
    del found[25]
    assert found == expected


def test_another_seed_gives_other_weights(config, run):
    with make_model(config | {"random_seed": 8}) as other:
        assert weights_sha256(other.weights()) != digests(run)[0]


def test_verify_trains_it_again_to_the_same_bits_and_sees_a_change(run):
    with make_model({"result_dir": str(run)}) as again:
        verdict = verify(again)
    assert verdict.equal, verdict.lines
    with make_model({"result_dir": str(run)}) as again:
        again.config["lr"] *= 1.5
        verdict = verify(again)
    assert not verdict.equal and "different at step 20" in verdict.lines[0]


def test_it_infers_from_what_inputs_gives_the_same_after_a_restart(model, run):
    few = {name: array[:10] for name, array in model.load("valid").items()}
    with make_model({"result_dir": str(run)}) as restored:
        assert restored.restore() == STEPS
        outputs = restored.infer(few)
        assert {len(array) for array in outputs.values()} == {10}
        trained(model, STEPS, chunk=STEPS)
        again = model.infer(few)
        assert all(np.array_equal(outputs[name], again[name]) for name in outputs)
        inputs = read_inputs(restored, "").arrays
        assert len({len(array) for array in inputs.values()}) == 1
        assert restored.infer(inputs).keys() == outputs.keys()


def test_its_export_answers_as_it_does(run, tmp_path):
    with make_model({"result_dir": str(run)}) as model:
        about = export_model(model, tmp_path / "export")
    assert max(about["differences"].values()) < 1e-5


def test_random_configurations_are_allowed_and_follow_from_their_seed(model):
    settings = model.hyperparameters
    drawn = [model.get_random_config({}, seed) for seed in range(30)]
    assert drawn == [model.get_random_config({}, seed) for seed in range(30)]
    for setting in settings:
        values = [config[setting.name] for config in drawn]
        assert [setting.check(value) for value in values] == values
        if setting.search:
            setting.check_search()
            assert len({json.dumps(value) for value in values}) > 1


def test_its_flags_and_defaults_are_shown(config, shell):
    status, output, errors = shell(f"--model_name={config['model_name']}", "--help")
    assert (status, errors) == (0, "")
    for setting in MODELS[config["model_name"]].hyperparameters:
        assert f"  --{setting.name}" in output
        assert setting.check(setting.default) == setting.default
