"""What the files of an export answer, beside the model they were made of."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from serving.inputs import needed
from training.device import session_config

SIGNATURE = "serving_default"
EXAMPLES = 8
TOLERANCE = 1e-3  # of the largest output, beyond which an export is wrong; rounding is far below


def differences(model, about: dict, folder: Path) -> dict[str, float]:
    """How far the outputs of each file are from the model's, at most, on some made-up examples.

    about: what model.json holds. ValueError if a file answers otherwise.
    """
    examples, found = made_up_examples(model), {}
    expected = model.infer(examples)
    for name, read in READERS.items():
        found[name] = largest_difference(
            read(folder / name, about, model.config, examples), expected
        )
        if not found[name] <= TOLERANCE:
            raise ValueError(
                f"{name} does not answer as the model does: outputs differ by {found[name]:.3g}"
            )
    return found


def made_up_examples(model):
    """Some examples, {name: array [EXAMPLES, ...]}: bytes of any value, other integers 0 and 1."""
    random = np.random.default_rng(0)
    examples = {}
    for name, wanted in needed(model).items():
        shape = [EXAMPLES, *wanted.shape]
        values = random.normal(size=shape)
        if wanted.dtype.kind != "f":
            values = random.integers(0, 256 if wanted.dtype == np.uint8 else 2, shape)
        examples[name] = values.astype(wanted.dtype)
    return examples


def largest_difference(found, expected):
    """The largest difference of any output, in parts of the largest value if that is above 1.

    Infinite if outputs are not finite in other places, or are texts that differ.
    """
    largest = 0.0
    for name, array in expected.items():
        pair = [np.asarray(values) for values in (found[name], array)]
        if array.dtype.kind not in "biuf":
            largest = max(largest, 0.0 if np.array_equal(*pair) else np.inf)
            continue
        here, there = (values.astype(np.float64) for values in pair)
        finite = np.isfinite(there)
        if here.shape != there.shape or not np.isfinite(here[finite]).all():
            return np.inf
        if not np.array_equal(here[~finite], there[~finite], equal_nan=True):
            return np.inf
        apart = np.abs(here[finite] - there[finite]).max(initial=0.0)
        largest = max(largest, float(apart / max(1.0, np.abs(there[finite]).max(initial=0.0))))
    return largest


def of_frozen_graph(file, about, config, examples):
    """What model.pb answers.

    Without the optimization that joins a product and a constant that is added to it: it rounds
    otherwise than the model, whose weights are variables.
    """
    definition, options = tf.compat.v1.GraphDef(), session_config(config)
    definition.ParseFromString(file.read_bytes())
    options.graph_options.rewrite_options.remapping = 2  # off
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
    with tf.compat.v1.Session(graph=graph, config=options) as session:
        feed = {about["inputs"][name]["tensor"]: array for name, array in examples.items()}
        return session.run({n: output["tensor"] for n, output in about["outputs"].items()}, feed)


def of_saved_model(folder, about, config, examples):
    """What saved_model/ answers."""
    with tf.Graph().as_default(), tf.compat.v1.Session(config=session_config(config)) as session:
        meta = tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], str(folder))
        signature = meta.signature_def[SIGNATURE]
        feed = {signature.inputs[name].name: array for name, array in examples.items()}
        return session.run({n: t.name for n, t in signature.outputs.items()}, feed)


READERS = {"model.pb": of_frozen_graph, "saved_model": of_saved_model}
