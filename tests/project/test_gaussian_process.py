"""The Gaussian process gives what the textbook's formulas give, with the same bits anywhere."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from test_schedulers import settings

from hpsearch import gaussian_process
from hpsearch.gaussian_process import Kernel, Sampler, coordinates, standardized
from models.basic_model import BasicModel
from settings import Setting, optimization
from training.files import PROJECT

SEEN, PLACES = np.random.default_rng(0).random((40, 3)), np.random.default_rng(1).random((7, 3))
SCORES = np.random.default_rng(2).normal(size=40)
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
    random = np.random.default_rng(3)
    kernels = Kernel(random.uniform(0.1, 2, (20, 3)), random.uniform(0.01, 1, 20))
    found = [log_likelihood(*kernel) for kernel in zip(*kernels, strict=True)]
    taken = gaussian_process.likeliest(kernels, SEEN, SCORES)
    assert log_likelihood(taken.lengths[0], taken.noise[0]) == max(found) > min(found)


def test_the_improvement_is_the_mean_of_what_exceeds_the_best():
    mean, deviation = np.array([0.0, 1.0, -3.0]), np.array([1.0, 0.5, 2.0])
    samples = mean + deviation * np.random.default_rng(4).normal(size=(400_000, 3))
    expected = np.maximum(samples - 0.7, 0).mean(axis=0)
    found = gaussian_process.expected_improvement(mean, deviation, 0.7)
    assert found == pytest.approx(expected, abs=0.005)


def test_scores_that_are_only_expected_make_nothing_surer_far_from_them():
    expected, unsure = gaussian_process.predict(KERNEL, SEEN, SCORES, PLACES)
    far = np.full((1, 3), 9.0)
    _, before = gaussian_process.predict(KERNEL, SEEN, SCORES, far)
    seen, scores = np.concatenate([SEEN, PLACES]), np.concatenate([SCORES, expected])
    _, after = gaussian_process.predict(KERNEL, seen, scores, far, counted=40)
    assert after == pytest.approx(before)
    _, near = gaussian_process.predict(KERNEL, seen, scores, PLACES, counted=40)
    assert (near < unsure).all()


class Layers(BasicModel):
    """A table with a list and a condition, and a constraint that one draw in 200 keeps."""

    hyperparameters = (
        *optimization(lr=0.3, batch_size=100, decay_steps=100),
        Setting("hidden", list[int], [8, 4], "", 1, 64, search=(4, 8), lengths=(1, 3)),
        Setting("dropout", float, 0.2, "", 0, 1, search=(0, 0.6), only_with=("optimizer", "adam")),
        Setting("low", float, 1.0, "", 0, 1, search=(0, 1)),
        Setting("high", float, 0.005, "", 0, 1, search=(0, 0.01)),
    )
    constraints = (("low", "<=", "high"),)
    base = {setting.name: setting.default for setting in hyperparameters}


def sampler_of(model_class, **given):
    return Sampler(model_class, settings("hyperband", objective=["accuracy", "max"]), {}, given)


def test_lists_and_conditions_have_places_too():
    sampler = sampler_of(Layers)
    one, three = Layers.base | {"hidden": [4]}, Layers.base | {"hidden": [4, 8, 6]}
    found = sampler.places([one, three, three | {"optimizer": "adam", "dropout": 0.0}])
    names = [s.name for s in sampler.dimensions for _ in coordinates(s, None)]
    at = {name: found[:, names.index(name)].tolist() for name in names}
    assert at["len(hidden)"] == [0, 1, 1] and at["hidden[0]"] == [0, 0, 0]
    assert at["hidden[2]"] == [0.5, 0.5, 0.5] and at["hidden[1]"] == [0.5, 1, 1]
    assert at["dropout"] == [0.5, 0.5, 0]
    assert sampler.is_known(one) and sampler.is_known(one | {"lr": 99.0})


def test_a_choice_that_is_not_searched_is_nothing_to_learn_from():
    class Few(Layers):
        hyperparameters = tuple(
            setting._replace(search=("sgd",)) if setting.name == "optimizer" else setting
            for setting in Layers.hyperparameters
        )

    assert sampler_of(Few).is_known(Layers.base | {"optimizer": "sgd"})
    assert not sampler_of(Few).is_known(Layers.base | {"optimizer": "adam"})


def test_where_few_draws_keep_the_constraints_there_are_fewer_to_choose_from():
    sampler = sampler_of(Layers)
    found = [sampler.draw(n, [(i, 3, i / 10) for i in range(n)]) for n in range(14)]
    assert all(config["low"] <= config["high"] for config in found)


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
