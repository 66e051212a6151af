"""How good a model is on a whole split, and what it predicts."""

import numpy as np
import tensorflow as tf

from training.batches import check_finite, fed

BATCH = 1000  # examples; a fixed number, so that sums are the same everywhere


def check(model) -> None:
    """ValueError if the model's loss, metrics or objective cannot be worked with."""
    name, loss = type(model).__name__, model.evaluation_loss
    if loss.dtype != tf.float32 or loss.shape.rank != 0:
        raise ValueError(
            f"{name}.loss gives {loss.dtype.name} {loss.shape}, not one float32 number: "
            "see tf.reduce_mean"
        )
    if not isinstance(model.metrics, dict):
        raise ValueError(f"{name}.evaluation gives no dictionary of metrics")
    for metric, values in model.metrics.items():
        if values.shape.rank not in (1, None):
            raise ValueError(f"{name}.evaluation: {metric} must have one value for each example")
    for metric in {"loss", "step", "split"} & set(model.metrics):
        raise ValueError(f"{name}.evaluation: {metric} is taken, choose another name")
    if model.objective[0] not in {"loss", *model.metrics}:
        raise ValueError(f"{name}.objective is {model.objective[0]}, which is no metric")


def evaluate(model, split: str) -> dict[str, float]:
    """Average loss and metrics over all examples of a split, as {name: float}."""
    arrays = model.load(split)
    examples = len(next(iter(arrays.values())))
    totals = dict.fromkeys(["loss", *model.metrics], 0.0)
    for first in range(0, examples, BATCH):
        feed = fed(model.batch, {n: array[first : first + BATCH] for n, array in arrays.items()})
        loss, metrics = model.session.run([model.evaluation_loss, model.metrics], feed)
        size = min(BATCH, examples - first)
        totals["loss"] += float(loss) * size
        for name, values in metrics.items():
            if values.shape != (size,):
                raise ValueError(f"evaluation: {name} must have one value for each example")
            totals[name] += float(np.sum(values, dtype=np.float64))
    return {name: total / examples for name, total in totals.items()}


def infer(model, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The predictions for {name: array [examples, ...]}, as {name: array [examples, ...]}.

    A single example, {name: array [...]}, gives single predictions.
    ValueError names an input that is missing, not finite or of another dtype or shape.
    """
    shapes = {name: tuple(placeholder.shape[1:]) for name, placeholder in model.batch.items()}
    is_single = all(np.shape(array) == shapes.get(name) for name, array in inputs.items())
    if is_single:
        inputs = {name: np.asarray(array)[np.newaxis] for name, array in inputs.items()}
    feed = fed(model.batch, inputs)
    check_finite(model.batch, inputs)
    try:
        outputs = model.session.run(model.predicted, feed)
        return {name: array[0] for name, array in outputs.items()} if is_single else outputs
    except tf.errors.InvalidArgumentError as error:
        missing = [name for name in model.batch if f"tensor '{name}'" in error.message]
        if not missing:
            raise
        raise ValueError(f"the predictions need the input {missing[0]}, too") from None
