"""What models do on several workers: averages, dropout, and what each would do by itself."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from clusters import MAIN, ends, start
from runs import digests, read

from models import make_model
from training.batches import model_rows
from training.collectives import as_words, from_words
from training.repeatable import digest, operations

MODELS = '''"""Models for several workers."""

import tensorflow as tf

from models.toy import Toy


class Normalised(Toy):
    """Its moving averages see nothing but the points."""

    def inference(self, batch, training):
        values = self.batch_norm("norm", batch["points"], training, decay=0.75)
        return self.dense("logits", values, 2)


class Alone(Toy):
    """Its update averages nothing."""

    def update(self, loss):
        pairs = zip(tf.gradients(loss, self.variables), self.variables, strict=True)
        return self.optimizer.apply_gradients(pairs, global_step=self.global_step)


class Astray(Toy):
    """It remembers a point of its share within a condition, where nobody looks for it."""

    def inference(self, batch, training):
        zeros = tf.zeros_initializer()
        last = tf.compat.v1.get_variable("last_point", [2], initializer=zeros, trainable=False)
        outputs = super().inference(batch, training)
        if training:
            point = batch["points"][0]
            kept = tf.cond(point[0] < 2.0, lambda: last.assign(point), last.read_value)
            outputs += 0.0 * tf.reduce_sum(kept)
        return outputs


class Words(Toy):
    """XLA has none of its operations on words."""

    def inference(self, batch, training):
        outputs = super().inference(batch, training)
        return outputs + 0 * tf.strings.to_number(tf.strings.as_string(outputs))
'''
FAILS = """
import tensorflow as tf
from training import preparation

def check_second_build(model, jit):
    check(model, jit)
    with model.graph.as_default():
        model.alone = tf.debugging.Assert(False, ["no kernel"])

check, preparation.check_second_build = preparation.check_second_build, check_second_build
"""
FLAGS = ("--random_seed=7", "--threads=1", "--jit=off", "--max_iter=3", "--save_every=1")


@pytest.fixture(scope="module")
def project(toy_project, tmp_path_factory):
    """A copy of the project with these models."""
    folder = shutil.copytree(toy_project, tmp_path_factory.mktemp("models") / "project")
    (folder / "models" / "for_workers.py").write_text(MODELS)
    with open(folder / "models" / "__init__.py", "a", encoding="utf-8") as file:
        file.write("\nfrom models.for_workers import Alone, Astray, Normalised, Words\n\n")
        file.write("MODELS |= {m.__name__: m for m in (Alone, Astray, Normalised, Words)}\n")
    return folder


def trained(project, name, folder, *flags):
    """What two workers that train a model end with: [(exit status, output, errors)]."""
    flags = (f"--model_name={name}", *FLAGS, *flags, f"--result_dir={folder}")
    return ends(start(project, 2, *flags))


def test_moving_averages_are_the_mean_of_those_of_the_workers(project, small, tmp_path):
    folder = tmp_path / "normalised"
    ended = trained(project, "Normalised", folder, "--debug")  # which times nothing here
    assert [status for status, _, _ in ended] == [0, 0], ended
    assert sorted(digests(folder)) == [0, 1, 2, 3]  # at each, the weights of both were equal
    with make_model(small) as model:  # of the same seed, so of the same batches
        (rows,) = model_rows(model, 0, 1)
        points = model.load("train")["points"][rows]
    saved = tf.train.load_checkpoint(str(folder / "checkpoints" / "model.ckpt-1"))
    shares = points[:8], points[8:]
    mean = 0.25 * np.mean([share.mean(0) for share in shares], 0)
    variance = 0.75 + 0.25 * np.mean([share.var(0) for share in shares], 0)
    np.testing.assert_allclose(saved.get_tensor("norm/mean"), mean, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(saved.get_tensor("norm/variance"), variance, rtol=1e-6)
    for other in (points, *shares):  # neither of the whole batch, nor of one worker
        assert not np.allclose(variance, 0.75 + 0.25 * other.var(0), rtol=1e-4)


def test_an_update_that_each_worker_would_make_by_itself_is_refused(project, tmp_path):
    ended = trained(project, "Alone", tmp_path / "run")
    assert [status for status, _, _ in ended] == [1, 1], ended
    for _, _, errors in ended:
        assert "Alone has an update of its own" in errors and "self.mean_of_workers" in errors
    assert not (tmp_path / "run").exists()


def test_workers_train_without_xla_where_it_lacks_an_operation(project, tmp_path):
    flags = ["--model_name=Words", *(flag for flag in FLAGS if flag != "--jit=off")]
    ended = ends(start(project, 2, *flags, f"--result_dir={tmp_path / 'run'}"))
    assert [status for status, _, _ in ended] == [0, 0], ended
    assert "XLA cannot compile these steps, training without (--jit=off): it has no" in ended[0][1]
    assert read(tmp_path / "run", "config.json")["config"]["jit"] == "off"
    trained(project, "Words", tmp_path / "off")
    assert digests(tmp_path / "run") == digests(tmp_path / "off")
    trained(project, "Words", tmp_path / "other", "--lr=0.2")
    assert digests(tmp_path / "run") != digests(tmp_path / "other")


def test_workers_of_which_xla_compiles_the_steps_of_one_only_are_refused(project, tmp_path):
    flags = [*(flag for flag in FLAGS if flag != "--jit=off"), f"--result_dir={tmp_path / 'run'}"]
    ended = ends(start(project, 2, *flags, programs={1: FAILS + MAIN}))
    assert [status for status, _, _ in ended] == [2, 2], ended
    assert "worker 1 (localhost:" in ended[0][2] and "another --jit, since XLA" in ended[1][2]
    assert not (tmp_path / "run").exists()


def test_a_variable_that_differs_between_workers_is_named_at_the_next_checkpoint(project, tmp_path):
    folder = tmp_path / "run"
    ended = trained(project, "Astray", folder)
    assert [status for status, _, _ in ended] == [1, 1], ended
    for _, _, errors in ended:
        assert "last_point of worker 1 (localhost:" in errors and "at step 1" in errors
    assert sorted(digests(folder)) == [0]


def test_workers_drop_other_values_and_each_the_same_ones_again(small):
    with make_model(small | {"nb_workers": 2}) as model:
        dropped = tf.equal(model.dropout(tf.ones([100]), 0.5, "layer"), 0.0)

        def mask(worker, step):
            model.session.run(model.global_step.assign(step))
            return tuple(model.session.run(dropped, {model.worker: worker}))

        masks = [mask(worker, step) for step in (0, 1) for worker in (0, 1)]
        assert len(set(masks)) == 4
        assert [mask(worker, step) for step in (0, 1) for worker in (0, 1)] == masks


def test_the_time_limit_of_workers_is_not_part_of_what_a_graph_computes(small):
    found = []
    for settings in ({"worker_timeout": 5.0}, {"worker_timeout": 9.0}, {"lr_schedule": "cosine"}):
        with make_model(small | {"nb_workers": 2} | settings) as model:
            found.append(digest(operations(model.graph)))
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    "dtype",
    ["float32", "float64", "float16", "bfloat16", "int64", "int32", "int8", "uint8", "bool"],
)
def test_variables_of_any_dtype_travel_with_all_their_bits(dtype):
    values = tf.cast(tf.constant([-0.0, 0.0, 1.0, 3.0]), dtype)
    if values.dtype.is_floating:
        values = tf.concat([values, tf.cast([float("nan"), -1e-3], dtype)], 0)
    words = as_words(values)
    assert words.dtype == tf.int32
    assert from_words(words, values.dtype).numpy().tobytes() == values.numpy().tobytes()
