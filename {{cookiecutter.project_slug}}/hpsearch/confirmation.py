"""The last pass of a search: its best trials are trained again, with seeds that it has not seen.

The best of many scores is in part luck: of the first weights, of the order of the batches. So the
score by which a trial was chosen does not count here, and what the search began with takes part: it
is replaced only by what is better than it with the same seeds.
"""

import statistics
from typing import Any

from hpsearch.halving import Bracket, best_first
from hpsearch.ledger import Ledger, Record, run_name
from training.batches import random_stream

# Each costs whole trainings. With three, and what the search began with, times three seeds, these
# cost as much as Hyperband with the default of four brackets.
BEST = 3
BASE = -1  # the number of what the search began with, if no trial has that configuration


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
    base: dict[str, Any] | None,
    ranked: dict[int, dict[str, Any]],
    seeds: list[int],
    max_iter: int,
) -> list[Bracket]:
    """A bracket for each seed: what the search began with and the three best others, to the end.

    base: what the search began with, None if the model's constraints forbid it; ranked: {number:
    hyper-parameters} of its trials, the best first. They keep their numbers; what the search began
    with has BASE, if it is none of them.
    """
    number = next((n for n in ranked if ranked[n] == base), BASE)
    candidates = {} if base is None else {number: base}
    most = len(candidates) + BEST
    for number, hyperparameters in ranked.items():
        if len(candidates) < most and hyperparameters not in candidates.values():
            candidates[number] = hyperparameters
    rung = len(candidates), max_iter
    return [Bracket(f"confirmation {i}", candidates, [rung], s) for i, s in enumerate(seeds, 1)]


def over_seeds(shown: Record, records: list[Record]) -> dict[str, Any]:
    """What the records of one configuration with different seeds say together.

    shown: the one whose run stands for them. spread is the standard deviation of the scores
    (of the sample: divided by n - 1), None for one seed; valid are means of loss and metrics.
    """
    scores = [record["score"] for record in records]
    values = [record["valid"] for record in records]
    return {
        "trial": shown["trial"],
        "until": shown["until"],
        "run": run_name(shown["trial"], shown.get("seed")),
        "weights_sha256": shown["weights_sha256"],
        "hyperparameters": records[0]["hyperparameters"],
        "mean": statistics.fmean(scores),
        "spread": statistics.stdev(scores) if len(scores) > 1 else None,
        "seeds": len(scores),
        "scores": scores,
        "valid": {name: statistics.fmean(v[name] for v in values) for name in values[0]},
    }


def results(confirming: list[Bracket], base: dict[str, Any], ledger: Ledger) -> list[dict]:
    """What each candidate reached, as over_seeds, the winner first.

    confirming: as from brackets; base: what the search began with. Those that are clearly better
    than that come first, then that, then the others, each by their means. A candidate that could
    not be trained to the end with each seed is left out.
    """
    found, began, ((_, until),) = [], None, confirming[0].rungs
    for trial in confirming[0].trials:
        records = [ledger.records[trial, until, bracket.seed] for bracket in confirming]
        if any(record["score"] is None for record in records):
            continue
        found.append(over_seeds(ledger.records.get((trial, until, None), records[0]), records))
        began = found[-1] if records[0]["hyperparameters"] == base else began
    means = {i: result["mean"] for i, result in enumerate(found)}
    by_mean = [found[i] for i in best_first(means, ledger.direction)]
    if began is None:
        return by_mean
    better = [result for result in by_mean if clearly_better(result, began, ledger.direction)]
    others = [result for result in by_mean if result not in (began, *better)]
    return [*better, began, *others]


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
