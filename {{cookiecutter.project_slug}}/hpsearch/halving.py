"""Successive halving: how every search here decides what to run next.

A search has brackets. A bracket has trials and rungs: each rung trains a number of the trials, the
best so far, up to a step. Random search is a bracket with one rung. All functions here are pure.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

Scores = Mapping[tuple[int, int], float | None]  # {(trial, until): score}; None: it has no score


class Bracket(NamedTuple):
    """trials: {number: hyper-parameters}; rungs: [(how many trials, up to which step)].

    seeds: {number: random_seed} of the trials whose seed is not that of the search.
    """

    name: str
    trials: dict[int, dict[str, Any]]
    rungs: list[tuple[int, int]]
    seeds: dict[int, int] = {}

    def steps(self) -> int:
        """The steps of all its jobs; a promoted trial continues from the rung before."""
        total = reached = 0
        for count, until in self.rungs:
            total += count * (until - reached)
            reached = until
        return total


class Job(NamedTuple):
    """One trial, to be trained up to step `until`; rungs count from 0; seed as in its bracket."""

    trial: int
    until: int
    bracket: str
    rung: int
    hyperparameters: dict[str, Any]
    seed: int | None = None


def best_first(scores: Mapping[int, float | None], direction: str) -> list[int]:
    """The trials of {number: score} in order, without those that have no score (None).

    direction: "max" or "min", which score is better. Of equal scores the lower number is first.
    """
    sign = -1 if direction == "max" else 1
    return sorted((n for n in scores if scores[n] is not None), key=lambda n: (sign * scores[n], n))


def pending(bracket: Bracket, scores: Scores, direction: str) -> list[Job]:
    """The jobs of the first incomplete rung that have not ended; [] if the bracket is complete.

    scores: of the jobs that have ended. Trials without a score (diverged, failed) are never
    promoted, so a rung may be smaller than planned. Source: Jamieson and Talwalkar, AISTATS 2016.
    """
    candidates = list(bracket.trials)
    for rung, (count, until) in enumerate(bracket.rungs):
        trials = candidates[:count]
        missing = [trial for trial in trials if (trial, until) not in scores]
        if missing:
            return [
                Job(n, until, bracket.name, rung, bracket.trials[n], bracket.seeds.get(n))
                for n in missing
            ]
        candidates = best_first({trial: scores[trial, until] for trial in trials}, direction)
    return []
