"""What of the loop XLA compiles follows from what a model holds, and is said and recorded."""

import pytest
import tensorflow as tf
from bits import Convolution
from runs import digests, read, train
from toy import Toy

from models import MODELS
from training import compilation
from training.speed import advice

ALIKE = {"jit": None, "device": "auto", "deterministic": False}
ONE, TWO = (ALIKE | {"threads": threads} for threads in (1, 2))
SHORT = ONE | {"jit": "short"}


@pytest.fixture
def convolution(monkeypatch, tmp_path):
    """The config of a short run of a convolutional network, which is registered."""
    monkeypatch.setitem(MODELS, "Convolution", Convolution)
    config = {"model_name": "Convolution", "fake_data": True, "random_seed": 1, "max_iter": 6}
    return config | {"batch_size": 20, "save_every": 3, "result_dir": str(tmp_path / "run")}


def graph_of(build, scope="optimizer"):
    """A graph with what a function builds where a model has its training step."""
    with tf.Graph().as_default() as graph, tf.name_scope(scope):
        build()
    return graph


def convolve():
    tf.nn.conv2d(tf.zeros([1, 8, 8, 1]), tf.zeros([3, 3, 1, 1]), 1, "SAME")


def convolve_and_add_in_any_order():
    convolve()
    tf.math.unsorted_segment_sum(tf.zeros([4]), tf.constant([0, 1, 0, 1]), 2)


def test_a_network_without_slow_operations_is_compiled_with_its_loop():
    with Toy({"random_seed": 1}) as model:
        model.prepare_steps()
        assert model.config["jit"] == "loop"


def test_a_convolution_on_a_cpu_is_trained_without_xla_which_is_said_and_recorded(
    convolution, tmp_path, capsys
):
    train(convolution)
    said = "Training without XLA, --jit=off: XLA is slow at Conv2D in a loop\n"
    assert said in capsys.readouterr().out
    assert read(tmp_path / "run", "config.json")["config"]["jit"] == "off"


@pytest.mark.parametrize("jit", ["loop", "step", "off"])
def test_a_flag_overrides_it_and_a_resumed_run_keeps_it(convolution, tmp_path, jit):
    straight = convolution | {"jit": jit, "result_dir": str(tmp_path / "straight")}
    train(straight)
    train(convolution | {"jit": jit}, until=3)
    train({"result_dir": convolution["result_dir"]})
    assert read(tmp_path / "run", "config.json")["config"]["jit"] == jit
    assert digests(tmp_path / "run") == digests(tmp_path / "straight")
    train(straight | {"random_seed": 2, "result_dir": str(tmp_path / "other")})
    assert digests(tmp_path / "run") != digests(tmp_path / "other")


def test_each_step_is_compiled_where_a_convolution_meets_sums_in_any_order():
    graph = graph_of(convolve_and_add_in_any_order)
    assert compilation.suits(graph, TWO)[0] == "step"
    assert compilation.suits(graph, ONE)[0] == "off"
    assert compilation.suits(graph, TWO | {"deterministic": True})[0] == "off"
    assert compilation.suits(graph_of(convolve), TWO)[0] == "off"


def multiply():
    tf.matmul(tf.ones([2, 2]), tf.ones([2, 2]))


def multiply_in_a_loop():
    one = tf.ones([2, 2])
    tf.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, tf.matmul(x, one)), (0, one))


@pytest.mark.parametrize(
    ("build", "jit"),
    [(multiply, "off"), (multiply_in_a_loop, "loop"), (convolve, "off")],
)
def test_a_short_run_is_compiled_only_if_it_would_be_much_slower_without(build, jit):
    assert compilation.suits(graph_of(build), SHORT)[0] == jit


def test_a_short_run_with_a_table_of_rows_is_compiled():
    def add_rows():
        tf.math.unsorted_segment_sum(tf.zeros([4]), tf.constant([0, 1, 0, 1]), 2)

    assert compilation.suits(graph_of(add_rows), SHORT)[0] == "loop"


def test_a_short_run_records_what_was_chosen_and_a_run_that_has_chosen_keeps_it(tmp_path):
    def both_halves(name, jit):
        toy = {"model_name": "Toy", "random_seed": 1, "max_iter": 6, "save_every": 3}
        train(toy | {"jit": jit, "result_dir": str(tmp_path / name)}, until=3)
        train({"jit": "short", "result_dir": str(tmp_path / name)})
        return read(tmp_path / name, "config.json")["config"]["jit"]

    assert both_halves("off", "off") == both_halves("short", "short") == "off"
    assert digests(tmp_path / "short") == digests(tmp_path / "off")
    assert both_halves("compiled", "loop") == "loop"


def test_what_only_evaluation_or_a_picture_needs_does_not_count():
    assert compilation.suits(graph_of(convolve, "summaries"), TWO)[0] == "loop"


def test_on_a_gpu_the_loop_is_compiled(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"])
    graph = graph_of(convolve)
    assert compilation.suits(graph, TWO)[0] == "loop"
    assert compilation.suits(graph, TWO | {"device": "cpu"})[0] == "off"


@pytest.mark.slow
def test_a_slow_choice_is_named_with_the_flag_that_mends_it(convolution):
    with Convolution(convolution | {"jit": "loop", "result_dir": None}) as model:
        model.prepare_steps()
        line = advice(model)
        assert " µs with --jit=loop, and " in line and line.endswith(": add --jit=off"), line
        assert model.step == 0
    with Convolution(convolution | {"result_dir": None}) as model:
        model.prepare_steps()
        assert advice(model) == ""


def test_a_run_that_diverges_is_told_so_with_debug_too(shell):
    flags = ["--debug", "--lr=1000", "--random_seed=1", "--max_iter=100"]
    status, _, errors = shell(*flags)
    assert status == 3 and "not finite at step" in errors


def test_a_value_that_cannot_be_built_again_is_no_reason_to_fail(monkeypatch):
    def refuse(model):
        raise tf.errors.ResourceExhaustedError(None, None, "no memory")

    with Toy({"random_seed": 1}) as model:
        model.prepare_steps()
        monkeypatch.setattr("training.speed.seconds_of_a_step", refuse)
        assert advice(model) == ""
