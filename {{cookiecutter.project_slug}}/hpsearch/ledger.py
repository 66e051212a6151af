"""The outcome of every job of a search: one checksummed line each, in a file that only grows."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from hpsearch.halving import Bracket, Job, Scores, best_first, rungs
from training.files import append_json, read_jsonl, rewrite_jsonl, sync

log = logging.getLogger(__name__)
TRAINED, DIVERGED, FAILED, INTERRUPTED = "trained", "diverged", "failed", "interrupted"
FIELDS = {"trial": int, "until": int, "state": str, "hyperparameters": dict, "sha256": str}


class Outcome(NamedTuple):
    """The outcome of a job. An interrupted one was stopped by a signal and must be run again."""

    state: str  # trained, diverged, failed or interrupted
    score: float | None = None  # the objective on valid, if it was trained
    reason: str | None = None  # if it was not
    valid: dict[str, float] | None = None  # loss and metrics
    weights_sha256: str | None = None


class Record(TypedDict, total=False):
    """A line of the ledger: a job and its outcome, without what the outcome leaves out."""

    trial: int
    until: int
    bracket: str
    rung: int
    hyperparameters: dict[str, Any]
    seed: int  # if it is not that of the search
    state: str
    score: float | None
    reason: str
    valid: dict[str, float]
    weights_sha256: str
    sha256: str


Key = tuple[int, int, int | None]  # (trial, until, seed); a seed of None is the search's own


def key(record: Record) -> Key:
    """What a record is found by."""
    return record["trial"], record["until"], record.get("seed")


def named(trial: int) -> str:
    """A trial's number as text; base is what the search began with, if it is no trial."""
    return "base" if trial < 0 else f"{trial:04}"


def run_name(trial: int, seed: int | None = None) -> str:
    """The run folder of a trial, with the search's own seed or another, in that of the search."""
    return f"trials/{named(trial)}" + ("" if seed is None else f"-seed-{seed}")


def checksum(record: Record) -> str:
    """SHA-256 of a record without its checksum, as JSON with sorted keys."""
    content = {name: value for name, value in record.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Ledger:
    """The ledger of one search; direction: "max" or "min", which score is better.

    A corrupt line is reported and skipped: its job is run again. A record holds nothing that
    depends on when, where or beside what a job ran, so the sorted ledgers of two searches can be
    compared.
    """

    def __init__(self, path: Path, direction: str):
        self.path, self.direction = path, direction
        self.records: dict[Key, Record] = {}  # the last one of each key counts
        intact = []
        for record in read_jsonl(path, FIELDS):
            if checksum(record) == record["sha256"]:
                intact.append(record)
                self.records[key(record)] = record
            else:
                log.info(f"{path}: a line of trial {record['trial']} is corrupt and is skipped")
        rewrite_jsonl(path, intact)

    def add(self, job: Job, outcome: Outcome) -> Record:
        """Append what came of a job; it is on the disk afterwards."""
        asked, about = (
            {name: value for name, value in given._asdict().items() if value is not None}
            for given in (job, outcome)
        )
        record = Record(**asked) | {"state": outcome.state, "score": None} | about
        record["sha256"] = checksum(record)
        append_json(self.path, record)
        sync(self.path)
        self.records[key(record)] = record
        return record

    def keep(self, brackets: list[Bracket]) -> None:
        """Leave out what is not of these brackets: of a search that was extended, say, what the
        longer search would not have trained.
        """
        jobs = {
            (trial, until, bracket.seed)
            for bracket in brackets
            for trials, until in rungs(bracket, self.scores(bracket), self.direction)
            for trial in trials
        }
        self.records = {job: record for job, record in self.records.items() if job in jobs}
        rewrite_jsonl(self.path, list(self.records.values()))
        sync(self.path.parent)

    def scores(self, bracket: Bracket) -> Scores:
        """The scores of the jobs of a bracket that have ended, as the bracket has them."""
        found = {}
        for trial, hyperparameters in bracket.trials.items():
            for _, until in bracket.rungs:
                record = self.records.get((trial, until, bracket.seed))
                if record and record["hyperparameters"] == hyperparameters:
                    found[trial, until] = record["score"]
        return found

    def ranked(self, until: int) -> list[Record]:
        """The records of the trials that were trained up to a step, the best first.

        Those with other seeds confirm some of them, and are left out.
        """
        found = {n: r for (n, end, seed), r in self.records.items() if (end, seed) == (until, None)}
        order = best_first({trial: r["score"] for trial, r in found.items()}, self.direction)
        return [found[trial] for trial in order]
