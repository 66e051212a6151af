"""The Gaussian process gives what the textbook's formulas give, with the same bits anywhere."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest

from hpsearch import gaussian_process
from hpsearch.gaussian_process import Kernel, coordinates, standardized
from settings import Setting
from training.files import PROJECT

RANDOM = np.random.default_rng(0)
SEEN, PLACES, SCORES = RANDOM.random((40, 3)), RANDOM.random((7, 3)), RANDOM.normal(size=40)
KERNEL = Kernel(np.array([[0.3, 0.5, 0.8]]), np.array([0.1]))


def covariance(a, b, lengths=KERNEL.lengths[0]):
    return np.exp(-(((a[:, None] - b) / lengths) ** 2).sum(axis=-1) / 2)


def log_likelihood(lengths, noise):
    """Up to a constant, at the variance of the scores that makes it greatest."""
    matrix = covariance(SEEN, SEEN, lengths) + noise * np.eye(40)
    scale = SCORES @ np.linalg.solve(matrix, SCORES) / 40
    return -(40 * np.log(scale) + np.linalg.slogdet(matrix)[1]) / 2


def test_it_predicts_what_solving_the_equations_gives():
    matrix, across = covariance(SEEN, SEEN) + 0.1 * np.eye(40), covariance(SEEN, PLACES)
    scale = SCORES @ np.linalg.solve(matrix, SCORES) / 40
    variance = 1 - (across * np.linalg.solve(matrix, across)).sum(axis=0)
    mean, deviation = gaussian_process.predict(KERNEL, SEEN, SCORES, PLACES)
    assert mean == pytest.approx(across.T @ np.linalg.solve(matrix, SCORES))
    assert deviation == pytest.approx(np.sqrt(scale * variance))


def test_the_likeliest_kernel_is_taken():
    kernels = Kernel(RANDOM.uniform(0.1, 2, (20, 3)), RANDOM.uniform(0.01, 1, 20))
    found = [log_likelihood(*kernel) for kernel in zip(*kernels, strict=True)]
    taken = gaussian_process.likeliest(kernels, SEEN, SCORES)
    assert log_likelihood(taken.lengths[0], taken.noise[0]) == max(found) > min(found)


def test_the_improvement_is_the_mean_of_what_exceeds_the_best():
    mean, deviation = np.array([0.0, 1.0, -3.0]), np.array([1.0, 0.5, 2.0])
    samples = mean + deviation * RANDOM.normal(size=(400_000, 3))
    expected = np.maximum(samples - 0.7, 0).mean(axis=0)
    found = gaussian_process.expected_improvement(mean, deviation, 0.7)
    assert found == pytest.approx(expected, abs=0.005)


def test_the_worst_scores_do_not_hide_how_the_good_ones_differ():
    found = standardized([0.1, -math.inf, 0.95, 0.96, 0.97, 0.98, 0.94])
    assert found[0] == found[1] == min(found) and found.std() == pytest.approx(1)
    assert found[3] - found[2] > 0.3
    assert standardized([0.5, 0.5, -math.inf]) is None and standardized([-math.inf]) is None


def test_coordinates_go_from_0_to_1_on_the_scale_of_a_setting():
    width = Setting("width", int, 32, "", search=(16, 256), scale="log", step=2)
    assert [coordinates(width, value) for value in (16, 60, 256)] == [[0], [0.5], [1]]
    rate = Setting("rate", float, 0.1, "", search=(1e-4, 1.0), scale="log")
    assert coordinates(rate, 1e-3) == pytest.approx([0.25]) and coordinates(rate, 9.0) == [1]
    choice = Setting("choice", str, "a", "", choices=("a", "b", "c"), search=("a", "c"))
    assert coordinates(choice, "c") == [0, math.sqrt(0.5)] and coordinates(choice, None) == [0, 0]
    with pytest.raises(LookupError):
        coordinates(choice, "b")


def test_its_bits_do_not_depend_on_the_threads_of_numpy():
    """What LAPACK computes does depend on them, with matrices of this size."""
    program = """
import hashlib, sys, numpy as np
from hpsearch.gaussian_process import Kernel, predict
random = np.random.default_rng(int(sys.argv[1]))
seen, places, scores = random.random((150, 3)), random.random((200, 3)), random.normal(size=150)
found = predict(Kernel(np.array([[0.3, 0.5, 0.8]]), np.array([0.1])), seen, scores, places)
print(hashlib.sha256(b"".join(array.tobytes() for array in found)).hexdigest())
"""

    def digest(threads, seed="0"):
        environment = os.environ | {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        command = [sys.executable, "-c", program, seed]
        return subprocess.check_output(command, cwd=PROJECT, env=environment, text=True)

    assert digest("1") == digest("2") == digest("4") != digest("1", "1")
