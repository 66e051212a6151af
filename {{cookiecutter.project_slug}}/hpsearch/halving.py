"""Successive halving: how every search here decides what to run next.

A search has brackets. A bracket has trials and rungs: each rung trains a number of the trials, the
best so far, up to a step. Random search is a bracket with one rung. All functions here are pure.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Scores = Mapping[tuple[int, int], float | None]  # {(trial, until): score}; None: it has no score
Seen = tuple[int, int, float | None] | None  # (trial, until, score), or an empty place


class Bracket(NamedTuple):
    """trials: {number: hyper-parameters}; rungs: [(how many trials, up to which step)].

    seed: that of its trials; None is the search's own. sampler: if the trials are drawn while the
    search goes on, see hpsearch/sampling.py; None stands for each before. reached: the step that an
    earlier bracket has trained them to.
    """

    name: str
    trials: dict[int, dict[str, Any] | None]
    rungs: list[tuple[int, int]]
    seed: int | None = None
    sampler: Any = None
    reached: int = 0

    def is_drawn(self) -> bool:
        """Whether the hyper-parameters of all trials are known."""
        return None not in self.trials.values()

    def steps(self) -> int:
        """The steps of all its jobs; a promoted trial continues from the rung before."""
        total, reached = 0, self.reached
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


def rungs(bracket: Bracket, scores: Scores, direction: str) -> Iterator[tuple[list[int], int]]:
    """The trials of each rung that is known so far, and up to which step they are trained.

    scores: of the jobs that have ended. Trials without a score (diverged, failed) are never
    promoted, so a rung may be smaller than planned. Source: Jamieson and Talwalkar, AISTATS 2016.
    """
    candidates = list(bracket.trials)
    for count, until in bracket.rungs:
        trials = candidates[:count]
        yield trials, until
        if any((trial, until) not in scores for trial in trials):
            return
        candidates = best_first({trial: scores[trial, until] for trial in trials}, direction)


def pending(bracket: Bracket, scores: Scores, direction: str) -> list[Job]:
    """The jobs that can run now and have not ended: those of the first incomplete rung."""
    *_, (trials, until) = known = list(rungs(bracket, scores, direction))
    return [
        Job(n, until, bracket.name, len(known) - 1, bracket.trials[n], bracket.seed)
        for n in trials
        if (n, until) not in scores and bracket.trials[n] is not None
    ]


def in_order(brackets: list[Bracket], scores: Scores, direction: str) -> list[Seen]:
    """What came of the jobs, in the order in which one process runs them, up to the first job that
    has not ended. Of a rung that is smaller than planned, places stay empty: None.
    """
    found = []
    for bracket in brackets:
        planned = iter(bracket.rungs)
        for trials, until in rungs(bracket, scores, direction):
            for trial in trials:
                if (trial, until) not in scores:
                    return found
                found.append((trial, until, scores[trial, until]))
            found += [None] * (next(planned)[0] - len(trials))
    return found
