"""Predictions as text, JSON, CSV or a .npy file: a line, an object or a row for each example."""

import csv
import io
import json
import math
from pathlib import Path

import numpy as np

from settings import ConfigError
from training.files import expanded, write_bytes
from training.messages import format_values

SUFFIXES = {".txt": "text", ".json": "json", ".csv": "csv", ".npy": "npy"}


def check_format(format_name: str | None, output: str | None) -> str:
    """The format of the predictions: --format, or what the name of --output says, or text.

    ConfigError if there is none.
    """
    if format_name == "markdown":
        raise ConfigError("--format=markdown goes with --compare")
    if format_name == "npy" and not output:
        raise ConfigError("--format=npy needs --output=FILE: it is no text")
    if format_name or not output:
        return format_name or "text"
    suffix = Path(output).suffix.lower()
    if suffix not in SUFFIXES:
        names = ", ".join(SUFFIXES)
        raise ConfigError(f"--output={output}: end it in one of {names}, or give --format")
    return SUFFIXES[suffix]


def write_predictions(
    predictions: dict[str, np.ndarray], labels: dict[str, np.ndarray], format_name: str,
    output: str | None,
) -> None:  # fmt: skip
    """Print predictions, {name: array [examples, ...]}, or write them to a file.

    labels: what examples are known by, {name: array [examples]}, before the predictions.
    """
    labels = {f"given_{n}" if n in predictions else n: array for n, array in labels.items()}
    content = FORMATS[format_name](predictions, labels)
    if output:
        content = content if isinstance(content, bytes) else (content + "\n").encode()
        write_bytes(expanded(output), content)
    else:
        print(content)


def as_text(predictions, labels):
    """One line for each example: "x = 2: y = 6.03"."""
    count = len(next(iter(predictions.values())))
    lines = []
    for i in range(count):
        known = {name: array[i] for name, array in labels.items()}
        known = known.get("file") or format_values(known) or f"example {i}"
        answers = format_values({name: array[i] for name, array in predictions.items()})
        lines.append(" ".join(f"{known}: {answers}".split()))
    return "\n".join(lines)


def as_json(predictions, labels):
    """A list of objects. What is not finite becomes null, which JSON has."""
    columns = {name: plain(array.tolist(), array) for name, array in (labels | predictions).items()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return "[\n" + ",\n".join(json.dumps(row, allow_nan=False) for row in rows) + "\n]"


def as_csv(predictions, labels):
    """A header and a row for each example; a prediction of n numbers has n columns, from name_0."""
    columns = {}
    for name, array in (labels | predictions).items():
        flat = array.reshape(len(array), -1)
        names = [name] if array.ndim == 1 else [f"{name}_{i}" for i in range(flat.shape[1])]
        columns |= dict(zip(names, flat.T, strict=True))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    cells = [plain(column.tolist(), column) for column in columns.values()]
    writer.writerows(zip(*cells, strict=True))
    return text.getvalue().rstrip("\n")


def as_npy(predictions, labels):
    """A structured array [examples] with a field for each prediction, for np.load."""
    texts = {n: array.astype("S") for n, array in predictions.items() if array.dtype == object}
    predictions = predictions | texts
    fields = [(name, array.dtype, array.shape[1:]) for name, array in predictions.items()]
    table = np.empty(len(next(iter(predictions.values()))), fields)
    for name, array in predictions.items():
        table[name] = array
    file = io.BytesIO()
    np.save(file, table, allow_pickle=False)
    return file.getvalue()


def plain(value, array):
    """Nested lists of Python's numbers and texts; a float with the digits that its dtype holds."""
    if isinstance(value, list):
        return [plain(item, array) for item in value]
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float):
        return float(str(array.dtype.type(value))) if math.isfinite(value) else None
    return value


FORMATS = {"text": as_text, "json": as_json, "csv": as_csv, "npy": as_npy}
