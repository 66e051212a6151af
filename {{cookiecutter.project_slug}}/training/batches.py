"""The arrays of a split, and which examples make which batch.

The batches are a pure function of (random_seed, step), never carried state.

So a resumed run sees the batches that it would have seen, and any number of steps may be asked
for at a time.
"""

import functools
import zlib
from collections.abc import Collection
from typing import Any

import numpy as np

from training.records import Column

LARGE = 2**30  # bytes of a split; above, it is streamed, and checked when it is read
PART = 2**20  # values that are checked at a time
WINDOW = 64  # blocks from which examples are taken in turn


def checked_inputs(
    split: str, arrays: dict[str, np.ndarray], names: Collection[str] | None = None
) -> dict[str, np.ndarray]:
    """Return the arrays of a split read-only; ValueError if they cannot be trained on.

    names: those that the arrays must have, if they are given. Records stay as they are.
    An array that somebody could still write is copied: a variable on the CPU may use the very
    memory it was fed from, for as long as it lives.
    """
    if not isinstance(arrays, dict):
        found = "nothing" if arrays is None else type(arrays).__name__
        raise ValueError(f"inputs({split!r}) returns {found}, not a dictionary {{name: array}}")
    arrays = {n: a if isinstance(a, Column) else np.asanyarray(a) for n, a in arrays.items()}
    if names is not None and arrays.keys() != names:
        found = f"{sorted(arrays)}, those of train {sorted(names)}"
        raise ValueError(f"the inputs of {split} are {found}")
    sizes = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(sizes.values())) != 1 or 0 in sizes.values():
        raise ValueError(f"the arrays of {split} must be equally long and not empty: {sizes}")
    checked, is_large = {}, total_bytes(arrays) > LARGE
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{name} of {split} holds {array.dtype}, not numbers")
        if isinstance(array, Column):
            checked[name] = array
            continue
        if not is_large:
            check_values(f"{name} of {split}", array)
        checked[name] = array.copy() if is_writable(array) else array
        checked[name].setflags(write=False)
    return checked


def total_bytes(arrays: dict[str, np.ndarray]) -> int:
    """The size of the arrays of a split, in memory or on a disk."""
    return sum(array.nbytes for array in arrays.values())


def is_stored(arrays: dict[str, np.ndarray]) -> bool:
    """Whether a split is better left where it is: it is large, or made of records."""
    is_large = total_bytes(arrays) > LARGE
    return is_large or any(isinstance(array, Column) for array in arrays.values())


