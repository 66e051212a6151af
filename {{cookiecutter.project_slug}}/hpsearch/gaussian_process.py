"""Configurations that promise the greatest improvement, by a Gaussian process.

The scores that were seen are taken for a smooth random function of the configuration, with noise
(Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, algorithm 2.1). Of many
configurations drawn at random, the one comes next whose score is expected to exceed the best by
most (Jones, Schonlau and Welch, 1998; for training, Snoek, Larochelle and Adams, NIPS 2012).

All is computed with NumPy's own operations, not with those of LAPACK: their last bits depend on the
number of threads, and what a search draws must not.
"""

import contextlib
import functools
import itertools
import math
import statistics
from typing import Any, NamedTuple

import numpy as np

from conditions import used
from hpsearch import sampling
from settings import ConfigError, Setting

CANDIDATES = 200  # configurations from which the next one is chosen
KERNELS = 30  # drawn at random, of which the likeliest is taken
LENGTH, SPREAD = 0.5, 0.5  # of a length scale: the median, and the deviation of its logarithm
NOISES = (0.02, 0.05, 0.1, 0.2, 0.4)  # variances, of scores with variance 1
MOST = 200  # trials that are looked at, the best ones: the cost grows with their cube

NORMAL = statistics.NormalDist()


class Kernel(NamedTuple):
    """Squared exponential. lengths: [kernels, coordinates]; noise: [kernels]."""

    lengths: np.ndarray
    noise: np.ndarray

    def covariance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """[kernels, n, m] of places [n, coordinates] and [m, coordinates]."""
        distance = np.zeros((len(self.lengths), len(a), len(b)))
        for i, length in enumerate(self.lengths.T):
            distance += ((a[:, None, i] - b[:, i]) / length[:, None, None]) ** 2
        return np.exp(-distance / 2)

    def factor(self, seen: np.ndarray) -> np.ndarray:
        """Of the covariance of what was seen, with noise: lower triangles [kernels, n, n]."""
        noise = self.noise[:, None, None] * np.eye(len(seen))
        return cholesky(self.covariance(seen, seen) + noise)


class Sampler(sampling.Sampler):
    """Takes a trial that still runs for as good as expected, and so draws others elsewhere."""

    @functools.cached_property
    def dimensions(self) -> list[Setting]:
        """What is searched; of a list its length, and each element."""
        found = []
        for setting in (s for s in self.table if s.search and s.name not in self.fixed):
            if not setting.is_list:
                found.append(setting)
                continue
            length = setting.length()
            found += [length] if length.low < length.high else []
            found += [setting.element(i) for i in range(length.high)]
        return found

    def places(self, configs: list[dict[str, Any]]) -> np.ndarray:
        """Where configurations are: [configs, coordinates]."""
        return np.array([list(itertools.chain(*self.place(config))) for config in configs])

    def place(self, config: dict[str, Any]) -> list[list[float]]:
        """The coordinates of a configuration in each dimension."""
        own = {name: config[name] for name in used(self.table, config)}
        values = sampling.flattened(self.table, own)
        return [coordinates(s, values.get(s.name)) for s in self.dimensions]

    def is_known(self, config):
        try:
            return bool(self.place(config))
        except LookupError:
            return False

    def propose(self, stream, values):
        trials = sorted(sorted(values, key=values.get)[-MOST:])
        running = [number for number in self.configs if number not in values][-MOST:]
        scores = standardized([values[number] for number in trials])
        if scores is None:
            return self.at_random(stream)
        candidates = [self.at_random(stream)]
        with contextlib.suppress(ConfigError):  # where constraints leave little, fewer will do
            candidates += [self.at_random(stream) for _ in range(CANDIDATES - 1)]
        seen, waiting = (
            self.places([self.configs[number] for number in numbers])
            for numbers in (trials, running)
        )
        kernel = likeliest(self.random_kernels(stream), seen, scores)
        best = predict(kernel, seen, scores, seen)[0].max()
        if running:
            expected, _ = predict(kernel, seen, scores, waiting)
            seen, scores = np.concatenate([seen, waiting]), np.concatenate([scores, expected])
        mean, deviation = predict(kernel, seen, scores, self.places(candidates), len(trials))
        return candidates[int(np.argmax(expected_improvement(mean, deviation, best)))]

    def random_kernels(self, stream) -> Kernel:
        """A length scale for each dimension, and a noise, in KERNELS variants."""
        lengths = LENGTH * np.exp(SPREAD * stream.normal(size=(KERNELS, len(self.dimensions))))
        counts = [len(coordinates(setting, None)) for setting in self.dimensions]
        return Kernel(np.repeat(lengths, counts, axis=1), stream.choice(NOISES, KERNELS))


