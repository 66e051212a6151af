"""When a number is not finite any more: go back, and say which step, batch and variable it was."""

import numpy as np
import tensorflow as tf

from training.batches import batch_rows, fed


class Diverged(Exception):
    """A loss or a variable is not finite any more; losses: of the steps that were trained."""

    def __init__(self, losses):
        super().__init__("a loss or a variable is not finite")
        self.losses = losses


def end(model, run, checkpoints):
    """End a run with the weights before the bad update, and record what made it bad.

    Replays one step at a time from the newest checkpoint: any chunk length gives the same bits.
    Returns the details, as in status.json.
    """
    noticed = model.step
    checkpoint = checkpoints.newest()
    print(f"Not finite: going back to step {checkpoint['step']} to find the bad update.")
    model.load_checkpoint(checkpoints, checkpoint)
    try:
        while model.step < noticed:
            model.learn_from_epoch(model.step + 1)
        raise ValueError(f"not finite at step {noticed}, but not when replayed: {run.path}")
    except Diverged:
        bad_step = model.step
        variable = first_not_finite(model.weights())
    model.load_checkpoint(checkpoints, checkpoint)
    while model.step < bad_step - 1:
        model.learn_from_epoch(bad_step - 1)
    return {"bad_step": bad_step} | examine(model, variable)


def examine(model, variable):
    """What happens at the step to come: loss, gradient norm, first variable, batch, operation."""
    config = model.config
    (rows,) = batch_rows(config["random_seed"], model.step, 1, model.examples, config["batch_size"])
    feed = fed(model.batch, {name: array[rows] for name, array in model.load("train").items()})
    scope = tf.compat.v1.variable_scope(tf.compat.v1.get_variable_scope(), reuse=True)
    with model.graph.as_default(), scope, tf.name_scope("diverged"):
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
    if config["debug"]:
        details["operation"] = first_operation(model, feed)
    return details


def first_not_finite(arrays):
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
