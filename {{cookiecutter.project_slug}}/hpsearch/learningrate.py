"""Learning-rate search: one configuration with 37 learning rates, evenly spaced on a log scale."""

from hpsearch.halving import Bracket

LOW, HIGH, COUNT = 1e-4, 1.0, 37  # nine to a factor of ten


def grid() -> list[float]:
    """The learning rates, from low to high."""
    return [float(f"{LOW * (HIGH / LOW) ** (i / (COUNT - 1)):.3g}") for i in range(COUNT)]


def brackets(hyperparameters, max_iter: int, first: int = 0) -> list[Bracket]:
    """One bracket: a trial for each learning rate, trained to the end; numbers from `first`."""
    trials = {first + i: hyperparameters | {"lr": lr} for i, lr in enumerate(grid())}
    return [Bracket("lr", trials, [(COUNT, max_iter)])]
