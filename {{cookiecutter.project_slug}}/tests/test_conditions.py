"""What a table says beyond single values: conditions, grids, lists and constraints."""

import math

import numpy as np
import pytest
from runs import train
from toy import Toy

from conditions import ATTEMPTS, check_used, random_config, usable, used
from hpsearch.trial import ModelCache
from models import MODELS, ConfigError, make_model
from settings import Setting, optimization
from training.batches import random_stream
from training.config import complete_config
from training.messages import as_flags, format_values

KIND = Setting("kind", str, "plain", "", choices=("plain", "deep"), search=("plain", "deep"))
DEPTH = Setting("depth", int, 2, "", 1, 9, search=(3, 9), only_with=("kind", "deep"))
SKIP = Setting("skip", bool, False, "", search=(False, True), only_with=("depth", 8, 9))
NESTED = (KIND, DEPTH, SKIP)
HIDDEN = Setting("hidden", list[int], [8, 4], "widths", 1, 64, search=(2, 16), scale="log", step=2,
                 lengths=(1, 3))  # fmt: skip
PAIR = tuple(Setting(name, int, 1, "", 1, 99, search=(1, 9)) for name in ("a", "b"))


def drawn(table, seed=0, fixed=None, constraints=()):
    """Draw from a table as a random search does."""

    def choose(setting, attempt):
        return setting.draw(random_stream(seed, setting.name, attempt))

    return random_config(table, fixed or {}, choose, constraints)


class Deep(Toy):
    """The toy, with any number of hidden layers."""

    hyperparameters = (*optimization(lr=0.3, batch_size=16, decay_steps=100), HIDDEN)
    constraints = (("warmup_steps", "<", "decay_steps"),)

    def inference(self, batch, training):
        values = batch["points"]
        for i, units in enumerate(self.config["hidden"]):
            values = self.dense(f"hidden{i}", values, units)
        return self.dense("logits", values, 2)


def test_a_setting_is_drawn_only_where_it_is_used():
    configs = [drawn(NESTED, seed) for seed in range(60)]
    assert {config["kind"] for config in configs} == {"plain", "deep"}
    for config in configs:
        assert (config["depth"] == 2) == (config["kind"] == "plain")
        assert not config["skip"] or config["depth"] in (8, 9)
    assert any(config["skip"] for config in configs)
    assert used(NESTED, {"kind": "plain", "depth": 9, "skip": True}) == {"kind"}
    assert used(NESTED, {"kind": "deep", "depth": 9}) == {"kind", "depth", "skip"}


def test_a_fixed_setting_counts_only_where_it_is_used():
    fixed = {"depth": 8}
    assert {drawn(NESTED, seed, fixed)["depth"] for seed in range(30)} == {2, 8}
    assert {drawn(NESTED, s, fixed | {"kind": "deep"})["depth"] for s in range(30)} == {8}


def test_what_no_trial_can_use_is_known_before():
    assert usable(NESTED, {}) == usable(NESTED, {"kind": "deep"}) == {"kind", "depth", "skip"}
    assert usable(NESTED, {"kind": "plain"}) == {"kind"}
    assert usable(NESTED, {"depth": 7}) == {"kind", "depth"}
    assert usable((KIND, DEPTH._replace(step=4), SKIP), {}) == {"kind", "depth"}  # 3, 7
    assert usable((KIND._replace(search=()), DEPTH), {}) == {"kind"}


def test_only_a_flag_is_refused_where_it_is_not_used():
    config = {"kind": "plain", "depth": 5, "skip": False}
    check_used(NESTED, {"kind"}, config)
    with pytest.raises(ConfigError, match="^--depth=5 goes with --kind=deep, not plain$"):
        check_used(NESTED, {"depth"}, config)
    with pytest.raises(ConfigError, match="^--skip=False goes with --depth=8 or 9, not 5$"):
        check_used(NESTED, {"skip"}, config)
    with pytest.raises(ConfigError, match="8 or 9, and --depth is not used here$"):
        check_used(NESTED, {"skip"}, config | {"depth": 8})


