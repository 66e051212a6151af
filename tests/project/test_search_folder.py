"""A search's folder, with a made-up objective: any order, any stop, any damage, one answer."""

import html
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from browser import hostile_names, look, needs_chromium
from made_up_searches import MadeUp, follow, made_up_search, score, settings, trained
from pasted import words
from rich.console import Console
from runs import read
from searches import assert_same, ledger, lines_of

from command_line import SEARCH, parse
from hpsearch import search
from hpsearch.display import Display, print_best
from hpsearch.ledger import Outcome
from hpsearch.page import table_of_the_best, write_search_page
from hpsearch.picture import draw, plotted
from hpsearch.search import SearchFolder
from hpsearch.search_settings import search_settings
from hpsearch.trial import shape_of
from models import MODELS
from settings import ConfigError, Setting, optimization
from training import processors
from training.files import PROJECT

samplers = pytest.mark.parametrize("sampler", ["gp", "tpe", "random"])


@samplers
def test_any_order_of_completion_gives_the_same_ledger(sampler, tmp_path, capsys):
    for order, width in [(0, 1), (1, 4), (2, 64)]:
        assert made_up_search(tmp_path / f"{order}", MadeUp(order, width), sampler=sampler)
    assert_same(tmp_path / "1", tmp_path / "0")
    assert_same(tmp_path / "2", tmp_path / "0")
    records, best = ledger(tmp_path / "0"), read(tmp_path / "0", "best.json")
    whole = [r for r in records if r["until"] == 81 and r["state"] == "trained"]
    own = [r for r in whole if "seed" not in r]
    again = [r["score"] for r in whole if r["hyperparameters"] == best["hyperparameters"]]
    assert best["mean"] == pytest.approx(max(r["score"] for r in own)) == pytest.approx(again[0])
    assert best["seeds"] == 3 and best["scores"] == again[-3:]
    numbers = {r["trial"] for r in own}  # and -1, of what the search began with
    assert len([r for r in whole if "seed" in r]) == 12 and best["trial"] in numbers
    assert {r["trial"] for r in whole if "seed" in r} < numbers | {-1}
    assert best["run"] == f"trials/{best['trial']:04}"


@samplers
def test_a_search_that_was_stopped_anywhere_goes_on_to_the_same_end(sampler, tmp_path, capsys):
    made_up_search(tmp_path / "straight", MadeUp(0), sampler=sampler)
    total = len(ledger(tmp_path / "straight"))
    for stop in range(0, total, 37):
        folder = tmp_path / f"{stop}"
        assert made_up_search(folder, MadeUp(1, stop_after=stop), sampler=sampler) is False
        with open(folder / "ledger.jsonl", "a") as file:
            file.write('{"trial": 3, "torn')
        executor = MadeUp(2)
        assert made_up_search(folder, executor, sampler=sampler) is True
        assert_same(folder, tmp_path / "straight")
        assert executor.done < total or stop == 0  # what was there was not run again


def test_a_job_that_was_interrupted_is_no_record_and_runs_again(tmp_path, capsys):
    class Interrupted(MadeUp):
        """Each job is interrupted, and the next time it is not."""

        def outcome(self, job):
            begun.append(job)
            return super().outcome(job) if begun.count(job) > 1 else Outcome("interrupted")

    begun = []
    for folder, executor in [("straight", MadeUp(0)), ("interrupted", Interrupted(0))]:
        made_up_search(tmp_path / folder, executor, search="hyperband", confirm=0)
    assert_same(tmp_path / "interrupted", tmp_path / "straight")
    assert len(begun) == 2 * len(ledger(tmp_path / "straight"))


def test_a_full_search_that_is_run_again_changes_nothing(tmp_path, capsys):
    class BestAtLast(MadeUp):
        """The last trial of all is the best: it must not become the base of the pass before."""

        def outcome(self, job):
            return trained(float(job.trial))

    first, again = BestAtLast(0), BestAtLast(0)
    made_up_search(tmp_path / "search", first)
    before = ledger(tmp_path / "search"), read(tmp_path / "search", "best.json")
    made_up_search(tmp_path / "search", again)
    assert (ledger(tmp_path / "search"), read(tmp_path / "search", "best.json")) == before
    assert first.done == len(before[0]) and again.done == 0


