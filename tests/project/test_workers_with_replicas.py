"""Workers that have replicas each: two of two share a batch as one worker's four replicas do."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from runs import digests, metrics

from models import make_model

MODEL = '''"""A table, a normalisation and a dense layer. Nothing in it is random."""

import tensorflow as tf

from models.toy import Toy


class Mixed(Toy):
    def inference(self, batch, training):
        words = tf.cast(tf.floor(4.0 * batch["points"] + 4.0), tf.int32)
        values = tf.reshape(self.embedding("table", words, 8, 3), [-1, 6])
        values = self.batch_norm("norm", values, training, decay=0.75)
        return self.dense("logits", values, 2)
'''
FLAGS = ("--model_name=Mixed", "--random_seed=7", "--threads=1", "--jit=off", "--max_iter=30",
         "--log_every=1", "--eval_every=30", "--save_every=10")  # fmt: skip


@pytest.fixture(scope="module")
def main(toy_project, tmp_path_factory):
    """Call main.py of a project with that model. Returns what it printed."""
    folder = shutil.copytree(toy_project, tmp_path_factory.mktemp("mixed") / "project")
    (folder / "models" / "mixed.py").write_text(MODEL)
    with open(folder / "models" / "__init__.py", "a", encoding="utf-8") as file:
        file.write("\nfrom models.mixed import Mixed\n\nMODELS['Mixed'] = Mixed\n")

    def call(*flags):
        command = [sys.executable, "main.py", *flags]
        answer = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    return call


def losses(folder):
    return [record["loss"] for record in metrics(folder) if record["split"] == "train"]


def test_two_workers_of_two_replicas_train_as_four_replicas(main, tmp_path):
    main(*FLAGS, "--nb_workers=2", "--nb_replicas=2", f"--result_dir={tmp_path / 'both'}")
    assert "bit-identical at 4 of 4" in main("--verify", f"--result_dir={tmp_path / 'both'}")
    for count in (4, 2):
        folder = tmp_path / str(count)
        main(*FLAGS, f"--nb_replicas={count}", f"--result_dir={folder}")
        same = np.allclose(losses(tmp_path / "both"), losses(folder), rtol=1e-4)
        assert same == (count == 4)  # batch_norm sees the size of a share
    assert digests(tmp_path / "both")[0] == digests(tmp_path / "4")[0]
    assert digests(tmp_path / "both")[30] != digests(tmp_path / "4")[30]


def test_each_replica_of_each_worker_drops_other_places(small):
    masks = set()
    with make_model(small | {"nb_workers": 2, "nb_replicas": 2}) as model:
        for model.replica in (0, 1):
            dropped = tf.equal(model.dropout(tf.ones([100]), 0.5, "layer"), 0.0)
            masks |= {tuple(model.session.run(dropped, {model.worker: i})) for i in (0, 1)}
    assert len(masks) == 4