def test_a_flag_without_effect_is_refused_and_a_whole_config_is_not(small, shell, tmp_path):
    folder = f"--result_dir={tmp_path / 'run'}"
    train(small | {"max_iter": 4, "momentum": 0.5})  # of an older run, or of a trial
    assert shell(folder, "--max_iter=6")[0] == 0
    status, _, errors = shell(folder, "--max_iter=8", "--momentum=0.5")
    assert status == 2 and "--momentum=0.5 goes with" in errors


def test_a_grid_goes_from_low_in_steps_as_far_as_high():
    units = Setting("units", int, 8, "", 1, 999, search=(16, 500))
    assert units.grid() is None
    assert units._replace(step=2, scale="log").grid() == [16, 32, 64, 128, 256]
    assert units._replace(step=2, scale="log", search=(16, 512)).grid()[-1] == 512
    assert units._replace(step=1.5, scale="log", search=(1, 8)).grid() == [1, 2, 3, 5, 8]
    assert units._replace(step=200).grid() == [16, 216, 416]
    rate = Setting("rate", float, 0.1, "", 0, 1, search=(0.1, 0.5), step=0.1)
    assert rate.grid() == [0.1, 0.2, 0.3, 0.4, 0.5]
    low = rate._replace(search=(1e-4, 1e-1), step=10, scale="log")
    assert low.grid() == [0.0001, 0.001, 0.01, 0.1]
    random = np.random.default_rng(0)
    values = [low.draw(random) for _ in range(400)]
    counts = [values.count(value) for value in low.grid()]
    assert sum(counts) == 400 and min(counts) > 70
    assert type(low.draw(random)) is float
    assert units._replace(step=200).check(17) == 17  # a flag may give any value


@pytest.mark.parametrize("scale, step", [("log", 1), ("log", 0.5), ("linear", 0), ("linear", -1)])
def test_a_step_that_leads_nowhere_is_refused(scale, step):
    units = Setting("units", int, 8, "", 1, 999, search=(16, 500), scale=scale)
    units._replace(step=2).check_search()
    with pytest.raises(ConfigError, match=f"units cannot be searched on a {scale} scale with step"):
        units._replace(step=step).check_search()
    with pytest.raises(ConfigError, match="kind has choices, and so no step"):
        KIND._replace(step=step).check_search()


def test_a_list_is_parsed_checked_and_written_as_its_flag():
    assert HIDDEN.parse("16,8") == [16, 8] and HIDDEN.parse("") == []
    assert as_flags({"hidden": [16, 8]}) == "--hidden=16,8"
    assert format_values({"hidden": [16, 8], "rates": [0.1]}) == "hidden = 16,8, rates = 0.1"
    given = (16, 8.0)
    assert HIDDEN.check(given) == [16, 8]
    assert HIDDEN.check(HIDDEN.default) is not HIDDEN.default
    assert HIDDEN.allowed() == "1 to 3 integers with commas, each from 1 to 64"
    for value in ([], [1, 2, 3, 4], [0], [65], [1.5], ["8"], [[8]], [True]):
        with pytest.raises(ConfigError, match="^--hidden=.* is not allowed: it must be 1 to 3 int"):
            HIDDEN.check(value)
    for value in (8, "8", None, {"8": 8}):
        with pytest.raises(ConfigError, match=r"^--hidden=.* is not of type list\[int\]"):
            HIDDEN.check(value)
    with pytest.raises(ConfigError, match=r"^--hidden=8,x is not of type list\[int\]$"):
        HIDDEN.parse("8,x")
    kinds = Setting("kinds", list[str], ["a"], "", choices=("a", "b"))
    assert kinds.parse("b,a,b") == kinds.check(["b", "a", "b"]) == ["b", "a", "b"]


def test_a_lists_length_and_elements_are_drawn_as_settings_of_their_own():
    asked = []

    def choose(setting, attempt):
        asked.append((setting.name, setting.type, setting.search, setting.grid(), attempt))
        return 2

    assert random_config((HIDDEN,), {}, choose) == {"hidden": [2, 2]}
    grid = [2, 4, 8, 16]
    elements = [(f"hidden[{i}]", int, (2, 16), grid, 0) for i in (0, 1)]
    assert asked == [("len(hidden)", int, (1, 3), None, 0), *elements]
    found = [drawn((HIDDEN,), seed)["hidden"] for seed in range(60)]
    assert {len(hidden) for hidden in found} == {1, 2, 3}
    assert {units for hidden in found for units in hidden} == set(grid)
    assert len(drawn((HIDDEN._replace(lengths=()),))["hidden"]) == 2  # as the default has


