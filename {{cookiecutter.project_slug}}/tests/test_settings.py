"""Settings are declared once: checked, drawn at random, and taken from what is best known."""

import json

import numpy as np
import pytest
from toy import Toy

from models import ConfigError, make_model
from settings import RUN_SETTINGS, Setting
from training.config import complete_config


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
    free, fixed = Toy.get_random_config({}, 1), Toy.get_random_config({"lr": 0.5}, 1)
    assert fixed == free | {"lr": 0.5}
    with pytest.raises(ConfigError, match="not a hyper-parameter"):
        Toy.get_random_config({"lrr": 0.5}, 1)


def test_a_models_own_number_of_steps_and_between_evaluations_are_its_defaults():
    own = type("Own", (Toy,), {"max_iter": 77, "eval_every": 7})
    defaults = {setting.name: setting.default for setting in own.settings()}
    assert (defaults["max_iter"], defaults["eval_every"]) == (77, 7)


def test_a_callers_config_stays_as_it_is(small):
    before = json.dumps(small)
    with make_model(small) as model:
        model.config["lr"] = 1e9
    assert json.dumps(small) == before


def test_settings_of_any_type_are_checked_and_drawn():
    layers = Setting("layers", int, 2, "", choices=(1, 2, 3), search=(1, 2, 3))
    bias = Setting("bias", bool, True, "", search=(False, True))
    random = np.random.default_rng(0)
    for setting in (layers, bias):
        drawn = {setting.check(setting.draw(random)) for _ in range(30)}
        assert drawn == set(setting.search)
    assert layers.allowed() == "one of 1, 2, 3"
    rate = Setting("lr", float, 0.1, "", 0, 1)
    assert rate.check(np.float32(0.5)) == 0.5 and type(rate.check(1)) is float
    for setting, value in [(rate, True), (rate, "1"), (layers, 4), (layers, float("inf"))]:
        with pytest.raises(ConfigError):
            setting.check(value)


def test_a_log_scale_draws_as_often_from_each_power_and_integers_reach_both_ends():
    random = np.random.default_rng(0)
    rate = Setting("lr", float, 0.1, "", search=(1e-4, 1.0))
    for scale, middle in [("log", 1e-2), ("linear", 0.5)]:
        drawn = [rate._replace(scale=scale).draw(random) for _ in range(1000)]
        assert 400 < sum(value < middle for value in drawn) < 600
        assert 1e-4 <= min(drawn) and max(drawn) <= 1.0
    units = Setting("units", int, 8, "", search=(1, 2))
    drawn = [units.draw(random) for _ in range(1000)]
    assert 400 < drawn.count(1) < 600 and 400 < drawn.count(2) < 600


def test_a_text_of_the_shell_becomes_a_value_of_the_type():
    for kind, text, value in [
        (int, "12", 12), (float, "1e-3", 0.001), (str, "12", "12"), (bool, "false", False),
        (dict, '{"lr": 1}', {"lr": 1}),
    ]:  # fmt: skip
        assert Setting("name", kind, None, "").parse(text) == value
    for kind, text in [(int, "1.5"), (float, "fast"), (bool, "maybe")]:
        with pytest.raises(ConfigError, match=f"--name={text} is not of type {kind.__name__}"):
            Setting("name", kind, None, "").parse(text)
    with pytest.raises(ConfigError, match="--name={ is not JSON"):
        Setting("name", dict, None, "").parse("{")


def test_what_is_not_given_comes_from_the_run_then_from_its_parent_then_from_the_table():
    table = (
        Setting("a", int, 1, "", resumable=True), Setting("b", int, 2, ""), Setting("c", int, 3, "")
    )  # fmt: skip
    table += tuple(setting for setting in RUN_SETTINGS if setting.name in NEEDED)
    config = complete_config("Any", table, {"a": 5}, {}, {})
    assert (config["a"], config["b"], config["c"]) == (5, 2, 3)
    config = complete_config("Any", table, {"a": 5, "from_checkpoint": "parent"}, {}, {"b": 7})
    assert (config["a"], config["b"], config["c"]) == (5, 7, 3)
    assert complete_config("Any", table, {"a": 0}, {}, {})["a"] == 0
    recorded = {"a": 8, "b": 9, "result_dir": "run"}
    config = complete_config("Any", table, {"a": 5, "result_dir": "run"}, recorded, {})
    assert (config["a"], config["b"], config["c"]) == (5, 9, 3)
    with pytest.raises(ConfigError, match=r"holds a run with b=9 \(now 10\): to resume it"):
        complete_config("Any", table, {"b": 10, "result_dir": "run"}, recorded, {})
    with pytest.raises(ConfigError, match=r"--aa is not a setting of Any \(did you mean a\?\)"):
        complete_config("Any", table, {"aa": 1}, {}, {})


NEEDED = ("result_dir", "from_checkpoint", "step", "random_seed")
