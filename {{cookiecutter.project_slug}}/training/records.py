"""Training data that stays where it is: examples that are read by number, when they are needed.

An array of `inputs` may be a memory map, such as np.load(path, mmap_mode="r"), which needs nothing
of this file. Examples in anything else are records, which look like arrays:

    records(count, read)              a function that reads the examples of some numbers
    shards(folders)                   arrays in several files, one after the other
    tfrecords(paths, parse)           TFRecord files
"""

import contextlib
import struct
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]  # {name: array [examples, ...]}
HEADER, FOOTER = 12, 4  # bytes around each record of a TFRecord file: length and checksums


class Column:
    """One input of records: column[rows] and column[first:last] are read, the rest stays.

    shape, dtype and nbytes are those of the whole. block: how many neighbours lie together.
    """

    def __init__(self, name: str, read: Callable, count: int, first: np.ndarray, block: int):
        self.name, self.read, self.block = name, read, block
        self.shape, self.dtype = (count, *first.shape[1:]), first.dtype
        self.ndim, self.nbytes = first.ndim, first.nbytes * count

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        return self.read(np.asarray(rows, np.int64))[self.name]


def records(count: int, read: Callable[[np.ndarray], Arrays], block: int = 1) -> dict[str, Column]:
    """What `inputs` may return: {name: Column} of examples that a function reads.

    read: returns the examples of some numbers from 0 to count - 1, int64 [n], as {name: array
    [n, ...]}, always the same ones; several threads call it at a time. block: with more than 1, an
    epoch takes its examples from 64 blocks of so many neighbours at a time, as a disk wants it.
    """
    last = threading.local()  # the columns of the same examples are read once

    def read_once(rows):
        if getattr(last, "rows", None) is None or not np.array_equal(last.rows, rows):
            last.arrays, last.rows = read(rows), rows.copy()
        return last.arrays

    if count < 1:
        raise ValueError("records: there is no example")
    first = read(np.zeros(1, np.int64))
    return {name: Column(name, read_once, count, a, block) for name, a in first.items()}


def shards(folders: Sequence[str | Path], names: Sequence[str], block: int = 1) -> dict:
    """Records in folders, each with a file NAME.npy for each name, one folder after the other."""
    maps = [{n: np.load(Path(f, f"{n}.npy"), mmap_mode="r") for n in names} for f in folders]
    ends = np.cumsum([len(arrays[names[0]]) for arrays in maps])

    def read(rows):
        found = {n: np.empty([len(rows), *a.shape[1:]], a.dtype) for n, a in maps[0].items()}
        shard_of = np.searchsorted(ends, rows, side="right")
        for number in np.unique(shard_of):
            here, arrays = np.flatnonzero(shard_of == number), maps[number]
            within = rows[here] - (ends[number] - len(arrays[names[0]]))
            for name in names:
                found[name][here] = arrays[name][within]
        return found

    return records(int(ends[-1]), read, block)


def tfrecords(
    paths: Sequence[str | Path], parse: Callable[[bytes], Arrays], block: int = 1
) -> dict:
    """Records in TFRecord files without compression; parse: makes an example of a record's bytes.

    The places of the records are found once, and kept beside each file, in PATH.index.npy.
    """
    indices = [index(Path(path)) for path in paths]
    ends = np.cumsum([len(places) for places in indices])

    def read_one(row):
        number = int(np.searchsorted(ends, row, side="right"))
        start, length = indices[number][row - ends[number]].tolist()  # from its end
        with open(paths[number], "rb") as file:
            file.seek(start)
            return parse(file.read(length))

    def read(rows):
        examples = [read_one(row) for row in rows]
        return {name: np.stack([example[name] for example in examples]) for name in examples[0]}

    return records(int(ends[-1]), read, block)


def index(path: Path) -> np.ndarray:
    """Where the records of a TFRecord file are: int64 [records, 2], first byte and length."""
    kept = path.with_name(f"{path.name}.index.npy")
    if kept.exists() and kept.stat().st_mtime_ns > path.stat().st_mtime_ns:
        return np.load(kept)
    places, start, size = [], 0, path.stat().st_size
    with open(path, "rb") as file:
        while start < size:
            file.seek(start)
            header = file.read(HEADER)
            length = struct.unpack("<Q", header[:8])[0] if len(header) == HEADER else size
            places.append((start + HEADER, length))
            start += HEADER + length + FOOTER
    if start > size or not places:
        raise ValueError(f"{path} is no TFRecord file, cut off or compressed")
    with contextlib.suppress(OSError):  # a folder that cannot be written
        temporary = kept.with_name(f"{path.name}.index.tmp.npy")
        np.save(temporary, np.array(places, np.int64))
        temporary.replace(kept)
    return np.array(places, np.int64)