def test_models_of_the_same_list_share_their_graph(tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS, "Deep", Deep)
    cache, configs = ModelCache(), []
    for i, hidden in enumerate(([8, 4], [8, 4], [4, 8])):
        config = {"model_name": "Deep", "hidden": hidden, "random_seed": 1, "jit": "off"}
        configs.append(config | {"lr": 0.1 * (i + 1), "result_dir": str(tmp_path / str(i))})
    first, same, other = map(cache.get, configs)
    assert first is same and other is not first
    cache.clear()


def test_a_run_with_a_list_is_recorded_resumed_and_compared(monkeypatch, tmp_path, shell):
    monkeypatch.setitem(MODELS, "Deep", Deep)
    config = {"model_name": "Deep", "random_seed": 1, "jit": "off", "max_iter": 4}
    for hidden in ([8], [16, 4], [4, 4]):
        folder = tmp_path / "runs" / "-".join(map(str, hidden))
        train(config | {"hidden": hidden, "result_dir": str(folder)})
    with make_model({"result_dir": str(folder)}) as model:
        assert model.config["hidden"] == [4, 4]
        names = {name for name in model.weights() if name.endswith("weights")}
        assert names == {"hidden0/weights", "hidden1/weights", "logits/weights"}
    status, _, errors = shell(f"--result_dir={folder}", "--hidden=8")
    assert status == 2 and "hidden=4,4 (now 8)" in errors
    assert shell(f"--result_dir={folder}", "--hidden=4,4", "--max_iter=6")[0] == 0
    assert "--hidden=4,4" in (folder / "report.html").read_text()
    status, output, _ = shell("--compare", str(tmp_path / "runs"), "--sort_by=hidden")
    assert status == 0
    places = [output.index(f" {hidden} ") for hidden in ("4,4", "8", "16,4")]
    assert places == sorted(places)


def test_constraints_hold_in_every_draw_and_draw_nothing_else_anew():
    kept = (("a", "<=", "b"),)
    free = [drawn(PAIR, seed) for seed in range(60)]
    found = [drawn(PAIR, seed, constraints=kept) for seed in range(60)]
    assert all(config["a"] <= config["b"] for config in found)
    assert any(config["a"] > config["b"] for config in free)
    assert all(new == old for new, old in zip(found, free, strict=True) if old["a"] <= old["b"])
    assert found == [drawn(PAIR, seed, constraints=kept) for seed in range(60)]
    with pytest.raises(ConfigError, match=f"none of {ATTEMPTS} configurations .* a must be > b"):
        drawn(PAIR, fixed={"a": 1}, constraints=(("a", ">", "b"),))


def test_flags_that_break_a_constraint_are_named_and_a_run_goes_on_with_its_own():
    names = ("result_dir", "from_checkpoint", "step", "random_seed", "threads")
    run = tuple(setting for setting in Deep.settings() if setting.name in names)
    table, kept = (*PAIR, KIND, *run), (("a", "<=", "b"),)

    def complete(given, recorded):
        return complete_config("Any", table, given, recorded, {}, kept)

    words = "^--a=5 and --b=1 do not go together: a must be <= b$"
    with pytest.raises(ConfigError, match=words):
        complete({"a": 5}, {})
    assert complete({"a": 5, "b": 5}, {})["b"] == 5
    assert complete({}, {"a": 5, "b": 1})["a"] == 5


def test_a_constraint_holds_only_between_settings_that_are_used(small, monkeypatch):
    monkeypatch.setitem(MODELS, "Deep", Deep)
    config = {"model_name": "Deep", "warmup_steps": 500, "decay_steps": 100}
    assert Deep.complete(config)["warmup_steps"] == 500
    with pytest.raises(ConfigError, match="--warmup_steps=500 and --decay_steps=100"):
        Deep.complete(config | {"lr_schedule": "cosine"})
    assert math.isfinite(drawn(Deep.hyperparameters)["lr"])