def check_values(name: str, array: np.ndarray, rows: np.ndarray | None = None) -> None:
    """ValueError if an array has values that are not finite. rows: the numbers of its examples."""
    if array.dtype.kind != "f":
        return
    step = max(1, PART // max(1, array[:1].size))  # examples at a time: memory stays small
    bad = [f for f in range(0, len(array), step) if not np.isfinite(array[f : f + step]).all()]
    if bad:
        where = np.argwhere(~np.isfinite(array[bad[0] : bad[0] + step]))[0]
        count = sum(int((~np.isfinite(array[f : f + step])).sum()) for f in bad)
        row = bad[0] + int(where[0])
        first = ", ".join(map(str, [row if rows is None else int(rows[row]), *where[1:]]))
        raise ValueError(
            f"{name}: {count:,} of {array.size:,} values are not finite, the "
            f"first at [{first}]; drop or replace them in inputs"
        )


def description(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """What arrays look like, for JSON: {"examples": n, "arrays": {name: {"dtype", "shape"}}}.

    shape: without the first axis, that of the examples. Of records in blocks, "block" as well.
    """
    about = {n: {"dtype": a.dtype.name, "shape": list(a.shape[1:])} for n, a in arrays.items()}
    block = max(getattr(array, "block", 1) for array in arrays.values())
    blocks = {"block": block} if block > 1 else {}
    return {"examples": len(next(iter(arrays.values()))), "arrays": about} | blocks


def without_examples(about: dict[str, Any]) -> dict[str, np.ndarray]:
    """Arrays that look like what was described, and hold no example: {name: array [0, ...]}."""
    return {n: np.empty([0, *a["shape"]], a["dtype"]) for n, a in about["arrays"].items()}


def fed(placeholders: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[Any, np.ndarray]:
    """What to feed for {name: array [examples, ...]}: {placeholder: array}.

    ValueError if a name, a dtype or a shape is not the placeholder's. TensorFlow itself would cast:
    of an image with values from 0 to 1 it would make bytes of zero. Floats may be rounded.
    """
    feed = {}
    for name, array in arrays.items():
        if name not in placeholders:
            raise ValueError(f"there is no input {name}; the inputs are {', '.join(placeholders)}")
        placeholder, array = placeholders[name], np.asanyarray(array)
        wanted, shape = placeholder.dtype.as_numpy_dtype, placeholder.shape[1:].as_list()
        alike = array.dtype == wanted or array.dtype.kind == np.dtype(wanted).kind == "f"
        if not alike or array.ndim == 0 or list(array.shape[1:]) != shape:
            expected = f"{placeholder.dtype.name} {['n', *shape]}".replace("'", "")
            found = f"{array.dtype} {list(array.shape)}"
            raise ValueError(f"the input {name} must be {expected}, not {found}")
        feed[placeholder] = array
    sizes = {name: len(array) for name, array in arrays.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"the inputs must be equally long: {sizes}")
    return feed


def as_wanted(placeholder: Any, array: np.ndarray) -> np.ndarray:
    """Integers as another dtype that holds the same numbers; any other array as it is."""
    array = np.asanyarray(array)
    if array.dtype.kind not in "iu":
        return array
    exact = array.astype(placeholder.dtype.as_numpy_dtype)
    return exact if np.array_equal(exact, array) else array


def check_finite(placeholders: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """ValueError names an array with a value that is not finite in its placeholder's dtype."""
    for name, array in arrays.items():
        dtype = placeholders[name].dtype.as_numpy_dtype
        with np.errstate(over="ignore"):
            if not np.isfinite(np.asarray(array, dtype)).all():
                raise ValueError(f"the input {name} must be finite in {dtype.__name__}")


def is_writable(array):
    """Whether an array's memory can be written, through it or through what it is a view of."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return True
        array = array.base
    return False


def random_stream(seed: int, purpose: str, number: int = 0) -> np.random.Generator:
    """NumPy generator for one purpose, on the counter-based Philox (Salmon et al., SC 2011)."""
    key = [seed, zlib.crc32(purpose.encode()) << 32 | number]
    return np.random.Generator(np.random.Philox(key=np.array(key, np.uint64)))


@functools.lru_cache(maxsize=2)
def epoch_order(seed: int, epoch: int, examples: int) -> np.ndarray:
    """The order of the examples in one epoch: a permutation, int32 or int64 [examples]."""
    order = random_stream(seed, "epoch", epoch).permutation(examples)
    return order.astype(np.int32 if examples < 2**31 else np.int64)


@functools.lru_cache(maxsize=2)
def block_order(seed: int, epoch: int, examples: int, block: int) -> tuple[np.ndarray, np.ndarray]:
    """The order of the blocks in one epoch, and where each window begins: two int64 arrays.

    A window is WINDOW blocks, whose examples are mixed; its places in the epoch are
    begins[w], ..., begins[w + 1] - 1.
    """
    blocks = random_stream(seed, "blocks", epoch).permutation(-(-examples // block))
    sizes = np.minimum(block, examples - blocks * block)  # the last block may be short
    return blocks, np.append(0, np.cumsum(np.add.reduceat(sizes, range(0, len(sizes), WINDOW))))


@functools.lru_cache(maxsize=4)
def window_order(seed: int, epoch: int, examples: int, block: int, window: int) -> np.ndarray:
    """The order of the examples in one window of an epoch: int64 [examples of the window]."""
    blocks, _ = block_order(seed, epoch, examples, block)
    rows = blocks[window * WINDOW :][:WINDOW, np.newaxis] * block + np.arange(block)
    return random_stream(seed, f"window {window}", epoch).permutation(rows[rows < examples])


def places_in_epoch(seed, epoch, first, last, examples, block):
    """The examples at the places first, ..., last - 1 of an epoch."""
    if block == 1:
        return epoch_order(seed, epoch, examples)[first:last]
    _, begins = block_order(seed, epoch, examples, block)
    windows = range(*(np.searchsorted(begins, [first, last - 1], side="right") - [1, 0]))
    orders = [window_order(seed, epoch, examples, block, window) for window in windows]
    return np.concatenate(orders)[first - begins[windows[0]] :][: last - first]


def model_rows(model, step: int, count: int) -> np.ndarray:
    """The rows of a model's training arrays that make the batches of some steps: see batch_rows."""
    seed, size = model.config["random_seed"], model.config["batch_size"]
    return batch_rows(seed, step, count, model.examples, size, model.described.get("block", 1))


def batch_rows(
    seed: int, step: int, count: int, examples: int, batch_size: int, block: int = 1
) -> np.ndarray:
    """The rows of the training arrays that make the batches of steps step, ..., step + count - 1.

    The remainder of examples / batch_size is left out of an epoch, another one in each. block:
    that of records. Returns int32 [count, batch_size]; int64 if there are more examples.
    """
    steps_per_epoch = examples // batch_size
    rows = np.empty([count, batch_size], np.int32 if examples < 2**31 else np.int64)
    done = 0
    while done < count:
        epoch, first = divmod(step + done, steps_per_epoch)
        taken = min(steps_per_epoch - first, count - done)
        places = (first * batch_size, (first + taken) * batch_size)
        rows[done : done + taken].flat = places_in_epoch(seed, epoch, *places, examples, block)
        done += taken
    return rows
