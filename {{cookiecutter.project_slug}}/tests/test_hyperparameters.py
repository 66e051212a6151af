"""Settings are declared once: checked, drawn at random, and taken from what is best known."""

import json

import numpy as np
import pytest

from models import MODELS, ConfigError, make_model
from models.hyperparameters import Setting
from models.mnist import MNIST


@pytest.mark.parametrize("name", MODELS)
def test_random_configs_are_pure_and_lie_in_their_ranges(name):
    model_class = MODELS[name]
    drawn = [model_class.get_random_config({}, seed) for seed in range(50)]
    assert drawn == [model_class.get_random_config({}, seed) for seed in range(50)]
    assert len({config["lr"] for config in drawn}) == 50
    for setting in model_class.hyperparameters:
        values = [config[setting.name] for config in drawn]
        assert [setting.check(value) for value in values] == values
        if setting.search and not setting.choices:
            assert setting.search[0] <= min(values) < max(values) <= setting.search[1]


@pytest.mark.parametrize(
    "setting, words",
    [
        (Setting("units", int, 8, "", 1, 99, search=(64, 16)), "units cannot be searched from 64"),
        (Setting("units", int, 8, "", 1, 99, search=(16, 128)), "units=128 is not allowed"),
        (Setting("decay", float, 0.1, "", search=(0.0, 1.0), scale="log"), "on a log scale"),
        (Setting("kind", str, "a", "", choices=("a", "b"), search=("c",)), "kind=c is not allowed"),
    ],
)
def test_a_search_range_with_nothing_to_draw_is_refused(setting, words):
    with pytest.raises(ConfigError, match=words):
        setting.check_search()
    setting._replace(search=(setting.default,) * 2).check_search()


def test_a_fixed_parameter_wins_and_leaves_the_others_as_drawn():
    free, fixed = MNIST.get_random_config({}, 1), MNIST.get_random_config({"lr": 0.5}, 1)
    assert fixed == free | {"lr": 0.5}
    with pytest.raises(ConfigError, match="not a hyper-parameter"):
        MNIST.get_random_config({"lrr": 0.5}, 1)


def test_the_best_known_configuration_is_read_and_checked(small, tmp_path, monkeypatch):
    best = MNIST.get_best_config()
    with make_model(small | best) as model:
        assert {name: model.config[name] for name in best} == best

    class Unknown(MNIST):
        pass

    with pytest.raises(ConfigError, match="nothing is known to be best"):
        Unknown.get_best_config()


def test_a_callers_config_stays_as_it_is(small):
    before = json.dumps(small)
    with make_model(small) as model:
        model.config["lr"] = 1e9
    assert json.dumps(small) == before


def test_settings_of_any_type_are_checked_and_drawn():
    layers = Setting("layers", int, 2, "", choices=(1, 2, 3), search=(1, 2, 3))
    bias = Setting("bias", bool, True, "", search=(False, True))
    for setting in (layers, bias):
        drawn = {setting.check(setting.draw(seed)) for seed in range(30)}
        assert drawn == set(setting.search)
    assert layers.allowed() == "one of 1, 2, 3"
    rate = Setting("lr", float, 0.1, "", 0, 1)
    assert rate.check(np.float32(0.5)) == 0.5 and type(rate.check(1)) is float
    for setting, value in [(rate, True), (rate, "1"), (layers, 4), (layers, float("inf"))]:
        with pytest.raises(ConfigError):
            setting.check(value)