def coordinates(setting: Setting, value: Any) -> list[float]:
    """The place of a value, from 0 to 1, or for choices one coordinate each, which makes any two
    equally far apart; None, for what is not used, is in the middle. LookupError for another choice.
    """
    value = None if value is None else sampling.nearest_drawn(setting, value)
    if setting.choices or setting.type is bool:
        return [math.sqrt(0.5) * (value == choice) for choice in setting.search]
    if value is None:
        return [0.5]
    if grid := setting.grid():
        return [grid.index(value) / max(1, len(grid) - 1)]
    low, high = setting.search
    scale = math.log if setting.scale == "log" else float
    return [(scale(value) - scale(low)) / ((scale(high) - scale(low)) or 1)]


def standardized(values: list[float]) -> np.ndarray | None:
    """Scores with mean 0 and variance 1; None if they tell nothing.

    What is further below the median than the best is above it counts as just so far: the failed
    and the worst do not hide how the good ones differ.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite or max(finite) == (middle := statistics.median(finite)):
        return None
    scores = np.maximum(values, 2 * middle - max(finite))
    return (scores - scores.mean()) / scores.std()


def likeliest(kernels: Kernel, seen: np.ndarray, scores: np.ndarray) -> Kernel:
    """The kernel, of several, under which these scores are likeliest, whatever their scale."""
    factor = kernels.factor(seen)
    white = solve(factor, np.broadcast_to(scores[:, None], (*factor.shape[:2], 1)))[:, :, 0]
    logs = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
    likelihood = -len(scores) / 2 * np.log((white**2).mean(axis=1)) - logs
    best = [int(np.argmax(likelihood))]
    return Kernel(kernels.lengths[best], kernels.noise[best])


def predict(
    kernel: Kernel, seen, scores, places, counted: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the standard deviation of the scores, without noise, at places [m, ...]: [m].

    counted: how many of the scores were seen; the others, last, are what was expected there.
    """
    factor = kernel.factor(seen)
    (white,) = solve(factor, scores[None, :, None])
    (weights,) = solve(factor, kernel.covariance(seen, places))
    variance = 1 - (weights**2).sum(axis=0)
    scale = (white**2).sum() / (counted or len(scores))
    return (weights * white).sum(axis=0), np.sqrt(scale * np.maximum(variance, 1e-9))


def expected_improvement(mean, deviation, best: float) -> np.ndarray:
    """By how much scores are expected to exceed the best; less than the best counts as 0."""
    distance = (mean - best) / deviation
    above = np.array([NORMAL.cdf(value) for value in distance])
    return deviation * (distance * above + np.exp(-(distance**2) / 2) / math.sqrt(2 * math.pi))


def cholesky(matrices: np.ndarray) -> np.ndarray:
    """Lower triangles L of symmetric positive definite matrices L L^T: [kernels, n, n]."""
    lower = np.zeros_like(matrices)
    for j in range(matrices.shape[1]):
        column = matrices[:, j:, j] - (lower[:, j:, :j] * lower[:, j : j + 1, :j]).sum(axis=2)
        lower[:, j:, j] = column / np.sqrt(column[:, :1])
    return lower


def solve(lower: np.ndarray, right: np.ndarray) -> np.ndarray:
    """x of L x = right, for lower triangles L [kernels, n, n]: [kernels, n, m] as `right`."""
    found = np.zeros(right.shape)
    for i in range(lower.shape[1]):
        known = (lower[:, i, :i, None] * found[:, :i]).sum(axis=1)
        found[:, i] = (right[:, i] - known) / lower[:, i, i, None]
    return found
