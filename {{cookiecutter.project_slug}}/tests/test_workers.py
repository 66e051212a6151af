"""Every model trains on several workers and replicas nearly as it does alone; see docs/workers.md.

A model that is added to MODELS is tested here, without another line. tests/test_kills.py kills
workers of each model as well.
"""

import subprocess
import sys

import numpy as np
import pytest
from runs import digests, metrics, read, train

from models import MODELS
from settings import ConfigError
from training.files import PROJECT

STEPS = 20
CONFIG = {"random_seed": 7, "jit": "off", "max_iter": STEPS, "log_every": 5}
# A loss that is a sum over the batch is off by half. Dropout and batch_norm do not see the same on
# each worker; without them the losses differ by less than 1e-5.
NEARLY = 0.1


REFUSED = ("has an update of its own", "is not known to the other workers")  # see docs/workers.md


@pytest.fixture(params=MODELS)
def config(request):
    model_class = MODELS[request.param]
    offline = {"fake_data": True} if model_class.has_fake_data else {}
    size = next(s.default for s in model_class.settings() if s.name == "batch_size")
    return CONFIG | {"model_name": request.param, "batch_size": size + size % 2} | offline


def compare_with_one_process(folder, config, alone):
    """Train alone: what a model lost on several devices must be nearly what it loses on one."""
    train(config | {"result_dir": str(alone)})
    found, expected = ([record["loss"] for record in metrics(f)] for f in (folder, alone))
    np.testing.assert_allclose(found, expected, rtol=NEARLY)
    assert digests(folder)[0] == digests(alone)[0]
    found, expected = (read(f, "config.json")["config"] for f in (folder, alone))
    assert (found["nb_workers"] * found["nb_replicas"], expected["nb_workers"]) == (2, 1)


def test_two_workers_lose_nearly_what_one_process_loses_or_say_why_not(config, tmp_path):
    flags = [f"--{name}={value}" for name, value in config.items()]
    command = [sys.executable, "main.py", *flags, "--nb_workers=2", "--worker_timeout=60"]
    answer = subprocess.run([*command, f"--result_dir={tmp_path / 'two'}"], cwd=PROJECT,
                            capture_output=True, text=True, timeout=300)  # fmt: skip
    if any(words in answer.stderr for words in REFUSED):
        return
    assert answer.returncode == 0, answer.stderr
    compare_with_one_process(tmp_path / "two", config, tmp_path / "one")


def test_two_replicas_lose_nearly_what_one_device_loses_or_say_why_not(config, tmp_path):
    try:
        train(config | {"nb_replicas": 2, "result_dir": str(tmp_path / "two")})
    except ConfigError as error:
        assert REFUSED[0] in str(error)
        return
    compare_with_one_process(tmp_path / "two", config, tmp_path / "one")


@pytest.mark.parametrize(
    "content, words",
    [
        ("worker 1", "TF_CONFIG=worker 1 is not a cluster and a task in JSON"),
        ('{"cluster": {"worker": ["host1:2222", "host2"]}}', "TF_CONFIG: host2 is not host:port"),
        (
            '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
            "TF_CONFIG: the cluster has no task worker 2",
        ),
    ],
    ids=["no JSON", "no port", "no such task"],
)
def test_a_wrong_tf_config_is_refused_in_a_line(content, words, shell, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", content)
    status, _, errors = shell()
    assert (status, errors) == (2, f"error: {words}\n")
