"""What may be wrong with a machine, provoked for test_doctor.py: for real wherever it can be."""

import errno
import importlib.metadata
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

import models
from data import loaders
from doctor import checks, tensorflow_checks
from models.linear_regression import LinearRegression
from settings import Setting
from training import folders

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="as Linux does it")


def set_free(monkeypatch, free):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=free))


def has_old_python(monkeypatch, tmp_path):
    text = checks.PYPROJECT.read_text().replace(">=3.10,<3.14", ">=3.98,<3.99")
    checks.PYPROJECT.write_text(text)


def has_version(name, answer):
    """A provocation: importlib.metadata answers this for a package; None: it is missing."""

    def provoke(monkeypatch, tmp_path):
        real = importlib.metadata.version

        def version(asked):
            if not asked.startswith(name):
                return real(asked)
            if answer is None:
                raise importlib.metadata.PackageNotFoundError(asked)
            return answer

        monkeypatch.setattr("importlib.metadata.version", version)

    return provoke


def has_another_tensorflow(monkeypatch, tmp_path):
    monkeypatch.setattr(tf, "__version__", "2.19.0")


def has_no_pkg_resources(monkeypatch, tmp_path):
    def fail():
        raise ModuleNotFoundError("No module named 'pkg_resources'")

    monkeypatch.setattr("tensorboard.default.get_plugins", fail)


def has_damaged_data(monkeypatch, tmp_path):
    np.save(loaders.FOLDER / "valid" / "images.npy", np.zeros([3, 28, 28], np.uint8))


def has_half_of_the_data(monkeypatch, tmp_path):
    shutil.rmtree(loaders.FOLDER / "test")


def has_a_file_for_results(monkeypatch, tmp_path):
    (tmp_path / "results").write_text("mine")


def has_a_bracket_in_the_path(monkeypatch, tmp_path):
    monkeypatch.setattr(folders, "RESULTS", tmp_path / "[1]" / "results")


def has_a_kernels_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(folders, "RESULTS", "/proc/results")


def has_a_full_disk(monkeypatch, tmp_path):
    def fail(path, text):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("training.files.write_atomically", fail)


def has_locks_for_all(monkeypatch, tmp_path):
    lock = SimpleNamespace(release=lambda: None)
    monkeypatch.setattr(folders, "locked", lambda path, holder: lock)


def has_no_locks(monkeypatch, tmp_path):
    def fail(file, operation):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", fail)


def has_a_small_disk(monkeypatch, tmp_path):
    set_free(monkeypatch, 99e6)


def has_a_model_with_a_flag_of_ours(monkeypatch, tmp_path):
    class Wrong(LinearRegression):
        hyperparameters = (Setting("doctor", float, 1.0, "of philosophy"),)

    monkeypatch.setitem(models.MODELS, "Wrong", Wrong)


def has_a_gpu_that_is_not_seen(monkeypatch, tmp_path):
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidia0").touch()
    monkeypatch.setattr(sys, "platform", "linux")


def has_a_wrong_product(monkeypatch, tmp_path):
    def multiply(**options):
        raise ArithmeticError("a product was [[0]]")

    monkeypatch.setattr(tensorflow_checks, "multiply", multiply)


PROVOKED = [
    ("Python", has_old_python, [">=3.98,<3.99", ".venv again"]),
    ("packages", has_version("pooch", None), ["pooch missing: pip install -e"]),
    ("packages", has_version("numpy", "1.2"), ["numpy 1.2 must be >=1.26: pip install -e"]),
    ("TensorBoard", has_no_pkg_resources, ["pkg_resources", "pip install --upgrade"]),
    ("data", has_damaged_data, ["valid/images.npy is missing or damaged", "--repair"]),
    ("data", has_half_of_the_data, ["test/images.npy is missing or damaged", "--repair"]),
    ("results", has_a_file_for_results, ["results is a file", "--result_dir"]),
    ("results", has_a_bracket_in_the_path, ["[1]", "--result_dir"]),
    pytest.param("results", has_a_kernels_folder, ["/proc", "--result_dir"], marks=on_linux),
    ("results", has_a_full_disk, ["No space left on device", "--result_dir"]),
    ("results", has_locks_for_all, ["one lock to two processes", "--result_dir"]),
    pytest.param("results", has_no_locks, ["has no locks", "--result_dir"], marks=on_linux),
    ("disk", has_a_small_disk, ["only 99 MB are free", "--result_dir"]),
    ("TensorFlow", has_another_tensorflow, ["it is 2.19.0, not 2.21", "pip uninstall"]),
    (
        "models",
        has_a_model_with_a_flag_of_ours,
        ["Wrong.hyperparameters: the name doctor is taken; choose"],
    ),
    ("GPUs", has_a_gpu_that_is_not_seen, ["there is one", 'pip install "tensorflow[and-cuda]']),
    ("XLA", has_a_wrong_product, ["this check failed: ArithmeticError: a product was [[0]]"]),
]