def test_an_altered_line_is_reported_and_its_job_is_run_again(tmp_path, capsys):
    made_up_search(tmp_path / "search", MadeUp(0))
    before = ledger(tmp_path / "search")
    path = tmp_path / "search" / "ledger.jsonl"
    records = lines_of(path)
    records[3]["score"] = 99.0
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    made_up_search(tmp_path / "search", MadeUp(0))
    assert f"a line of trial {records[3]['trial']} is corrupt" in capsys.readouterr().out
    assert ledger(tmp_path / "search") == before


def test_a_search_with_other_settings_or_of_another_model_is_refused(tmp_path, capsys):
    made_up_search(tmp_path / "search", MadeUp(0))
    with pytest.raises(ConfigError, match=r"search_seed=0 \(now 1\)"):
        made_up_search(tmp_path / "search", MadeUp(0), search_seed=1)
    with pytest.raises(ConfigError, match="model_name=MNIST"):
        made_up_search(tmp_path / "search", MadeUp(0), model_name="LinearRegression")
    changed = {"run": {"threads": 2}, "fixed_params": {"lr": 0.1}}
    with pytest.raises(ConfigError) as error:
        made_up_search(tmp_path / "search", MadeUp(0), **changed)
    listed = "holds a search with fixed_params.lr=None (now 0.1), threads=None (now 2)"
    assert str(error.value).endswith(listed)


def test_two_parents_on_one_search_are_one_too_many(tmp_path):
    with (
        SearchFolder(settings(), tmp_path / "search"),
        pytest.raises(BlockingIOError, match="in use by another search"),
        SearchFolder(settings(), tmp_path / "search"),
    ):
        pass


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("ten years")
    with pytest.raises(FileExistsError, match="thesis.txt but no search"):
        made_up_search(tmp_path, MadeUp(0))
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_search_in_which_nothing_could_be_trained_says_so(tmp_path, capsys):
    class Failing(MadeUp):
        def outcome(self, job):
            return Outcome("failed", reason="no")

    with pytest.raises(ValueError, match="no trial could be trained to the end"):
        made_up_search(tmp_path / "search", Failing(0))
    assert not (tmp_path / "search" / "best.json").exists()


def test_a_run_in_the_folder_of_a_search_is_refused(tmp_path, shell, capsys):
    made_up_search(tmp_path / "search", MadeUp(0))
    status, _, errors = shell(f"--result_dir={tmp_path / 'search'}", "--jit=off")
    assert status == 1 and "holds a search; run its own command again" in errors


def test_a_folder_that_no_trial_could_be_read_from_is_refused(tmp_path):
    with pytest.raises(ValueError, match="cannot read from a folder with"):
        made_up_search(tmp_path / "a[1]", MadeUp(0))
    assert not (tmp_path / "a[1]").exists()


def test_the_same_settings_have_the_same_folder(results):
    one, two, other = (SearchFolder(settings(eta=eta)) for eta in (3, 3, 4))
    assert one.path == two.path != other.path and not results.exists()


OPTIONS = {setting.name: setting.default for setting in SEARCH}


def test_settings_that_change_no_weight_do_not_make_another_search():
    def of(**given):
        return search_settings(MODELS["MNIST"], {"search": "random"} | given, OPTIONS)

    assert of(log_every=7, debug=True, threads=1) == of() != of(fake_data=True)
    assert of(threads=0)["run"]["threads"] == 1 and of(threads=3)["run"]["threads"] == 3
    assert of(threads=0) == of()  # whatever the number of processors


def few(trials, **fixed):
    """A random search of 2,000 steps, with one width."""
    about = {"search": "random", "max_iter": 2000, "confirm": 0, "trials": trials}
    return about | {"hidden1": 9, "hidden2": 9} | fixed


