"""A search in its folder: the schedulers say what to run, an executor runs it, a ledger keeps it.

search.json     the settings that decide over the result
ledger.jsonl    one line per finished job, see hpsearch/ledger.py
trials/NNNN/    a run folder each
best.json       the best of the trials that were trained to the end
search.png      scores against steps and against each hyper-parameter
"""

import collections
import hashlib
import json

import filelock

from hpsearch import fullsearch, halving
from hpsearch.ledger import Ledger
from models.hyperparameters import ConfigError
from training import run_folder
from training.files import make_folder, read_json, sync, write_json

TEMPORARY = "search.json.tmp"


class SearchFolder:
    """The folder of one search in the hands of one process: `with SearchFolder(...) as folder`.

    settings: what decides over the result; the same settings have the same folder, so the same
    command goes on with a search that was interrupted. also: further settings of the runs.
    """

    def __init__(self, settings, path=None, also=()):
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
        name = f"search-{settings['search']}-{digest}"
        self.path = path or run_folder.RESULTS / settings["model_name"] / name
        self.settings, self.also = settings, dict(also)

    def __enter__(self):
        run_folder.refuse_patterns(self.path.absolute())
        file = self.path / "search.json"
        if self.path.exists() and not file.exists():
            foreign = [p.name for p in self.path.iterdir() if p.name not in (".lock", TEMPORARY)]
            if foreign:
                raise FileExistsError(
                    f"--result_dir={self.path} holds {foreign[0]} but no search; name a new folder"
                )
        make_folder(self.path)
        self.lock = filelock.FileLock(self.path / ".lock")
        try:
            self.lock.acquire(timeout=0)
        except filelock.Timeout:
            raise BlockingIOError(f"{self.path} is in use by another search") from None
        try:
            if file.exists():
                self.refuse_another(read_json(file))
            else:
                write_json(file, self.settings)
                sync(self.path)
            self.ledger = Ledger(self.path / "ledger.jsonl", self.settings["objective"][1])
        except BaseException:
            self.lock.release()
            raise
        return self

    def __exit__(self, *error):
        self.lock.release()

    def refuse_another(self, recorded):
        """ConfigError lists the settings that are not those of the search in this folder."""
        changed = [n for n in self.settings if recorded.get(n) != self.settings[n]]
        if changed:
            listed = ", ".join(f"{n}={recorded.get(n)} (now {self.settings[n]})" for n in changed)
            raise ConfigError(f"--result_dir={self.path} holds a search with {listed}")

    def trial_folder(self, trial):
        """The run folder of a trial."""
        return self.path / "trials" / f"{trial:04}"

    def config(self, job):
        """The whole config of a job's run."""
        own = {"result_dir": str(self.trial_folder(job.trial))}
        own |= {"model_name": self.settings["model_name"], "max_iter": self.settings["max_iter"]}
        own |= {"random_seed": self.settings["search_seed"]}
        return self.also | self.settings["run"] | job.hyperparameters | own

    def write_best(self, trials):
        """Write the best of these trials that were trained to the end to best.json, if there is
        one; returns its record, or None.
        """
        ranked = self.ledger.ranked(self.settings["max_iter"])
        best = next((record for record in ranked if record["trial"] in trials), None)
        if best:
            names = ("trial", "hyperparameters", "score", "valid", "weights_sha256")
            write_json(
                self.path / "best.json",
                {name: best[name] for name in names} | {"settings": self.settings},
            )
            sync(self.path)
        return best


def run(folder, model_class, executor, display, stopped=lambda: False):
    """Run a whole search, or what is left of it. Returns whether it came to its end."""
    passes = fullsearch.passes(model_class, folder.settings)
    brackets, trials = next(passes), set()
    while True:
        display.begin(brackets)
        if not run_pass(folder, brackets, executor, display, stopped):
            return False
        trials.update(*(bracket.trials for bracket in brackets))
        best = folder.write_best(trials)  # of this pass and those before, whatever came later
        if best is None:
            raise ValueError(f"no trial could be trained to the end; see {folder.ledger.path}")
        try:
            brackets = passes.send(best["hyperparameters"])
        except StopIteration:
            return True


def run_pass(folder, brackets, executor, display, stopped):
    """Run the brackets of a pass beside each other. Returns False if it was stopped.

    The first bracket goes first: its rungs wait for each other, meanwhile the others fill the gaps.
    Of its jobs those go first whose model some process still has.
    """
    direction = folder.settings["objective"][1]
    schedules = {bracket.name: halving.halve(bracket, direction) for bracket in brackets}
    waiting = {bracket.name: collections.OrderedDict() for bracket in brackets}
    scores, open_jobs, running = {}, {}, 0

    def advance(name, sent):
        """Ask a schedule for its next rung; what the ledger holds is not run again."""
        try:
            jobs = schedules[name].send(sent)
        except StopIteration:
            return
        known = [record for record in map(folder.ledger.get, jobs) if record]
        scores[name] = {record["trial"]: record["score"] for record in known}
        fresh = [job for job in jobs if job.trial not in scores[name]]
        for record in known:
            display.count(record)
        open_jobs[name] = len(fresh)
        waiting[name].update((job.trial, job) for job in fresh)
        if not fresh:
            advance(name, scores[name])

    for bracket in brackets:
        advance(bracket.name, None)
    while running or any(waiting.values()):
        while any(waiting.values()) and executor.is_free() and not stopped():
            jobs = next(jobs for jobs in waiting.values() if jobs)
            at_hand = (trial for trial in executor.at_hand() if trial in jobs)
            job = jobs.pop(next(at_hand, next(iter(jobs))))
            display.started(job)
            executor.start(job, folder.config(job))
            running += 1
        if stopped():
            return False
        for job, outcome in executor.finished(timeout=0.2):
            running -= 1
            if outcome["state"] is None:
                raise OSError(f"trial {job.trial:04}: {outcome['reason']}")
            display.finished(folder.ledger.add(job, outcome))
            scores[job.bracket][job.trial] = outcome["score"]
            open_jobs[job.bracket] -= 1
            if not open_jobs[job.bracket]:
                advance(job.bracket, scores[job.bracket])
    return True
