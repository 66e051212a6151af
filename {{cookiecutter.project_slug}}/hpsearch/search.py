"""A search in its folder: the schedulers say what to run, an executor runs it, a ledger keeps it.

search.json     the settings that determine the result
ledger.jsonl    one line per ended job, see hpsearch/ledger.py
trials/NNNN/    a run folder each; also NNNN-seed-S with another seed, and base-seed-S
best.json       the best of the trials that were trained to the end, with its mean over seeds
search.png      scores against steps or trials, and against each hyper-parameter
report.html     the search on one page
"""

import concurrent.futures
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

from hpsearch import confirmation, fullsearch
from hpsearch.halving import Bracket, Job, in_order, pending
from hpsearch.ledger import INTERRUPTED, Ledger, Outcome, Record, named, run_name
from hpsearch.trial import shape_of
from settings import ConfigError
from training import folders
from training.files import read_json, sync, write_json
from training.messages import one_line

FROM_FOLDER = ("promoted", "extended_from")  # settings that a search keeps when it is resumed
EXTENDED = ("trials", "max_iter")  # and those with which it can be asked for more
LOOKED_AT = 50  # jobs, for one whose model is cached


class SearchFolder:
    """The folder of one search, held by one process: `with SearchFolder(settings) as folder`.

    settings: those of search.json. Equal settings have the same folder by default, so that the same
    command resumes a search; with more trials or steps, and its folder, it is extended.
    unrecorded: settings of the runs that do not determine the result.
    """

    def __init__(self, settings: dict, path: Path | None = None, unrecorded: dict | None = None):
        asked = {name: value for name, value in settings.items() if name not in FROM_FOLDER}
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]
        name = f"search-{settings['search']}-{digest}"
        self.path = path or folders.RESULTS / settings["model_name"] / name
        self.settings, self.unrecorded = settings, unrecorded or {}

    def __enter__(self):
        folders.check_path(self.path.absolute())
        file = self.path / "search.json"
        folders.asked_folder(self.path, "search.json", "search")
        self.lock = folders.locked(self.path, lambda: "another search")
        try:
            recorded = read_json(file) if file.exists() else None
            self.settings = self.continued(recorded) if recorded else self.settings
            if self.settings != recorded:
                write_json(file, self.settings)
                sync(self.path)
            self.ledger = Ledger(self.path / "ledger.jsonl", self.settings["objective"][1])
        except BaseException:
            self.lock.release()
            raise
        return self

    def __exit__(self, *error):
        self.lock.release()

    def continued(self, recorded: dict) -> dict:
        """The settings of the search in this folder, which is extended if more is asked for.

        ConfigError lists those that are not the same.
        """
        settings = self.settings | {name: recorded.get(name, []) for name in FROM_FOLDER}
        old, new = (flat(s, leave_out=FROM_FOLDER) for s in (recorded, settings))
        changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        other, hint = [n for n in changed if n not in EXTENDED], ""
        if not other and (other := [n for n in changed if new[n] < old[n]]):
            hint = ", which can only become more"
        if other:
            listed = ", ".join(f"{n}={old.get(n)} (now {new.get(n)})" for n in other)
            raise ConfigError(f"--result_dir={self.path} holds a search with {listed}{hint}")
        if "max_iter" in changed:
            settings["extended_from"] = [*settings["extended_from"], recorded["max_iter"]]
        return settings

    def config(self, job: Job) -> dict[str, Any]:
        """The whole config of a job's run."""
        own = {
            "model_name": self.settings["model_name"],
            "max_iter": self.settings["max_iter"],
            "random_seed": self.settings["search_seed"] if job.seed is None else job.seed,
            "result_dir": str(self.path / run_name(job.trial, job.seed)),
        }
        return self.unrecorded | self.settings["run"] | job.hyperparameters | own

    def ranked(self, brackets: list[Bracket]) -> list[Record]:
        """The records of the trials that these brackets trained furthest, best first.

        ValueError if there is none.
        """
        own = [bracket for bracket in brackets if bracket.seed is None]
        last = max(until for bracket in own for _, until in bracket.rungs)
        trials = {n for bracket in own if bracket.rungs[-1][1] == last for n in bracket.trials}
        found = [record for record in self.ledger.ranked(last) if record["trial"] in trials]
        if not found:
            raise ValueError(f"no trial could be trained to the end; see {self.ledger.path}")
        return found

    def write_best(self, brackets: list[Bracket]) -> None:
        """Write best.json; ValueError if no candidate was trained to the end with each seed.

        brackets: of all passes.
        """
        confirmed, shown = [], self.ranked(brackets)[0]
        base = self.settings["base"] | self.settings["fixed_params"]
        if confirming := [bracket for bracket in brackets if bracket.seed is not None]:
            confirmed = confirmation.results(confirming, base, self.ledger)
            if not confirmed:
                path = self.ledger.path
                raise ValueError(f"no trial could be trained with other seeds, too; see {path}")
        best = (confirmed or [confirmation.over_seeds(shown, [shown])])[0]
        about = {"confirmed": confirmed, "settings": self.settings}
        write_json(self.path / "best.json", best | about)
        sync(self.path)


