"""Hyperband (Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar, JMLR 2018), its Algorithm 1.

Are many configurations with few steps better, or few with many? Hyperband tries both: bracket s
starts with many trials if s is large, and keeps one in eta at each rung.
"""

import itertools

from hpsearch.halving import Bracket


def schedule(max_iter: int, min_iter: int, eta: int) -> dict[int, list[tuple[int, int]]]:
    """The brackets of Algorithm 1, largest first: {s: [(trials, up to which step), ...]}.

    max_iter is R, in steps. No trial is trained for fewer than min_iter steps, which bounds s.
    (For R = 81 and eta = 3 the paper's printed table differs from its algorithm; this follows the
    algorithm: 81, 34, 15, 8 and 5 configurations.) Integers only: logarithms would be off by one.
    """
    s_max = 0
    while min_iter * eta ** (s_max + 1) <= max_iter:
        s_max += 1
    found = {}
    for s in range(s_max, -1, -1):
        trials = -(-(s_max + 1) * eta**s // (s + 1))  # rounded up: B / R * eta^s / (s + 1)
        found[s] = [(trials // eta**i, max_iter // eta ** (s - i)) for i in range(s + 1)]
    return found


def brackets(draw, budget, trials=None, first=0, name="hyperband") -> list[Bracket]:
    """The brackets with their trials, numbered from `first`; draw as in random search.

    budget: max_iter, min_iter and eta, as for schedule. trials: at least so many, in further rounds
    of the same brackets; None: one round.
    """
    found, number = [], first
    for turn in itertools.count(1):
        for s, rungs in schedule(*budget).items():
            numbers = range(number, number + rungs[0][0])
            label = f"{name} {s}" if turn == 1 else f"{name} {s}, round {turn}"
            found.append(Bracket(label, draw(numbers), rungs))
            number = numbers.stop
            if trials and number - first >= trials:
                return found
        if not trials:
            return found


def mean_steps(max_iter: int, min_iter: int, eta: int) -> float:
    """The steps of a trial, as the mean over one round."""
    brackets = [Bracket("", {}, rungs) for rungs in schedule(max_iter, min_iter, eta).values()]
    return sum(b.steps() for b in brackets) / sum(b.rungs[0][0] for b in brackets)


def lag(settings: dict) -> int:
    """How many jobs before a trial are not waited for, so that as many processes have work: a
    quarter of Hyperband's largest bracket, at least two. It may not be the number of processes.
    """
    first, *_ = [*settings["extended_from"], settings["max_iter"]]
    brackets = schedule(first, settings["min_iter"], settings["eta"]).values()
    return max(2, max(trials for (trials, _), *_ in brackets) // 4)
