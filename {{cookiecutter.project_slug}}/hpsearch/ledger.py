"""What came out of every job of a search: one checksummed line each, in a file that only grows."""

import hashlib
import json

from hpsearch.halving import best_first
from training.files import append_json, read_jsonl, rewrite_jsonl, sync

FIELDS = {"trial": int, "until": int, "state": str, "hyperparameters": dict, "sha256": str}
TRAINED = "trained"  # the other states are diverged and failed: states, never scores


def without_score(state, reason):
    """The outcome of a job that gave no score."""
    return {"state": state, "score": None, "reason": reason}


def checksum(record):
    """SHA-256 of a record without its checksum, as JSON with sorted keys."""
    content = {name: value for name, value in record.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Ledger:
    """The ledger of one search; direction: "max" or "min", which score is better.

    A torn last line is mended, a damaged one left out and said: its job is run again. A line holds
    nothing that depends on when, where or beside what a job ran, so the sorted ledgers of two
    searches can be compared.
    """

    def __init__(self, path, direction):
        self.path, self.direction = path, direction
        self.outcomes = {}
        whole = []
        for record in read_jsonl(path, FIELDS):
            if checksum(record) == record["sha256"]:
                whole.append(record)
                self.take(record)
            else:
                print(f"{path}: the line of trial {record['trial']} was altered and is left out")
        rewrite_jsonl(path, whole)

    def take(self, record):
        self.outcomes[record["trial"], record["until"]] = record

    def add(self, job, outcome):
        """Append what came of a job: {"state", "score", ...}; it is on the disk afterwards."""
        record = {"trial": job.trial, "until": job.until, "bracket": job.bracket, "rung": job.rung}
        record |= {"hyperparameters": job.hyperparameters} | outcome
        record["sha256"] = checksum(record)
        append_json(self.path, record)
        sync(self.path)
        self.take(record)
        return record

    def get(self, job):
        """What came of a job, if it is there and was one of the same hyper-parameters."""
        record = self.outcomes.get((job.trial, job.until))
        return record if record and record["hyperparameters"] == job.hyperparameters else None

    def ranked(self, until):
        """The records that were trained up to a step, the best first; of equals the lower trial."""
        found = {r["trial"]: r for r in self.outcomes.values() if r["until"] == until}
        order = best_first({trial: r["score"] for trial, r in found.items()}, self.direction)
        return [found[trial] for trial in order]