def flat(settings: dict, prefix: str = "", leave_out=()) -> dict[str, Any]:
    """Settings without dictionaries in them: {"eta": 3, "threads": 1, "fixed_params.lr": 0.1}."""
    found = {}
    for name, value in settings.items():
        if name in leave_out:
            continue
        if isinstance(value, dict):
            found |= flat(value, "" if name == "run" else f"{name}.")
        else:
            found[prefix + name] = value
    return found


class Snapshot(NamedTuple):
    """Where a search is: it yields one whenever jobs have ended, and a few times a second."""

    brackets: list[Bracket]  # of this pass
    running: list[Job]
    ended: list[Record]  # since the last snapshot


def run(folder: SearchFolder, model_class, executor) -> Iterator[Snapshot]:
    """Run a whole search, or what is left of it, for as long as snapshots are asked for."""
    rankings, passed = [], []  # passed: the brackets of the complete passes
    while brackets := fullsearch.brackets(model_class, folder.settings, rankings, passed):
        yield from run_pass(folder, brackets, executor)
        passed += brackets
        rankings.append({r["trial"]: r["hyperparameters"] for r in folder.ranked(passed)})
    folder.ledger.keep(passed)
    folder.write_best(passed)


def run_pass(folder: SearchFolder, brackets: list[Bracket], executor) -> Iterator[Snapshot]:
    """Run the brackets of a pass at the same time.

    The jobs of the first bracket go first: while the last ones of its rung run, other brackets use
    the free processes. A bracket whose jobs have all ended is asked for its next rung.
    """
    ledger, incomplete, ended = folder.ledger, brackets, []
    queues = {bracket.name: {} for bracket in brackets}  # {trial: job}
    running = {}  # {future: job}
    while True:
        busy = {job.bracket for job in running.values()}
        at_work = {(job.bracket, job.trial) for job in running.values()}
        grown = draw_trials(brackets, ledger)
        for bracket in incomplete:
            if bracket.name in grown or not (queues[bracket.name] or bracket.name in busy):
                jobs = pending(bracket, ledger.scores(bracket), ledger.direction)
                queues[bracket.name] = {
                    j.trial: j for j in jobs if (j.bracket, j.trial) not in at_work
                }
        incomplete = [b for b in incomplete if queues[b.name] or b.name in busy or not b.is_drawn()]
        while any(queues.values()) and len(running) < executor.nb_process:
            job = take(queues, executor.cached_shapes(), folder.config)
            running[executor.submit(job, folder.config(job))] = job
        yield Snapshot(brackets, list(running.values()), ended)
        if not incomplete:
            return
        first = concurrent.futures.FIRST_COMPLETED
        done, _ = concurrent.futures.wait(running, timeout=0.2, return_when=first)  # signals
        ended = []
        for future in done:
            job = running.pop(future)
            outcome = result(future, job)
            if outcome.state != INTERRUPTED:  # otherwise it is still pending
                ended.append(ledger.add(job, outcome))


def draw_trials(brackets: list[Bracket], ledger: Ledger) -> set[str]:
    """Draw the trials that can be drawn now. Returns the names of their brackets.

    A trial is drawn from what came of all jobs before it, in the order of one process, but the last
    few: so as many processes need not wait, and it does not matter how many there are.
    """
    place, grown = 0, set()  # place: of a trial's first job in that order
    if all(bracket.is_drawn() for bracket in brackets):
        return grown
    scores = {job: score for b in brackets for job, score in ledger.scores(b).items()}
    seen = in_order(brackets, scores, ledger.direction)
    for bracket in brackets:
        for i, number in enumerate(bracket.trials):
            if bracket.trials[number] is None:
                needed = bracket.sampler.needed(place + i)
                if len(seen) < needed:
                    return grown
                bracket.trials[number] = bracket.sampler.draw(number, seen[:needed])
                grown.add(bracket.name)
        place += sum(count for count, _ in bracket.rungs)
    return grown


def take(queues: dict[str, dict[int, Job]], cached: set[str], config: Callable) -> Job:
    """Take the next job from the first bracket that has one, preferably one whose model is cached.

    cached: shapes of trials, see trial.shape_of; config: a function from a job to that of its run.
    """
    jobs = next(jobs for jobs in queues.values() if jobs)
    first = itertools.islice(jobs.values(), LOOKED_AT if cached else 0)
    known = (job.trial for job in first if shape_of(config(job)) in cached)
    return jobs.pop(next(known, next(iter(jobs))))


def result(future: Future[Outcome], job: Job) -> Outcome:
    """The outcome of a job; OSError names the trial."""
    try:
        return future.result()
    except OSError as error:
        raise OSError(f"trial {named(job.trial)}: {one_line(error)}") from None