@pytest.mark.parametrize(
    ("given", "jit"),
    [
        ({"search": "random", "max_iter": 4000}, "short"),
        ({"search": "random", "max_iter": 4001}, None),
        ({"search": "hyperband", "max_iter": 5000}, "short"),
        ({"search": "hyperband", "max_iter": 100_000}, None),
        ({"search": "lr", "max_iter": 100}, None),
        ({"fullsearch": True, "max_iter": 5000}, None),
        ({"search": "random", "max_iter": 100, "jit": "loop"}, "loop"),
        (few(6), "short"),  # three networks, one for each optimizer
        (few(7), None),
        (few(3, optimizer="sgd"), None),
    ],
)
def test_networks_that_train_few_steps_are_not_compiled_unless_it_is_asked_for(given, jit):
    options = {name: given.get(name, default) for name, default in OPTIONS.items()}
    assert search_settings(MODELS["MNIST"], given, options)["run"].get("jit") == jit


@pytest.mark.parametrize(("steps", "more"), [(900, 90_000), (9_000, 13_500)])
def test_a_search_that_goes_on_keeps_what_it_chose_to_compile(steps, more):
    """With the smallest rung fixed, a trial of the longer search has fewer steps on average."""

    def run_of(recorded, max_iter):
        options = OPTIONS | {"min_iter": 500, "confirm": 0}
        given = {"search": "hyperband", "max_iter": max_iter}
        return search_settings(MODELS["MNIST"], given, options, recorded)

    first = run_of(None, steps)
    assert run_of(first, more)["run"] == first["run"] != run_of(None, more)["run"]


def test_the_picture_is_drawn_of_any_search(tmp_path, capsys):
    made_up_search(tmp_path / "search", MadeUp(0))
    best = read(tmp_path / "search", "best.json")
    with SearchFolder(settings(), tmp_path / "search") as folder:
        for confirmed in ([], best["confirmed"]):
            draw(folder, best | {"confirmed": confirmed})
            assert (folder.path / "search.png").exists()
            (folder.path / "search.png").unlink()


