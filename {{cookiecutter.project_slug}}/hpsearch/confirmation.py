"""The last pass of a search: its best trials are trained again, with seeds that it has not seen.

The best of many scores is in part luck: of the first weights, of the order of the batches. So the
score by which a trial was chosen does not count here, and what the search began with takes part: it
is replaced only by what is better than it with the same seeds.
"""

import statistics
from typing import Any

from hpsearch.halving import Bracket, best_first
from hpsearch.ledger import Ledger, Record
from training.batches import random_stream

# Each costs whole trainings. With three, and what the search began with, times three seeds, these
# cost as much as Hyperband with the default of four brackets.
BEST = 3
BEGAN_WITH = "confirmation 0"  # the bracket of what the search began with


def other_seeds(search_seed: int, count: int) -> list[int]:
    """Seeds that follow from the search's own and differ from it, and from each other.

    A larger count leaves the first ones as they are.
    """
    stream, seeds = random_stream(search_seed, "confirmation"), [search_seed]
    while len(seeds) <= count:
        seed = int(stream.integers(2**31 - 1))
        seeds += [seed] if seed not in seeds else []
    return seeds[1:]


def brackets(
    candidates: list[dict | None], seeds: list[int], max_iter: int, first: int
) -> list[Bracket]:
    """A bracket for the first of the candidates, and for each of the three best of the others.

    candidates: hyper-parameters, what the search began with, None if the model's constraints forbid
    it, and then the best first. A bracket has a trial for each seed, trained to the end; numbers
    from `first`.
    """
    distinct = []
    for hyperparameters in candidates:
        if hyperparameters not in distinct and len(distinct) <= BEST:
            distinct.append(hyperparameters)
    found = []
    for i, hyperparameters in enumerate(distinct):
        if hyperparameters is None:
            continue
        numbered = dict(enumerate(seeds, first + len(found) * len(seeds)))
        trials = dict.fromkeys(numbered, hyperparameters)
        name = f"confirmation {i}" if i else BEGAN_WITH
        found.append(Bracket(name, trials, [(len(seeds), max_iter)], numbered))
    return found


def over_seeds(trial: int, records: list[Record]) -> dict[str, Any]:
    """What the records of one configuration with different seeds say together.

    trial: the one whose run folder stands for them. spread is the standard deviation of the scores
    (of the sample: divided by n - 1), None for one seed; valid are means of loss and metrics.
    """
    scores = [record["score"] for record in records]
    values = [record["valid"] for record in records]
    return {
        "trial": trial,
        "hyperparameters": records[0]["hyperparameters"],
        "mean": statistics.fmean(scores),
        "spread": statistics.stdev(scores) if len(scores) > 1 else None,
        "seeds": len(scores),
        "scores": scores,
        "valid": {name: statistics.fmean(v[name] for v in values) for name in values[0]},
    }


def results(confirming: list[Bracket], ranked: list[Record], ledger: Ledger) -> list[dict]:
    """What each candidate reached, as over_seeds, the winner first.

    confirming: as from brackets; ranked: the search's own trials. Those that are clearly better
    than what the search began with come first, then that, then the others, each by their means. A
    candidate that could not be trained to the end with each seed is left out.
    """
    found, base = [], None
    for bracket in confirming:
        (_, until), *_ = bracket.rungs
        records = [ledger.records[trial, until] for trial in bracket.trials]
        if any(record["score"] is None for record in records):
            continue
        same = (r for r in ranked if r["hyperparameters"] == records[0]["hyperparameters"])
        found.append(over_seeds(next(same, records[0])["trial"], records))
        base = found[-1] if bracket.name == BEGAN_WITH else base
    means = {i: result["mean"] for i, result in enumerate(found)}
    by_mean = [found[i] for i in best_first(means, ledger.direction)]
    if base is None:
        return by_mean
    better = [result for result in by_mean if clearly_better(result, base, ledger.direction)]
    others = [result for result in by_mean if result not in (base, *better)]
    return [*better, base, *others]


def clearly_better(result: dict, base: dict, direction: str) -> bool:
    """Whether a candidate gains more than twice the standard error of its gain.

    The gain is the mean of the differences seed by seed, so that what makes a seed easy or hard for
    both does not count. With one seed there is no standard error, and any gain counts.
    """
    sign = 1 if direction == "max" else -1
    pairs = zip(result["scores"], base["scores"], strict=True)
    gains = [sign * (score - before) for score, before in pairs]
    error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
    return statistics.fmean(gains) > 2 * error
