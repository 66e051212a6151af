"""How the training data reaches the steps: --data.

device   the arrays are copied to the device once, and steps name their rows
stream   the arrays stay where they are; the batches of the next steps are read by threads while
         those of the steps before are trained on

Both give the same batches to the same steps, and the same bits.
"""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from training.batches import check_values, is_stored, model_rows, total_bytes

BLOCK_BYTES = 2**25  # 32 MB of batches are read at a time
READERS = 4  # threads, of which a disk serves several as fast as one
ALIGNMENT = 64  # bytes: TensorFlow copies a fed array that begins anywhere else


class Held(NamedTuple):
    """Examples in a variable. TensorFlow keeps variables of int32 in the memory of the processor,
    where XLA does not find them for a GPU: their bits are held as uint32.
    """

    variable: "tf.Variable"
    dtype: "tf.DType"  # of the examples

    def rows(self, numbers: "tf.Tensor") -> "tf.Tensor":
        found = tf.gather(self.variable, numbers)
        return found if found.dtype == self.dtype else tf.bitcast(found, self.dtype)


def held_as(dtype: np.dtype) -> np.dtype:
    return np.dtype(np.uint32) if dtype == np.int32 else dtype


def as_held(array: np.ndarray) -> np.ndarray:
    """An array as it is fed: its own memory, int32 read as uint32."""
    return np.asarray(array).view(np.uint32) if array.dtype == np.int32 else array


def on_device(arrays: dict[str, np.ndarray]) -> tuple[dict[str, Held], "tf.Operation", dict]:
    """Variables for examples that look like those of arrays, in any number, and what fills them.

    They are in no collection, hence in no checkpoint, and take no more bytes than the arrays:
    images stay bytes. Returns ({name: Held}, op, {name: placeholder, fed with `as_held`}).
    """
    variables, placeholders, assignments = {}, {}, []
    for name, array in arrays.items():
        shape, dtype = tf.TensorShape([None, *array.shape[1:]]), held_as(array.dtype)
        placeholders[name] = tf.compat.v1.placeholder(dtype, shape)
        variable = tf.compat.v1.Variable(
            tf.zeros([0, *array.shape[1:]], dtype),  # never run
            name=name, shape=shape, trainable=False, collections=[], use_resource=True,
        )  # fmt: skip
        variables[name] = Held(variable, tf.as_dtype(array.dtype))
        assignments.append(variable.assign(placeholders[name], read_value=False))
    return variables, tf.group(*assignments), placeholders


def aligned(shape: list[int], dtype: np.dtype) -> np.ndarray:
    """An array to be filled once, whose memory a variable on the CPU uses when it is fed."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    return memory[first : first + size].view(dtype).reshape(shape)


class Feed:
    """What brings the data to the variables that steps read: the whole arrays, or the next batches.

    waited: the seconds for which training has waited until the next batches were in the variables;
    None if all data is on the device.
    """

    def __init__(self, model, steps: int):
        """steps: how many the loop trains at a time, at most."""
        self.model, self.block, self.next = model, None, None
        self.arrays = model.load("train")
        self.size = model.config["batch_size"] // model.config["nb_workers"]
        streamed = model.config["data"] == "stream"
        self.waited = 0.0 if streamed else None
        bytes_per_step = total_bytes(self.arrays) / model.examples * self.size
        self.steps = max(1, min(steps, int(BLOCK_BYTES / bytes_per_step))) if streamed else None
        self.readers = ThreadPoolExecutor(READERS, "reader") if streamed else None
        self.variables, self.fill, self.placeholders = on_device(self.arrays)

    def share(self, step, count):
        """The rows of the training arrays in this worker's share of some batches."""
        first = self.model.place * self.size
        return model_rows(self.model, step, count)[:, first : first + self.size]

    def load(self, arrays: dict[str, np.ndarray]) -> None:
        """Copy arrays to the device."""
        fed = {self.placeholders[n]: as_held(array) for n, array in arrays.items()}
        self.model.session.run(self.fill, fed)

    def rows(self, step: int, count: int) -> np.ndarray:
        """The rows of the variables that make the batches of steps step, ..., step + count - 1.

        Integers [count, batch_size], or [fewer, batch_size] at the end of a block; on a worker of
        a cluster its share, [count, batch_size / nb_workers].
        """
        if self.steps is None:
            if self.block is None:
                self.load(self.arrays)
                self.block = 0
            return self.share(step, count)
        block, first = divmod(step, self.steps)
        if block != self.block:
            began = time.perf_counter()
            self.load(self.read(block))
            self.block, self.next = block, (block + 1, *self.begin(block + 1))
            self.waited += time.perf_counter() - began
        count = min(count, self.steps - first)
        return np.arange(first * self.size, (first + count) * self.size).reshape(count, self.size)

    def read(self, block: int) -> dict[str, np.ndarray]:
        """The batches of a block of steps."""
        if self.next is None or self.next[0] != block:
            self.next = block, *self.begin(block)
        _, arrays, parts = self.next
        for part in parts:
            part.result()
        return arrays

    def begin(self, block):
        """Begin to read a block: ({name: array to be filled}, what the threads do)."""
        rows = self.share(block * self.steps, self.steps).ravel()
        found = {n: aligned([len(rows), *a.shape[1:]], a.dtype) for n, a in self.arrays.items()}
        ends = np.linspace(0, len(rows), READERS + 1).astype(int)

        def fill(first, last):
            for name, array in self.arrays.items():
                part = rows[first:last]
                found[name][first:last] = array[part]
                if is_stored(self.arrays):  # else it is checked already
                    check_values(f"{name} of train", found[name][first:last], part)

        return found, [self.readers.submit(fill, *ends[i : i + 2]) for i in range(READERS)]

    def close(self) -> None:
        """Read nothing more."""
        if self.readers:
            self.readers.shutdown(wait=False, cancel_futures=True)
