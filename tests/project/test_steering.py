"""What one sees of a search while it runs, and what stops it: status.json, pictures, the page."""

import json
import signal

import pytest
from browser import look, needs_chromium
from made_up_searches import MadeUp, follow, made_up_search, settings, trained
from runs import read
from searches import ledger

from command_line import SEARCH
from hpsearch import commands, watching
from hpsearch.display import Display
from hpsearch.importance import ENOUGH, importance, of_trials
from hpsearch.search import SearchFolder
from hpsearch.watching import Watch, best_so_far
from models import MODELS
from training.signals import StopSignals

MNIST = MODELS["MNIST"]
CONFIG = {"model_name": "MNIST", "random_seed": 1}


class Made(MadeUp):
    """Made up, with the run folders that a page reads; the clock moves with each job."""

    def __init__(self, *about, path, clock=None, **more):
        super().__init__(*about, **more)
        self.path, self.clock = path, clock

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def submit(self, job, config):
        folder = self.path / "trials" / f"{job.trial:04}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"config": CONFIG}))
        future = super().submit(job, config)
        if self.running:
            self.end_one()
        if self.clock:
            self.clock.now += 5
        return future


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(watching.time, "monotonic", clock.monotonic)
    return clock


def start(folder, executor, monkeypatch, **given):
    """Start a search as the command line does, with this executor. Returns the exit status."""
    monkeypatch.setattr(commands, "executor_for", lambda run, options: executor)
    given = {"search": "random", "max_iter": 81, "result_dir": str(folder)} | given
    options = {s.name: given.get(s.name, s.default) for s in SEARCH} | {"try": []}
    return commands.search(MNIST, given, options)


def status(folder):
    found = read(folder, "status.json")
    return found["status"], found["reason"]


def test_a_search_stops_after_max_hours_and_the_same_command_goes_on(
    tmp_path, monkeypatch, capsys, clock
):
    one, two = tmp_path / "one", tmp_path / "two"
    asked = {"trials": 20, "sampler": "random"}
    stopped = Made(0, path=one, clock=clock)
    assert start(one, stopped, monkeypatch, max_hours=60 / 3600, **asked) == 0
    output = capsys.readouterr().out
    assert 5 <= len(ledger(one)) <= 15 and not (one / "best.json").exists()
    assert "The best so far, of the trials at step 81:" in output
    assert "Stopped by --max_hours=0.0166667; run the same command to resume" in output
    assert status(one) == ("interrupted", "--max_hours=0.0166667")
    page = (one / "report.html").read_text(encoding="utf-8")
    assert "Stopped by --max_hours" in page and "Best so far: trial" in page
    assert "refresh" not in page and "--promote" not in page and (one / "search.png").exists()
    for folder, limit in [(one, 9.0), (two, None)]:
        executor = Made(1, path=folder, clock=clock)
        assert start(folder, executor, monkeypatch, max_hours=limit, **asked) == 0
        assert status(folder) == ("complete", None)
    assert ledger(one) == ledger(two) and read(one, "best.json") == read(two, "best.json")
    assert "--promote" in (one / "report.html").read_text(encoding="utf-8")


def test_ctrl_c_leaves_the_best_so_far_and_its_own_status(tmp_path, monkeypatch, capsys):
    class Interrupting(Made):
        def submit(self, job, config):
            if job.trial == 12:
                StopSignals.current.received = signal.SIGINT
            return super().submit(job, config)

    folder = tmp_path / "search"
    executor = Interrupting(0, path=folder, width=1)
    assert start(folder, executor, monkeypatch, sampler="random") == 130
    assert status(folder) == ("interrupted", "SIGINT")
    assert "Stopped by SIGINT; run the same command to resume" in capsys.readouterr().out
    assert "Stopped by SIGINT" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_search_that_fails_says_so_in_its_status(tmp_path, monkeypatch, capsys):
    class Failing(Made):
        def submit(self, job, config):
            raise OSError("the cluster has gone")

    folder = tmp_path / "search"
    with pytest.raises(OSError, match="the cluster has gone; fix this"):
        start(folder, Failing(0, path=folder), monkeypatch)
    found, reason = status(folder)
    assert found == "failed" and "the cluster has gone" in reason


def watched(path, executor, clock, stop_after=25, monkeypatch=None):
    """Follow a search with a watch, until so many jobs have ended. Returns the watch."""
    with SearchFolder(settings(search="hyperband"), path) as folder:
        with Watch(folder, MNIST) as watch, Display(folder.ledger) as display:

            class Both:
                def show(self, snapshot):
                    display.show(snapshot)
                    watch.show(snapshot, display)

            executor.stop_after = stop_after
            follow(folder, executor, Both())
        return watch


@needs_chromium
def test_while_it_runs_the_page_says_how_far_it_is_and_reads_itself_again(tmp_path, capsys, clock):
    path = tmp_path / "search"
    watched(path, Made(0, path=path, clock=clock), clock)
    page = (path / "report.html").read_text(encoding="utf-8")
    assert '<meta http-equiv="refresh" content="30">' in page and "--promote" not in page
    seen = look(page.replace('http-equiv="refresh"', ""), tmp_path)
    assert "jobs of this pass have ended, time left" in seen["text"]
    assert "Best so far: trial" in seen["text"] and len(seen["images"]) == 1
    assert status(path) == ("running", None) and not (path / "best.json").exists()


