"""A search can be asked for more: more trials give what they would have given at once."""

import pytest
from made_up_searches import MadeUp, made_up_search, score, settings, trained
from runs import read
from searches import assert_same, ledger

from command_line import SEARCH
from hpsearch.promotion import promote
from hpsearch.search import SearchFolder
from hpsearch.search_settings import search_settings
from models import MODELS
from settings import ConfigError

kinds = pytest.mark.parametrize("kind", ["hyperband", "random"])
samplers = pytest.mark.parametrize("sampler", ["gp", "tpe", "random"])


class Noisy(MadeUp):
    """The score depends on everything, and other seeds rank the candidates in another way."""

    def outcome(self, job):
        luck = (job.trial * 7919 + job.until * 31 + (job.seed or 0)) % 101
        return trained(score(job) + luck / 1000)


def numbers(folder, until, seed=False):
    """The trials that were trained up to a step with the search's own seed, or with others."""
    records = [r for r in ledger(folder) if r["until"] == until and ("seed" in r) == seed]
    return {record["trial"] for record in records}


@kinds
@samplers
def test_more_trials_give_what_they_would_have_given_at_once(kind, sampler, tmp_path, capsys):
    few, many = {"trials": 27, "max_iter": 27}, {"trials": 60, "max_iter": 27}
    own = {"search": kind, "sampler": sampler}
    made_up_search(tmp_path / "search", Noisy(0), **own, **few)
    before = ledger(tmp_path / "search")
    executor = Noisy(1)
    made_up_search(tmp_path / "search", executor, **own, **many)
    made_up_search(tmp_path / "at once", Noisy(2), **own, **many)
    assert_same(tmp_path / "search", tmp_path / "at once")
    after = ledger(tmp_path / "search")
    assert [r for r in before if "seed" not in r and r not in after] == []
    assert before != after and executor.done < len(after) - len(before) + 20
    assert read(tmp_path / "search", "search.json")["trials"] == 60


@kinds
def test_fewer_trials_or_steps_are_refused_and_change_nothing(kind, tmp_path, capsys):
    folder, own = tmp_path / "search", {"search": kind, "trials": 30}
    made_up_search(folder, MadeUp(0), **own)
    before = (folder / "search.json").read_bytes(), ledger(folder)
    for changed in ({"trials": 29}, {"max_iter": 80}, {"trials": 40, "max_iter": 80}):
        with pytest.raises(ConfigError, match="holds a search with .*, which can only"):
            made_up_search(folder, MadeUp(0), **own | changed)
    assert ((folder / "search.json").read_bytes(), ledger(folder)) == before


@kinds
@samplers
def test_more_steps_go_on_with_the_trials_that_are_there(kind, sampler, tmp_path, capsys):
    own = {"search": kind, "sampler": sampler, "trials": 49 if kind == "hyperband" else 12}
    folder = tmp_path / "search"
    made_up_search(folder, Noisy(0), **own)
    first, reached = ledger(folder), numbers(folder, 81)
    executor = Noisy(1)
    made_up_search(folder, executor, **own, max_iter=243)
    further = numbers(folder, 243)
    assert further <= reached and len(further) == (3 if kind == "hyperband" else 12)
    own_records = [record for record in ledger(folder) if "seed" not in record]
    assert [r for r in own_records if r["until"] <= 81] == [r for r in first if "seed" not in r]
    again = [record for record in ledger(folder) if "seed" in record]
    assert {record["until"] for record in again} == {243}  # those at step 81 count no more
    assert executor.done == len(further) + len(again)
    best, recorded = read(folder, "best.json"), read(folder, "search.json")
    assert best["until"] == recorded["max_iter"] == 243 and recorded["extended_from"] == [81]


@kinds
@samplers
def test_any_order_of_asking_for_more_and_any_stop_gives_one_answer(
    kind, sampler, tmp_path, capsys
):
    own = {"search": kind, "sampler": sampler, "confirm": 2}
    asked = [{"trials": 27}, {"trials": 40}, {"trials": 40, "max_iter": 243}]
    other = [{"trials": 27}, {"trials": 27, "max_iter": 243}, {"trials": 40, "max_iter": 243}]
    for changed in asked:
        made_up_search(tmp_path / "one", Noisy(0), **own, **changed)
    for changed in other:
        for stop in (11, None):
            made_up_search(tmp_path / "two", Noisy(3, 2, stop), **own, **changed)
    assert_same(tmp_path / "one", tmp_path / "two")
    made_up_search(tmp_path / "two", Noisy(0), **own, **asked[2] | {"trials": 70})
    assert ledger(tmp_path / "one") != ledger(tmp_path / "two")


def test_a_search_may_be_extended_again_and_again_and_resumed_in_between(tmp_path, capsys):
    folder, own = tmp_path / "search", {"search": "random", "trials": 5}
    for max_iter in (9, 27, 27, 81):
        made_up_search(folder, Noisy(0), **own, max_iter=max_iter)
    assert read(folder, "search.json")["extended_from"] == [9, 27]
    assert all(len(numbers(folder, until)) == 5 for until in (9, 27, 81))
    with SearchFolder(settings(**own), folder.with_name("other")) as search:
        assert search.settings["extended_from"] == []


OPTIONS = {setting.name: setting.default for setting in SEARCH}


def test_flags_that_are_not_given_are_those_of_the_search_in_the_folder():
    model_class = MODELS["MNIST"]
    first = {"search": "hyperband", "fake_data": True, "hidden1": 64, "max_iter": 540, "eta": 2}
    recorded = search_settings(model_class, first, OPTIONS | {"eta": 2})
    more = {"search": "hyperband", "max_iter": 2000}
    found = search_settings(model_class, more, OPTIONS, recorded)
    assert found == recorded | {"max_iter": 2000}
    assert found["min_iter"] == 20 != search_settings(model_class, more, OPTIONS)["min_iter"]
    given = {"search": "hyperband", "hidden1": 32, "eta": 3}
    changed = search_settings(model_class, given, OPTIONS | {"eta": 3}, recorded)
    assert (changed["eta"], changed["fixed_params"]) == (3, {"hidden1": 32})  # refused later


def test_another_kind_of_search_in_the_folder_is_refused_in_words(tmp_path):
    made_up_search(tmp_path / "search", MadeUp(0), search="random")
    for kind in ("lr", "fullsearch"):
        with pytest.raises(ConfigError, match=rf"search=random \(now {kind}\)"):
            made_up_search(tmp_path / "search", MadeUp(0), search=kind)


def test_the_winner_of_a_search_that_was_extended_since_is_not_promoted(tmp_path):
    own = {"search": "random", "trials": 4, "confirm": 0}
    made_up_search(tmp_path / "search", MadeUp(0), **own)
    made_up_search(tmp_path / "search", MadeUp(0, stop_after=0), **own | {"trials": 8})
    with pytest.raises(FileNotFoundError, match="was extended and has no best trial of the longer"):
        promote(str(tmp_path / "search"), force=True)


def test_a_table_that_draws_otherwise_is_another_search():
    described = search_settings(MODELS["MNIST"], {"search": "random"}, OPTIONS)["searched"]
    assert described["hidden1"] == [[16, 512], "log", 2, [], []]
    assert "momentum" not in described
