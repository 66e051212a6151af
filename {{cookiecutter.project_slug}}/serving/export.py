"""A trained model as files that other programs read, without this project's code.

    model.pb       the graph of the predictions with weights as constants: a frozen graph
    saved_model/   the same with variables and a signature, for TensorFlow in any language
    model.tflite   for LiteRT, on phones and small machines
    model.json     what goes in, what comes out, digests, versions, the step

The graph is built anew, without anything of training.
"""

import contextlib
import inspect
import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any

import tensorflow as tf

from models.basic_model import BasicModel
from serving.comparison import SIGNATURE, differences
from serving.inputs import needed
from training import variables
from training.device import session_config
from training.digests import weights_sha256
from training.files import sha256, write_json
from training.messages import one_line
from training.provenance import utc_now, version
from training.repeatable import seeded
from training.tensorflow_import import without_noise

KERAS = "; layers of Keras that are kept in self belong to another graph: make them in inference"


def export_model(model, folder: Path) -> dict[str, Any]:
    """Write a model's export into a folder, in place of an older one: complete or not at all.

    Returns what model.json holds. ValueError if the model cannot be exported, or a file does not
    answer as the model does; OSError if the folder cannot be written.
    """
    for left in folder.parent.glob(".export-*"):  # by an export that was killed
        remove(left)
    temporary, older = (folder.with_name(f".export-{name}") for name in ("new", "old"))
    temporary.mkdir()
    try:
        about = describe(model)
        try:
            with quiet():
                write_files(model, about, temporary)
                about["differences"] = differences(model, about, temporary)
        except (tf.errors.OpError, TypeError, LookupError, ValueError) as error:
            reason = one_line(error) + (KERAS if "Exception encountered" in str(error) else "")
            raise ValueError(f"{about['model_name']} cannot be exported: {reason}") from error
        files = sorted(path for path in temporary.rglob("*") if path.is_file())
        about["files"] = {path.relative_to(temporary).as_posix(): sha256(path) for path in files}
        write_json(temporary / "model.json", about)
        if folder.exists() or folder.is_symlink():
            os.replace(folder, older)
        os.replace(temporary, folder)
        remove(older)
    finally:
        remove(temporary)
    return about


def remove(folder):
    """Remove a folder with all in it, or a link to one; nothing if it is not there."""
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def describe(model):
    """What model.json says of the model."""
    about = {
        "model_name": model.config["model_name"],
        "result_dir": model.config["result_dir"],
        "step": model.step,
        "weights_sha256": weights_sha256(model.weights()),
        "inputs": {
            name: {
                "tensor": f"{name}:0",
                "dtype": wanted.dtype.name,
                "shape": [None, *wanted.shape],
            }
            for name, wanted in needed(model).items()
        },
        "outputs": {
            name: {"tensor": tensor.name, "dtype": tensor.dtype.name, "shape": shape_of(tensor)}
            for name, tensor in model.predicted.items()
        },
        "time": utc_now(),
        "versions": {name: version(name) for name in ("tensorflow", "numpy")},
    }
    for name, key in (("inputs", "inputs_hold"), ("picture", "a_picture_becomes")):
        method = getattr(type(model), name)
        if method is not getattr(BasicModel, name):
            about[key] = method.__doc__ and inspect.cleandoc(method.__doc__)
    return about


def shape_of(tensor):
    """A shape for JSON; None for an axis of any length, and for a shape that is not known."""
    return tensor.shape.as_list() if tensor.shape.rank is not None else None


def write_files(model, about, folder):
    """Write all but model.json; other errors than OSError if the model does not allow it."""
    v1, graph, in_graph = tf.compat.v1, tf.Graph(), model.global_step
    try:
        with graph.as_default(), seeded(model.config["random_seed"]):
            model.global_step = v1.train.create_global_step()
            batch = {n: v1.placeholder(p.dtype, p.shape, n) for n, p in model.batch.items()}
            with tf.name_scope("inference"), variables.recorded([]):
                outputs = model.inference(batch, training=False)
            with tf.name_scope("predictions"):
                tensors = model.predictions(outputs)
                outputs = {name: tf.identity(tensor, name) for name, tensor in tensors.items()}
    finally:
        model.global_step = in_graph
    with v1.Session(graph=graph, config=session_config(model.config)) as session:
        load_weights(model, graph, session)
        write_saved_model({n: batch[n] for n in about["inputs"]}, outputs, session, folder)
        frozen = v1.graph_util.convert_variables_to_constants(
            session, graph.as_graph_def(), [tensor.op.name for tensor in outputs.values()]
        )
    (folder / "model.pb").write_bytes(frozen.SerializeToString())
    with variables.outside(model):  # the converter executes eagerly
        about["model.tflite"] = write_tflite(folder)


def load_weights(model, graph, session):
    """Give the variables of the new graph their values."""
    weights = model.weights()
    with graph.as_default():
        for variable in tf.compat.v1.global_variables():
            variable.load(weights[variable.op.name], session)


def write_saved_model(inputs, outputs, session, folder):
    """Write saved_model/ with one signature: {input: tensor} to {output: tensor}."""
    saved_model = tf.compat.v1.saved_model
    info = saved_model.build_tensor_info
    signature = saved_model.build_signature_def(
        {name: info(tensor) for name, tensor in inputs.items()},
        {name: info(tensor) for name, tensor in outputs.items()},
        saved_model.signature_constants.PREDICT_METHOD_NAME,
    )
    builder = saved_model.Builder(str(folder / "saved_model"))
    with session.graph.as_default():
        builder.add_meta_graph_and_variables(
            session, [tf.saved_model.SERVING], {SIGNATURE: signature}, strip_default_attrs=True
        )
    builder.save()


def write_tflite(folder):
    """Write model.tflite, or nothing; returns what became of it, in words."""
    try:
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved_model"))
        with without_noise(everything=True):  # pages about each operation
            content = converter.convert()
    except Exception as error:
        found = re.search(r"'tf\.(\w+)' op |(?:TF Select|Custom) ops: ([\w, ]+)", str(error))
        missing = found and (found[1] or found[2])
        return (
            f"not written: LiteRT has no {missing}"
            if missing
            else (f"not written: {one_line(error)}")
        )
    (folder / "model.tflite").write_bytes(content)
    return "written"


@contextlib.contextmanager
def quiet():
    """Without what TensorFlow's older functions write about each other."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