def test_the_end_shows_the_confirmed_first_and_does_not_count_them_as_trials(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # a long path would be folded
    made_up_search(Path("search"), MadeUp(0), search="hyperband")
    best = read(Path("search"), "best.json")
    with SearchFolder(settings(search="hyperband"), Path("search")) as folder:
        capsys.readouterr()
        print_best(folder, best)
    output = capsys.readouterr().out
    rows = [line.split() for line in output.splitlines() if f"{os.sep}trials{os.sep}" in line]
    assert rows[0][0] == f"{best['trial']:04}" and rows[0][2] == f"{best['mean']:.6g}"
    assert rows[0][3] == f"{best['spread']:.2g}" and len(rows) >= 6
    assert [len(row) for row in rows][-1] == len(rows[0]) - 2  # not confirmed: neither of the two
    assert re.search(r"^49 trials: \d+ complete, .*; with other seeds \d+ of 12 complete$", output,
                     re.M)  # fmt: skip
    assert f"Best: trial {best['trial']:04}, accuracy = " in output


def test_a_confirmation_with_one_seed_shows_no_spread(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a long path would be folded
    made_up_search(Path("search"), MadeUp(0), search="hyperband", confirm=1)
    best = read(Path("search"), "best.json")
    with SearchFolder(settings(search="hyperband", confirm=1), Path("search")) as folder:
        capsys.readouterr()
        print_best(folder, best)
    output = capsys.readouterr().out
    rows = [line.split() for line in output.splitlines() if f"{os.sep}trials{os.sep}" in line]
    assert rows[0][2] == f"{best['mean']:.6g}"
    assert [len(row) for row in rows][-1] == len(rows[0]) - 1  # not confirmed: no mean
    assert "Scores with 1 seed that the search had not seen" in output
    assert "±" not in output and "spread" not in output


def test_a_search_without_confirmation_takes_the_best_score(tmp_path, capsys):
    made_up_search(tmp_path / "search", MadeUp(0), search="hyperband", confirm=0)
    records, best = ledger(tmp_path / "search"), read(tmp_path / "search", "best.json")
    assert best["mean"] == max(r["score"] for r in records if r["until"] == 81 and r["score"])
    assert (best["seeds"], best["spread"], best["confirmed"]) == (1, None, [])
    assert not any("seed" in record for record in records)
    with SearchFolder(settings(search="hyperband", confirm=0), tmp_path / "search") as folder:
        print_best(folder, best)
    output = capsys.readouterr().out
    assert "other seeds" not in output and "mean" not in output


def test_the_best_is_on_the_disk_when_a_search_ends(tmp_path, capsys, monkeypatch):
    done = []
    for name in ("write_json", "sync"):
        original = getattr(search, name)

        def called(path, *content, name=name, original=original):
            done.append((name, path.name))
            original(path, *content)

        monkeypatch.setattr(search, name, called)
    made_up_search(tmp_path / "search", MadeUp(0), search="hyperband", confirm=0)
    assert done[-2:] == [("write_json", "best.json"), ("sync", "search")]


def test_a_lucky_trial_is_not_believed(tmp_path, capsys):
    class Lucky(MadeUp):
        """The best trial of the search is among the worst with any other seed."""

        def outcome(self, job):
            lucky = job.hyperparameters["optimizer"] == "adam"
            if job.seed is None:
                return trained(score(job) + lucky)
            return trained(score(job) - lucky)

    for name, confirm in [("believed", 0), ("confirmed", 3)]:
        made_up_search(tmp_path / name, Lucky(0), search="hyperband", confirm=confirm)
    lucky, best = (read(tmp_path / name, "best.json") for name in ("believed", "confirmed"))
    assert lucky["hyperparameters"]["optimizer"] == "adam" and lucky["mean"] > 0.9
    assert best["hyperparameters"]["optimizer"] != "adam"


def test_a_search_that_finds_nothing_better_ends_with_what_it_began_with(tmp_path, capsys):
    class Faultless(MadeUp):
        def outcome(self, job):
            return trained(score(job))

    base = settings()["base"] | {"lr": 0.01}
    made_up_search(tmp_path / "search", Faultless(0), search="hyperband", base=base)
    best = read(tmp_path / "search", "best.json")
    assert best["hyperparameters"] == base and best["trial"] == -1
    assert best["run"].startswith("trials/base-seed-")
    with SearchFolder(best["settings"], tmp_path / "search") as folder:
        print_best(folder, best)
    assert "Nothing is clearly better than what the search began with" in capsys.readouterr().out


def test_each_trial_of_a_confirmation_has_its_own_seed_and_folder(tmp_path, capsys):
    class Watched(MadeUp):
        def submit(self, job, config):
            configs[job.trial, job.seed] = config
            return super().submit(job, config)

    configs = {}
    made_up_search(tmp_path / "search", Watched(0), search="hyperband")
    assert {configs[n, None]["random_seed"] for n in range(49)} == {0}
    again = {(trial, seed) for trial, seed in configs if seed is not None}
    trials, seeds = ({key[i] for key in again} for i in (0, 1))
    assert (len(trials), len(seeds), len(again)) == (4, 3, 12) and -1 in trials and 0 not in seeds
    assert all(configs[trial, seed]["random_seed"] == seed for trial, seed in again)
    folders = {key: Path(config["result_dir"]) for key, config in configs.items()}
    assert len(set(folders.values())) == 61
    assert {folder.parent for folder in folders.values()} == {tmp_path / "search" / "trials"}
    seed = min(seeds)
    assert (folders[5, None].name, folders[-1, seed].name) == ("0005", f"base-seed-{seed}")
    assert {f"{n:04}-seed-{seed}" for n in trials - {-1}} < {f.name for f in folders.values()}


@pytest.mark.parametrize(
    "flags, words",
    [
        ("--search=grid", ["--search=grid", "one of random, hyperband, lr"]),
        ("--nb_process=2", ["--nb_process goes with --search"]),
        ("--search=lr --nb_process=0", ["--nb_process=0", "from 1"]),
        ("--search=lr --fullsearch", ["one stage"]),
        ("--search=hyperband --random_seed=1", ["--random_seed goes with training"]),
        ("--search=hyperband --min_iter=300", ["--min_iter=300", "--max_iter=200"]),
        ("--search=hyperband --fixed_params={", ["--fixed_params={ is not JSON"]),
        ('--search=lr --fixed_params={"lrr":1}', ["lrr is not", "lr (float, from 1e-09 to 1000)"]),
        ('--search=lr --fixed_params={"lr":"x"}', ["--lr=x", "float"]),
        ('--search=lr --fixed_params={"lr":-1}', ["--lr=-1", "from"]),
        ("--search=hyperband --lr=1 --optimizer=sgd", ["left to search"]),
        ("--search=lr --lr=0.1", ["--search=lr searches lr", "0.1"]),
        ('--fullsearch --fixed_params={"lr":0.1}', ["searches lr, which is fixed"]),
        ("--fullsearch --optimizer=sgd", ["left to search"]),
        ("--search=lr --nb_process=two", ["--nb_process=two is not of type int"]),
        ('--search=random --lr=0.1 --fixed_params={"lr":1}', ["--lr=0.1", "--fixed_params, too"]),
        ("--promote", ["--promote needs --result_dir=R, the folder of a search"]),
        ("--force", ["--force goes with --promote"]),
        ("--search=lr --trials=3", ["--trials goes with --search=random or --search=hyperband"]),
        ("--search=random --lr_points=3", ["--lr_points goes with --search=lr or --fullsearch"]),
        ("--search=lr --lr_points=1", ["--lr_points=1", "from 2"]),
        ("--search=random --ranges=[1]", ["--ranges=[1] is not of type dict"]),
        ('--search=random --ranges={"lrr":[1,2]}', ["--ranges: lrr is not", "lr, optimizer"]),
        ('--search=random --ranges={"lr":[1]}', ["--ranges: lr is [1], not [low, high]"]),
        ('--search=random --ranges={"lr":0.1}', ["--ranges: lr is 0.1, not [low, high]"]),
        ('--search=random --ranges={"lr":[0.5,0.1]}', ["lr cannot be searched from 0.5 to 0.1"]),
        ('--search=random --ranges={"lr":[0,1]}', ["--ranges: --lr=0", "from 1e-09"]),
        ('--search=random --ranges={"lr":[0.1,0.1]}', ["lr has one value only; use --lr=0.1"]),
        ('--search=random --ranges={"lr":["x",1]}', ["--lr=x is not of type float"]),
        ('--search=random --ranges={"optimizer":["x"]}', ["--optimizer=x", "one of sgd"]),
        ('--search=random --ranges={"optimizer":"sgd"}', ["optimizer is sgd, not a list"]),
        ('--search=random --lr=1 --ranges={"lr":[1,2]}', ["lr is fixed at 1"]),
        ('--search=lr --ranges={"beta1":[0.1,0.2]}', ["--search=lr does not search beta1"]),
        (
            "--search=random --optimizer=sgd --momentum=0.5",
            ["--momentum goes with", "no trial has"],
        ),
        (
            "--search=lr --momentum=0.5",
            ["--momentum goes with --optimizer=momentum, which"],
        ),
        (
            "--search=random --decay_rate=0.5",
            ["--decay_rate goes with --lr_schedule=step, which"],
        ),
        (
            '--search=random --fixed_params={"optimizer":"adam","momentum":0.5}',
            ["--fixed_params: momentum goes with --optimizer=momentum, which no trial has"],
        ),
        (
            '--search=random --ranges={"optimizer":["sgd","adam"],"momentum":[0.5,0.9]}',
            ["--ranges: momentum goes with --optimizer=momentum, which no trial has"],
        ),
        (
            '--model_name=MNIST --search=random --ranges={"hidden1":[20,30]}',
            ["--ranges: hidden1 has one value only; use --hidden1=20"],
        ),
    ],
)
def test_a_search_that_cannot_be_is_refused(shell, flags, words, results):
    status, _, errors = shell(*flags.split())
    assert status == 2 and errors.count("\n") == 1, errors
    for word in words:
        assert word in errors
    assert not results.exists()


def test_a_dry_run_prints_the_schedule_and_writes_nothing(shell, results):
    flags = ["--dry_run", "--jit=off", f"--threads={processors.count()}", "--try=[]"]
    status, output, errors = shell("--search=hyperband", "--nb_process=4", *flags)
    assert (status, errors) == (0, "") and not results.exists()
    assert "61 trials, 5,028 steps, 4 at a time" in output
    assert "2: confirmation 3" in output
    status, output, errors = shell("--search=hyperband", "--nb_process=4", "--confirm=0", *flags)
    assert "49 trials, 2,628 steps, 4 at a time" in output
    status, output, errors = shell("--search=random", "--trials=5", "--confirm=1", *flags)
    assert "9 trials, 1,800 steps" in output
    assert "MB of disk" in output and "s to build" in output


def test_the_table_shows_what_runs_and_what_has_ended(tmp_path, capsys):
    def text(display):
        console = Console(width=100, file=io.StringIO())
        console.print(display.table())
        return console.file.getvalue()

    executor, chosen = MadeUp(0, stop_after=30), {"search": "hyperband"}
    with SearchFolder(settings(**chosen), tmp_path / "search") as folder:
        display = Display(folder.ledger)
        assert "time left ..." in text(display)
        assert follow(folder, executor, display) is False
        first = text(display)
        executor = MadeUp(0)
        assert follow(folder, executor, display) is True
        last = text(display)
    cells = [line.split() for line in last.splitlines() if line.startswith("  hyperband 3")]
    assert [row[2:7] for row in cells[:2]] == [
        ["3", "27", "0", "23", "4"], ["9", "9", "0", "9", "0"]
    ]  # fmt: skip
    assert "time left 0:00:00" in last and first != last


def test_drawing_does_not_load_tensorflow(tmp_path, capsys):
    made_up_search(tmp_path / "search", MadeUp(0))
    program = (
        "import sys; from pathlib import Path; from hpsearch.picture import draw;"
        "from hpsearch.search import SearchFolder; from training.files import read_json;"
        f"path = Path({str(tmp_path / 'search')!r}); settings = read_json(path / 'search.json');"
        "folder = SearchFolder(settings, path).__enter__();"
        "draw(folder, read_json(path / 'best.json'));"
        "sys.exit('tensorflow.python' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=PROJECT).returncode == 0


def test_the_first_bracket_goes_first_and_of_it_a_cached_trial(tmp_path, capsys):
    class Watched(MadeUp):
        started, shapes = [], {}

        def cached_shapes(self):
            return {self.shapes[4], self.shapes[3]} if len(self.started) == 9 else set()

        def submit(self, job, config):
            self.started.append((job.bracket, job.rung, job.trial))
            self.shapes[job.trial] = shape_of(config)
            return super().submit(job, config)

    made_up_search(tmp_path / "search", Watched(0, width=1), search="hyperband", max_iter=27)
    rung = [trial for _, _, trial in Watched.started[9:12]]
    assert [job[0] for job in Watched.started[:13]] == ["hyperband 2"] * 13
    assert rung == [3, 5, 6]  # 4 was not promoted


def test_a_dry_run_needs_no_data(shell, results, monkeypatch):
    def load(split):
        raise AssertionError("the data was asked for")

    monkeypatch.setattr("models.mnist.load_mnist", load)
    flags = ["--dry_run", "--jit=off", f"--threads={processors.count()}"]
    status, output, errors = shell("--model_name=MNIST", "--search=random", *flags)
    assert (status, errors) == (0, "") and "s to build" in output and not results.exists()


def page_of(path, **changed):
    """Make up a search whose winner has a run folder. Returns its page, best.json and settings."""
    changed |= {"sampler": None} if changed["search"] == "lr" else {}
    made_up_search(path, MadeUp(0), **changed)
    best = read(path, "best.json")
    with SearchFolder(settings(**changed), path) as folder:
        run_folder = path / best["run"]
        run_folder.mkdir(parents=True)
        config = {"model_name": "MNIST", "random_seed": 1}
        (run_folder / "config.json").write_text(json.dumps({"config": config}))
        draw(folder, best)
        write_search_page(folder, best)
    return (path / "report.html").read_text(encoding="utf-8"), best, folder.settings


@pytest.mark.parametrize("kind", ["random", "hyperband", "lr", "fullsearch"])
def test_the_page_of_a_search_names_the_winner_and_the_flags_that_give_it_again(kind, tmp_path):
    text, best, asked = page_of(tmp_path / "search", search=kind, fixed_params={"batch_size": 50})
    text = html.unescape(text)
    assert f"Winner: trial {best['trial']:04} with {best['mean']:.6g}" in text
    again, promote, winner = (
        words(re.sub("<[^>]+>", "", line))[1:] for line in re.findall("<pre>(.*)</pre>", text)
    )
    model_class, given = parse(again)
    options = OPTIONS | {s.name: given[s.name] for s in SEARCH if s.name in given}
    found = search_settings(model_class, given, options)
    assert found["try"] == (None if kind == "lr" else [])  # whatever is promoted
    other = ("run", "trials", "base", "lr_points", "try", "searched", "constraints")
    kept = {n: v for n, v in found.items() if n not in other}
    assert kept == {n: v for n, v in asked.items() if n in kept}
    table = {s.name: s.default for s in MODELS["MNIST"].hyperparameters}
    chosen = table | {n: v for n, v in parse(winner)[1].items() if n in table}
    assert chosen == best["hyperparameters"] and parse(promote)[1]["promote"]


class Deep(MODELS["MNIST"]):
    """With layers of any number, and a rate that goes with one of two kinds."""

    hyperparameters = (
        *optimization(lr=0.3, batch_size=100, decay_steps=100),
        Setting("hidden", list[int], [8, 4], "widths", 1, 64, search=(4, 8), lengths=(1, 3)),
        Setting("dropout", float, 0.2, "part", 0, 1, search=(0.3, 0.6),
                only_with=("optimizer", "adam")),
    )  # fmt: skip


def test_a_search_shows_lists_and_only_what_a_trial_uses(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(MODELS, "Deep", Deep)
    base = {setting.name: setting.default for setting in Deep.hyperparameters}
    asked = {"model_name": "Deep", "search": "random", "base": base}
    drawn = []
    monkeypatch.setattr("hpsearch.picture.draw_values", lambda panel, *about: drawn.append(about))
    made_up_search(tmp_path / "search", MadeUp(0), **asked)
    with SearchFolder(settings(**asked), tmp_path / "search") as folder:
        best = read(folder.path, "best.json")
        draw(folder, best)
        capsys.readouterr()
        print_best(folder, best)
        records = [record["hyperparameters"] for record in folder.ledger.records.values()]
        rows, head = table_of_the_best(folder, best)
    assert [name for name, *_ in drawn] == [
        "lr", "optimizer", "len(hidden)", "hidden[0]", "hidden[1]", "hidden[2]", "dropout"
    ]  # fmt: skip
    assert head[3:] == ["lr", "optimizer", "hidden", "dropout"]
    shown = {(row[4], bool(row[6])) for row in rows}
    assert shown == {("sgd", False), ("momentum", False), ("adam", True)}
    assert {row[5] for row in rows} <= {",".join(map(str, config["hidden"])) for config in records}
    assert re.search(r" adam +[48,5-7]+ +0\.\d+ ", capsys.readouterr().out)
    assert plotted("Deep", base) == {
        **{n: v for n, v in base.items() if n in ("lr", "optimizer", "lr_schedule", "warmup_steps",
                                                  "clip_norm", "weight_decay", "batch_size")},
        "len(hidden)": 2, "hidden[0]": 8, "hidden[1]": 4,
    }  # fmt: skip


@needs_chromium
@hostile_names
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_of_a_search_fits_any_screen_and_shows_its_name_as_it_is(width, tmp_path):
    name = "a<img src=x onerror=window.hacked=1>&amp;"
    text, _, _ = page_of(tmp_path / name, search="hyperband")
    seen = look(re.sub("(?s)<meta http-equiv.*?>", "", text), tmp_path, width)
    assert not seen["hacked"] and seen["needs"] <= width and seen["beyond"] == []
    ((natural, shown, caption),) = seen["images"]
    assert natural > 1000 and shown > 700 and "Scores of 42 trials; the best" in caption
    assert name in seen["title"] and seen["requests"] == []
