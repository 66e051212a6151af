"""What made a loss or a variable infinite or NaN: the step, its batch and the first variable."""

import numpy as np
import tensorflow as tf

from training import variables
from training.batches import fed, model_rows


class Diverged(Exception):
    """A loss or a variable is not finite; losses: of the steps that were trained, float32."""

    def __init__(self, losses):
        super().__init__("a loss or a variable is not finite")
        self.losses = losses


def diagnose(model, variable: str | None) -> dict:
    """What happens at the next step: loss, gradient norm, first bad variable, batch, operation.

    variable: the first that is not finite after this step, for a step whose gradients are finite.
    """
    (rows,) = model_rows(model, model.step, 1)
    feed = fed(model.batch, {name: array[rows] for name, array in model.load("train").items()})
    with model.graph.as_default(), variables.reused(model), tf.name_scope("diverged"):
        loss = model.loss(model.inference(model.batch, training=True), model.batch)
        names = [variable.op.name for variable in model.variables]
        pairs = zip(names, tf.gradients(loss, model.variables), strict=True)
        gradients = {name: tf.convert_to_tensor(g) for name, g in pairs if g is not None}
    loss_value, values = model.session.run([loss, gradients], feed)
    norm = np.sqrt(sum(np.sum(np.square(v, dtype=np.float64)) for v in values.values()))
    details = {
        "loss": f"{loss_value:g}",  # as text: JSON has no word for what is not finite
        "gradient_norm": f"{norm:g}",
        "variable": first_not_finite(values) or variable or "the loss",
        "batch": rows.tolist(),
    }
    if model.config["debug"]:
        details["operation"] = first_operation(model, feed)
    return details


def first_not_finite(arrays: dict[str, np.ndarray]) -> str | None:
    """The name of the first array that holds a value that is not finite; None if none does."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return name
    return None


def first_operation(model, feed):
    """The name of the first operation of the step whose result is not finite, in graph order."""
    tensors = [
        tensor
        for operation in model.graph.get_operations()
        if operation.name.startswith("diverged/")
        for tensor in operation.outputs
        if tensor.dtype in (tf.float16, tf.bfloat16, tf.float32, tf.float64)
        and model.graph.is_fetchable(tensor)
    ]
    results = model.session.run({tensor.op.name: tensor for tensor in tensors}, feed)
    return first_not_finite(results)
