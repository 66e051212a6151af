"""Successive halving: the one way in which every search here says what to run next.

A search is a table of brackets. A bracket is trials and rungs: so many of the trials, the best so
far, are trained up to so many steps. Random search is a bracket with one rung. All of it is pure:
no TensorFlow, no clock, no random state.
"""

from typing import NamedTuple


class Bracket(NamedTuple):
    """trials: {number: hyper-parameters}; rungs: [(how many trials, up to which step)]."""

    name: str
    trials: dict
    rungs: list

    def steps(self):
        """All steps that it trains, in which promoted trials go on where they stopped."""
        reached = [0, *(until for _, until in self.rungs)]
        return sum(
            count * (until - before)
            for (count, until), before in zip(self.rungs, reached, strict=False)
        )


class Job(NamedTuple):
    """One trial, to be trained up to a step; rung counts from 0."""

    trial: int
    until: int
    bracket: str
    rung: int
    hyperparameters: dict


def best_first(scores, direction):
    """The trials of {number: score} in order; those without a score (None) are left out."""
    sign = -1 if direction == "max" else 1
    return sorted((n for n in scores if scores[n] is not None), key=lambda n: (sign * scores[n], n))


def halve(bracket, direction):
    """A generator: yields the jobs of a rung, is sent {trial: score, or None}, and so on.

    Source: Jamieson and Talwalkar, AISTATS 2016. Of equal scores the lower number goes on. Trials
    without a score (diverged, failed) are never promoted, so a rung may be smaller than planned.
    """
    alive = list(bracket.trials)
    for rung, (count, until) in enumerate(bracket.rungs):
        alive = alive[:count]
        if not alive:
            return
        scores = yield [
            Job(number, until, bracket.name, rung, bracket.trials[number]) for number in alive
        ]
        alive = best_first({number: scores[number] for number in alive}, direction)
