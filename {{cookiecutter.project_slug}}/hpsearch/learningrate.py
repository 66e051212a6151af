"""Learning-rate search: one configuration with learning rates evenly spaced on a log scale."""

from hpsearch.halving import Bracket


def grid(low: float, high: float, points: int) -> list[float]:
    """The learning rates, from low to high; with three digits, where that keeps them apart."""
    exact = [low * (high / low) ** (i / (points - 1)) for i in range(points)]
    short = [float(f"{lr:.3g}") for lr in exact]
    fits = len(set(short)) == points and low <= short[0] and short[-1] <= high
    return short if fits else exact


def brackets(hyperparameters, rates: list[float], max_iter: int, first: int = 0) -> list[Bracket]:
    """One bracket: a trial for each learning rate, trained to the end; numbers from `first`."""
    trials = {first + i: hyperparameters | {"lr": lr} for i, lr in enumerate(rates)}
    return [Bracket("lr", trials, [(len(rates), max_iter)])]