def test_it_draws_when_something_has_ended_and_time_has_passed(
    tmp_path, capsys, clock, monkeypatch
):
    path, drawn = tmp_path / "search", []

    def draw(self, best, standing, found, refresh=0):
        drawn.append(clock.now)
        clock.now += 10  # slow
        return True

    monkeypatch.setattr(Watch, "draw", draw)
    watched(path, Made(0, path=path, clock=clock), clock, stop_after=120)
    gaps = [after - before for before, after in zip(drawn, drawn[1:], strict=False)]
    assert drawn[0] >= 30 and gaps and min(gaps) >= 210  # twenty times what it took


@pytest.mark.parametrize("error", [ValueError("no"), OSError("disk full")])
def test_a_drawing_that_fails_is_said_once_and_disturbs_no_search(
    error, tmp_path, capsys, clock, monkeypatch
):
    def fail(*about):
        raise error

    monkeypatch.setattr("hpsearch.picture.draw", fail)
    path = tmp_path / "search"
    watched(path, Made(0, path=path, clock=clock), clock, stop_after=None)
    assert capsys.readouterr().out.count("drawing search.png and report.html failed") == 1
    assert (path / "best.json").exists()


def test_the_best_so_far_is_that_of_the_trials_that_were_trained_furthest(tmp_path, capsys):
    path = tmp_path / "search"
    made_up_search(path, MadeUp(0, stop_after=45), search="hyperband")
    with SearchFolder(settings(search="hyperband"), path) as folder:
        best = best_so_far(folder)
        own = [r for r in ledger(path) if r["score"] is not None]
    furthest = max(r["until"] for r in own)
    assert best["mean"] == max(r["score"] for r in own if r["until"] == furthest)
    assert best["until"] == furthest > 3 and best["confirmed"] == []
    with SearchFolder(settings(), tmp_path / "empty") as folder:
        assert best_so_far(folder) is None


class OnlyTheRate(MadeUp):
    def outcome(self, job):
        return trained(-abs(job.hyperparameters["lr"] - 0.01))


def test_what_decides_the_score_is_the_most_important(tmp_path, capsys):
    path, own = tmp_path / "search", {"search": "random", "trials": 60}
    made_up_search(path, OnlyTheRate(0), **own)
    with SearchFolder(settings(**own), path) as folder:
        found = importance(MNIST, folder.settings, folder.ledger)
    assert next(iter(found.shares)) == "lr" and found.shares["lr"] > 0.5
    assert sum(found.shares.values()) == pytest.approx(1) and len(found.shares) == 4
    assert (found.trials, found.until) == (60, 81)
    assert found.about() == "PED-ANOVA of 60 trials at step 81"


def test_importance_is_that_at_the_last_step_that_enough_trials_reached(tmp_path, capsys):
    path, own = tmp_path / "search", {"search": "hyperband"}
    made_up_search(path, OnlyTheRate(0), **own)
    with SearchFolder(settings(**own), path) as folder:
        found = importance(MNIST, folder.settings, folder.ledger)
        counts = {n: len(folder.ledger.ranked(n)) for n in (27, 81)}
    assert counts[81] < ENOUGH <= counts[27] == found.trials and found.until == 27


def test_few_trials_or_one_hyperparameter_have_no_importance():
    base = {setting.name: setting.default for setting in MNIST.hyperparameters}
    values = [(base | {"lr": 0.1 / (1 + i), "hidden1": 20 + i}, float(i)) for i in range(12)]
    assert of_trials(MNIST, settings(), values, 9).shares.keys() == {"lr", "hidden1"}
    assert of_trials(MNIST, settings(), values[: ENOUGH - 1], 9) is None
    alone = [(config | {"hidden1": 20}, value) for config, value in values]
    assert of_trials(MNIST, settings(), alone, 9) is None


def test_an_importance_that_cannot_be_found_is_said_and_fails_no_search(
    tmp_path, monkeypatch, capsys
):
    def fail(*about):
        raise ImportError("optuna")

    monkeypatch.setattr(watching, "importance", fail)
    folder = tmp_path / "search"
    assert start(folder, Made(0, path=folder), monkeypatch, sampler="random") == 0
    assert "the importance of hyper-parameters failed: ImportError" in capsys.readouterr().out
    assert (folder / "report.html").exists()


@pytest.mark.parametrize(
    "ended, error, expected",
    [
        (False, KeyboardInterrupt(), ("interrupted", "SIGINT")),  # a second Ctrl-C
        (False, OSError("disk full"), ("failed", "disk full")),
        (True, KeyboardInterrupt(), ("complete", None)),  # while the end is drawn
    ],
)
def test_the_status_says_what_ended_a_search(ended, error, expected, tmp_path):
    with SearchFolder(settings("random"), tmp_path / "search") as folder:
        with pytest.raises(type(error)), Watch(folder, MNIST) as watch:
            if ended:
                watch.write_status("complete")
            raise error
    found = read(tmp_path / "search", "status.json")
    assert (found["status"], found["reason"]) == expected
