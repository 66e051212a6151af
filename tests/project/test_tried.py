"""--try and the promoted best: configurations that a search trains before those that it draws."""

import json

import pytest
from made_up_searches import MadeUp, made_up_search, score, settings, trained
from searches import ledger, lines_of

from command_line import SEARCH
from hpsearch import tpe
from hpsearch.search_settings import search_settings
from models import MODELS
from settings import Setting, optimization

MNIST = MODELS["MNIST"]
OPTIONS = {setting.name: setting.default for setting in SEARCH}
BASE = {setting.name: setting.default for setting in MNIST.hyperparameters}


@pytest.fixture
def best(tmp_path, monkeypatch):
    """A function that says what is promoted."""

    def promoted(config):
        monkeypatch.setattr(MNIST, "get_best_config", lambda: config)

    return promoted


def of(given, **options):
    return search_settings(MNIST, {"search": "random"} | given, OPTIONS | options)


def test_what_is_tried_is_a_trial_with_the_first_number_and_recorded(tmp_path, capsys):
    tried = [BASE | {"lr": 0.011}, BASE | {"lr": 0.9}]
    folder = tmp_path / "search"
    made_up_search(folder, Faultless(0, width=1), search="hyperband", **{"try": tried})
    first, second = lines_of(folder / "ledger.jsonl")[:2]
    assert [first["hyperparameters"], second["hyperparameters"]] == tried
    assert [(r["trial"], r["until"], r["bracket"]) for r in (first, second)] == [
        (0, 81, "tried"), (1, 81, "tried"),
    ]  # fmt: skip
    assert {record["trial"] for record in ledger(folder)} == {-1, *range(2 + 49)}
    assert json.loads((folder / "search.json").read_text())["try"] == tried


class Faultless(MadeUp):
    def outcome(self, job):
        return trained(score(job))


@pytest.mark.parametrize("sampler", ["gp", "tpe"])
def test_a_sampler_learns_from_what_was_tried(sampler, tmp_path, capsys):
    for name, tried in [
        ("none", []),
        ("good", [BASE | {"lr": 0.01}]),
        ("bad", [BASE | {"lr": 1.0}]),
    ]:
        own = {"search": "random", "sampler": sampler, "trials": 20, "confirm": 0, "try": tried}
        made_up_search(tmp_path / name, Faultless(0), **own)

    def drawn(name):
        return [
            r["hyperparameters"] for r in ledger(tmp_path / name) if r["trial"] in range(12, 20)
        ]

    assert drawn("good") != drawn("bad") != drawn("none") != drawn("good")


def test_a_tried_value_outside_the_range_counts_as_the_nearest_within_it():
    table = MNIST.hyperparameters
    params, distributions = tpe.as_drawn(table, {"hidden2": 8}, BASE | {"lr": 5.0, "hidden2": 8})
    lr = next(setting for setting in table if setting.name == "lr")
    assert params["lr"] == lr.search[1] and "hidden2" not in params
    assert params.keys() == distributions.keys() >= {"lr", "optimizer", "hidden1"}
    few = [s._replace(search=("sgd",)) if s.name == "optimizer" else s for s in table]
    assert tpe.as_drawn(few, {}, BASE | {"optimizer": "adam"}) is None
    assert tpe.as_drawn(few, {}, BASE | {"optimizer": "sgd"}) is not None


def test_of_a_grid_a_list_and_a_condition_the_nearest_values_count():
    table = (
        *optimization(lr=0.3, batch_size=100, decay_steps=100),
        Setting("width", int, 32, "", 1, 512, search=(16, 512), scale="log", step=2),
        Setting("hidden", list[int], [8, 4], "", 1, 64, search=(4, 8), lengths=(1, 3)),
        Setting(
            "dropout", float, 0.2, "", 0, 1, search=(0.3, 0.6), only_with=("optimizer", "adam")
        ),
    )
    base = {setting.name: setting.default for setting in table}
    params, _ = tpe.as_drawn(table, {}, base | {"width": 70, "hidden": [5, 64]})
    assert (params["width"], params["len(hidden)"]) == (2, 2)  # the third of 16, 32, 64
    assert (params["hidden[0]"], params["hidden[1]"]) == (5, 8) and "hidden[2]" not in params
    assert "dropout" not in params
    params, _ = tpe.as_drawn(table, {}, base | {"optimizer": "adam"})
    assert params["dropout"] == 0.3


def test_the_rest_of_a_tried_configuration_is_what_the_search_begins_with(best):
    best(BASE)
    found = of({"momentum": 0.5, "hidden1": 64}, **{"try": [{"lr": 0.2}, {"hidden1": 64}]})
    fixed = BASE | {"momentum": 0.5, "hidden1": 64}
    assert found["try"] == [fixed | {"lr": 0.2}, fixed] and found["promoted"] == []


def test_a_search_goes_on_with_what_it_tried(best):
    best(BASE)
    first = of({"hidden1": 64}, **{"try": [{"lr": 0.2}]})
    assert search_settings(MNIST, {"search": "random"}, OPTIONS, first) == first
    none = search_settings(MNIST, {"search": "random", "try": []}, OPTIONS | {"try": []}, first)
    assert none["try"] == []  # refused later


def test_the_promoted_best_is_tried_first_if_it_fits(best):
    best({"lr": 0.2, "hidden1": 64})
    assert of({})["promoted"] == [BASE | {"lr": 0.2, "hidden1": 64}]
    assert of({"hidden1": 64})["promoted"] == of({})["promoted"]
    assert of({"hidden1": 65})["promoted"] == [] == of({}, **{"try": []})["promoted"]
    best({"hidden_1": 64})  # of an older table
    assert of({})["promoted"] == []
    assert search_settings(MNIST, {"search": "lr"}, OPTIONS)["promoted"] == []


def test_a_best_that_is_promoted_later_leaves_a_search_and_its_folder_as_they_are(
    tmp_path, capsys, results
):
    from hpsearch.search import SearchFolder

    one, two = settings(promoted=[]), settings(promoted=[BASE | {"lr": 0.5}])
    assert SearchFolder(one).path == SearchFolder(two).path
    made_up_search(tmp_path / "search", MadeUp(0, stop_after=20), search="random", trials=20)
    made_up_search(tmp_path / "search", MadeUp(0), search="random", trials=20, promoted=[BASE])
    assert "tried" not in {record["bracket"] for record in ledger(tmp_path / "search")}


@pytest.mark.parametrize(
    "flags, words",
    [
        ("--try=[", ["--try=[ is not JSON, as '{\"lr\": 0.1}'"]),
        ("--try=[3]", ["--try: 3 is not a configuration"]),
        ('--try={"lrr":1}', ["--try: lrr is not a hyper-parameter; there are lr"]),
        ('--try=[{"lr":1},{"lr":-1}]', ["--try: --lr=-1", "from 1e-09"]),
        ('--try={"momentum":0.5}', ["--try: --momentum=0.5 goes with", "not sgd"]),
        ('--try={"lr":0.1} --lr=0.2', ["--try: lr is fixed at 0.2"]),
    ],
)
def test_what_cannot_be_tried_is_refused_in_one_line(shell, flags, words, results):
    status, _, errors = shell("--search=random", *flags.split())
    assert status == 2 and errors.count("\n") == 1, errors
    assert all(word in errors for word in words) and not results.exists()
    status, _, errors = shell("--search=lr", "--try=[]")
    assert status == 2 and "--try goes with --search=random" in errors
