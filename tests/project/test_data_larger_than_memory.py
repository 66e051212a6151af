"""A training set five times as large as the memory that a process may have."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2] / "{{cookiecutter.project_slug}}"
LIMIT, SIZE = 2**30, 5 * 2**30  # bytes
PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[2]), int(sys.argv[2])))

import models  # isort: skip
import numpy as np
from data.fake_digits import fake_digits
from models.mnist import MNIST

count = int(sys.argv[3]) // 785
images, labels = "images.bin", "labels.bin"
for name, size in ((images, count * 784), (labels, count)):
    with open(name, "wb") as file:
        file.truncate(size)  # zeros that take no room on the disk

class Large(MNIST):
    def inputs(self, split):
        if split != "train":
            return fake_digits(split)
        arrays = {"images": np.memmap(images, np.uint8, "r", shape=(count, 28, 28)),
                  "labels": np.memmap(labels, np.uint8, "r", shape=(count,))}
        return arrays if sys.argv[1] == "map" else {n: np.array(a) for n, a in arrays.items()}

models.MODELS["Large"] = Large
with models.make_model({"model_name": "Large", "threads": 2, "max_iter": 300, "eval_every": 150,
                        "random_seed": 0, "jit": "off", "result_dir": sys.argv[4]}) as model:
    assert model.train(final=False)["status"] == "complete"
    print("--data=" + model.config["data"])
"""


def train(tmp_path, how, folder):
    """Train on zeros in files, as memory maps or as arrays in memory; in a process with a limit."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", PROGRAM, how, str(LIMIT), str(SIZE), str(folder)]
    return subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, encoding="utf-8"
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's own memory so")
def test_data_five_times_larger_than_memory_is_streamed_within_it(tmp_path):
    answer = train(tmp_path, "map", tmp_path / "run")
    assert answer.returncode == 0, answer.stderr
    assert "--data=stream" in answer.stdout
    answer = train(tmp_path, "array", tmp_path / "other")  # the negative control: the limit is one
    assert answer.returncode != 0 and re.search("MemoryError|Unable to allocate", answer.stderr)
