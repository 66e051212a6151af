"""Examples from numbers, .csv, .json and .npy, as arrays of the inputs that a model needs."""

import csv
import io
import json
from typing import Any, NamedTuple

import numpy as np


class Wanted(NamedTuple):
    """An input that the predictions need; shape: of one example."""

    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Numbers in one example."""
        return int(np.prod(self.shape))

    def __str__(self):
        return f"{self.dtype.name} {['n', *self.shape]}".replace("'", "")


def numbers_in(text: str) -> list[float] | None:
    """The numbers of a list such as "2,-1.5"; None for other text."""
    try:
        return [float(cell) for cell in text.split(",")]
    except ValueError:
        return None


def of_rows(numbers: list[float], wanted: dict[str, Wanted], where: str) -> dict[str, np.ndarray]:
    """Numbers, example after example, as arrays; in an example, input after input."""
    width = sum(about.size for about in wanted.values())
    if not numbers or len(numbers) % width:
        raise ValueError(
            f"an example has {width} numbers, {where} has {len(numbers)}: {in_words(wanted)}"
        )
    table, arrays, first = np.array(numbers).reshape(-1, width), {}, 0
    for name, about in wanted.items():
        cells = table[:, first : first + about.size]
        arrays[name] = converted(name, cells.reshape(-1, *about.shape), about)
        first += about.size
    return arrays


def in_words(wanted: dict[str, Wanted]) -> str:
    """Inputs as text: "x float32 [n]"."""
    return ", ".join(f"{name} {about}" for name, about in wanted.items())


def converted(name: str, values: Any, about: Wanted) -> np.ndarray:
    """Values as an array [examples, ...] of an input; one example without its axis becomes one.

    ValueError for another shape, for a value that is no number, and for one that an integer dtype
    cannot hold.
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            raise ValueError
    except ValueError:
        raise ValueError(f"{name} must hold numbers, in examples of one shape: {about}") from None
    if array.shape == about.shape:
        array = array[np.newaxis]
    if array.shape[1:] != about.shape:
        raise ValueError(f"{name} must be {about}, not {array.dtype.name} {list(array.shape)}")
    if not len(array):
        raise ValueError("there are no examples")
    with np.errstate(all="ignore"):
        exact = array.astype(about.dtype)
    wrong = ~np.isfinite(exact) if about.dtype.kind == "f" else exact != array
    if wrong.any():
        first = np.argwhere(wrong)[0]
        what = "finite" if about.dtype.kind == "f" else about.dtype.name
        raise ValueError(f"{name} of example {first[0]} holds {array[tuple(first)]}, which is not "
                         f"{what}; it must be {about}")  # fmt: skip
    return exact


def read_npy(content, wanted):
    """An array of the only input. Its dtype must be of the input's kind: an image with values from
    0 to 1 would become a black one.
    """
    name, about = only(wanted, "a .npy file")
    try:
        array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # a damaged header raises nearly anything
        raise ValueError(f"it cannot be read as .npy: {error}") from None
    kinds = {"f": "fiu", "i": "iu", "u": "iu"}.get(about.dtype.kind, about.dtype.kind)
    if array.dtype.kind not in kinds:
        raise ValueError(f"{name} must be {about}, not {array.dtype.name} {list(array.shape)}")
    return {name: converted(name, array, about)}, []


def read_csv(content, wanted):
    """A table, a line for each example; a header may give its columns in another order."""
    rows = [row for row in csv.reader(io.StringIO(text_of(content), newline=None)) if row]
    if not rows:
        raise ValueError("it is empty")
    columns, notes, first = list(range(len(rows[0]))), [], 1
    if not any(numbers_in(cell) for cell in rows[0]):
        columns, notes = columns_of([cell.strip() for cell in rows[0]], wanted)
        first = 2
    numbers = []
    for line, row in enumerate(rows[first - 1 :], start=first):
        if len(row) != len(rows[0]):
            raise ValueError(f"line {line} has {len(row)} cells, line 1 has {len(rows[0])}")
        for column in columns:
            try:
                numbers.append(float(row[column]))
            except ValueError:
                raise ValueError(
                    f"line {line}, column {column + 1} {what_is_wrong(row[column])}"
                ) from None
    width = sum(about.size for about in wanted.values())
    if not numbers:
        raise ValueError("it has no examples")
    if len(columns) != width:
        raise ValueError(f"it has {len(columns)} columns; an example has {width}: "
                         f"{in_words(wanted)}")  # fmt: skip
    return of_rows(numbers, wanted, "it"), notes


def what_is_wrong(cell):
    """Why a cell is no number, in words."""
    if not cell.strip():
        return "is empty"
    return f"holds {cell!r}, not a number" + ("; commas separate cells" if ";" in cell else "")


def text_of(content):
    """The text in a file; ValueError if it is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8") from None


def columns_of(header, wanted):
    """Which columns a header gives the inputs' numbers in, in our order; and what to say of it."""
    names = []
    for name, about in wanted.items():
        names += [name] if about.shape == () else [f"{name}_{i}" for i in range(about.size)]
    there, names = [cell.casefold() for cell in header], [name.casefold() for name in names]
    for name in names:
        if there.count(name) > 1:
            raise ValueError(f"its header has {name} more than once")
    if set(names) <= set(there):
        rest = [cell for cell in header if cell.casefold() not in names]
        notes = [f"columns without use: {few(rest)}"] if rest else []
        return [there.index(name) for name in names], notes
    if len(there) == len(names) and not set(names) & set(there):
        return list(range(len(names))), [f"line 1 holds names, taken in this order: {few(header)}"]
    missing = next(name for name in names if name not in there)
    raise ValueError(f"its header has no column {missing}; it needs {few(names)}")


def few(names):
    """The first names, and how many there are."""
    more = f" and {len(names) - 3:,} more" if len(names) > 4 else ""
    return ", ".join(names[:3] if more else names) + more


def read_json(content, wanted):
    """Examples of the only input, objects with all inputs, or one object of lists."""
    try:
        values = json.loads(text_of(content))
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    if isinstance(values, list) and values and all(isinstance(v, dict) for v in values):
        check_names(values, wanted)
        values = {name: [example[name] for example in values] for name in wanted}
    if not isinstance(values, dict):
        name, _ = only(wanted, "a list of examples")
        values = {name: values}
    check_names([values], wanted)
    arrays = {name: converted(name, values[name], about) for name, about in wanted.items()}
    sizes = {name: len(array) for name, array in arrays.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"the inputs must be equally long: {sizes}")
    return arrays, []


def check_names(examples, wanted):
    """ValueError if an object lacks an input."""
    for number, example in enumerate(examples):
        for name in wanted:
            if name not in example:
                raise ValueError(f"example {number} has no {name}; it needs {in_words(wanted)}")


def only(wanted, what):
    """The only input, (name, Wanted); ValueError if there are more."""
    if len(wanted) > 1:
        raise ValueError(f"{what} is for models with one input; this one has {in_words(wanted)}: "
                         "give them as .csv or .json")  # fmt: skip
    return next(iter(wanted.items()))


READERS = {".npy": read_npy, ".csv": read_csv, ".json": read_json}
