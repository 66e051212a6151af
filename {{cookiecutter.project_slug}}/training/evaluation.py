"""How good a model is on a whole split, and what it predicts."""

import functools

import numpy as np
import tensorflow as tf

from training import contract
from training.batches import as_wanted, check_finite, fed, random_stream

BATCH = 1000  # examples; a fixed number, so that sums are the same everywhere
SAMPLE = "train_sample"  # a fixed sample of train, which is evaluated as valid is


def arrays_of(model, split: str) -> dict[str, np.ndarray]:
    """The arrays of train, valid, test or SAMPLE: {name: array [examples, ...]}.

    The sample has --eval_examples examples of train, and follows from random_seed.
    """
    if split != SAMPLE:
        return model.load(split)
    count = count_examples(model, SAMPLE)
    rows = sample_rows(model.config["random_seed"], model.examples, count)
    return {name: array[rows] for name, array in model.load("train").items()}


@functools.lru_cache(maxsize=2)
def sample_rows(random_seed: int, examples: int, count: int) -> np.ndarray:
    """The rows of the sample, in ascending order: int64 [count]."""
    order = random_stream(random_seed, SAMPLE).permutation(examples)
    return np.sort(order[:count])


def count_examples(model, split: str) -> int:
    """How many examples an evaluation of a split averages over."""
    if split == SAMPLE:
        return min(model.config["eval_examples"], model.examples)
    return len(next(iter(model.load(split).values())))


def evaluate(model, split: str) -> dict[str, float]:
    """Loss and metrics over all examples of a split or SAMPLE, as {name: float}.

    Dropout and the like are off: inference is called with training=False.
    """
    arrays, examples, total = arrays_of(model, split), count_examples(model, split), 0.0
    parts = {name: [] for name in model.metrics}
    for first in range(0, examples, BATCH):
        feed = fed(model.batch, {n: array[first : first + BATCH] for n, array in arrays.items()})
        loss, metrics = model.session.run([model.evaluation_loss, model.metrics], feed)
        size = min(BATCH, examples - first)
        total += float(loss) * size
        for name, values in metrics.items():
            if values.shape != (size,):
                raise ValueError(f"evaluation: {name} must have one value for each example")
            parts[name].append(values)
    values = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    metrics = model.metrics_of_split(values)
    contract.check_metrics(model, metrics, "metrics_of_split")
    return {"loss": total / examples} | {name: float(value) for name, value in metrics.items()}


def mean(values: np.ndarray) -> float:
    """The mean over examples, [examples], in float64 and always in the same order."""
    total = 0.0
    for first in range(0, len(values), BATCH):
        total += float(np.sum(values[first : first + BATCH], dtype=np.float64))
    return total / len(values)


def inspect(model) -> tuple[dict[str, float], dict[str, np.ndarray], bytes | None]:
    """What TensorBoard shows beside loss and metrics, at the model's step.

    Returns {tag: scalar}: the learning rate of the next step, the norm of the gradient of the loss
    on the first --batch_size examples of SAMPLE, without dropout, and the variables that are one
    number; {name: array} of the other variables; and the model's own summaries of the first
    --batch_size examples of valid, a serialized v1 Summary.
    """
    size = model.config["batch_size"]
    few = {name: array[:size] for name, array in arrays_of(model, SAMPLE).items()}
    variables = {variable.op.name: variable for variable in model.variables}
    feed = fed(model.batch, few) | {model.lr: model.config["lr"]}
    scalars, arrays = model.session.run([model.watched_scalars, variables], feed)
    scalars |= {f"variables/{name}": array for name, array in arrays.items() if array.size == 1}
    arrays = {name: array for name, array in arrays.items() if array.size > 1}
    if model.summary is None:
        return scalars, arrays, None
    few = {name: array[:size] for name, array in model.load("valid").items()}
    return scalars, arrays, model.session.run(model.summary, fed(model.batch, few))


def infer(model, inputs: dict[str, np.ndarray] | np.ndarray) -> dict[str, np.ndarray]:
    """The predictions for {name: array [examples, ...]}, as {name: array [examples, ...]}.

    The array alone is enough for a model whose predictions need one input. A single example,
    {name: array [...]}, gives single predictions.
    ValueError names an input that is missing, not finite or of another dtype or shape.
    """
    if not isinstance(inputs, dict):
        if len(model.needed) != 1:
            names = ", ".join(model.needed) or "none"
            raise ValueError(f"infer takes a dictionary {{name: array}}; the inputs are {names}")
        inputs = {model.needed[0]: np.asarray(inputs)}
    inputs = {n: as_wanted(model.batch[n], a) if n in model.batch else a for n, a in inputs.items()}
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
            raise ValueError(f"no predictions for these inputs: {error.message}") from None
        raise ValueError(f"the predictions need the input {missing[0]}, too") from None
