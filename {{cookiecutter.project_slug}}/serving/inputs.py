"""What --input means: examples of any model, from text, files, pictures or standard input.

2,-1.5        numbers
x.csv         a line for each example, with or without a header
x.json        a list of examples, of objects {input: value}, or an object {input: [values]}
x.npy         an array [n, ...], or one example
x.png, x.jpg  a picture
folder        all pictures in it
-             any of them, from standard input
""            the first examples of valid
"""

import csv
import io
import sys
from typing import NamedTuple

import numpy as np

from serving.pictures import PICTURES, read_pictures
from serving.tables import READERS, Wanted, numbers_in, of_rows
from settings import ConfigError
from training.files import expanded

KINDS = ("number list", ".npy", ".csv", ".json", ".png", ".jpg", "folder of pictures")
FEW = 10  # examples, when no --input is given
MAGIC = {
    b"\x93NUMPY": ".npy",
    b"\x89PNG": ".png",
    b"\xff\xd8": ".jpg",
    b"[": ".json",
    b"{": ".json",
}


class Inputs(NamedTuple):
    """arrays: {name: array [examples, ...]}; names: of the examples' files, or []; notes: what was
    done to them, in words.
    """

    arrays: dict[str, np.ndarray]
    names: list[str]
    notes: list[str]


def needed(model) -> dict[str, Wanted]:
    """The inputs that a model's predictions follow from: {name: Wanted}."""
    return {
        name: Wanted(np.dtype(tensor.dtype.as_numpy_dtype), tuple(tensor.shape[1:].as_list()))
        for name, tensor in model.batch.items()
        if name in model.needed
    }


def read_inputs(model, text: str) -> Inputs:
    """The examples that --input names; ConfigError says what is wrong with them, and where."""
    if not text:
        try:
            valid = model.load("valid")
        except (OSError, ValueError) as error:
            raise ValueError(f"without --input, examples of valid are needed: {error}") from None
        return Inputs({name: array[:FEW] for name, array in valid.items()}, [], [])
    try:
        return read(model, text)
    except OSError as error:
        raise ConfigError(f"--input={text}: {error.strerror or error}") from None
    except (ValueError, RuntimeError, csv.Error) as error:
        raise ConfigError(f"--input={text}: {error}") from None


def read(model, text):
    """The same, with errors that do not name the flag."""
    wanted = needed(model)
    if not wanted:
        raise ValueError("the model's predictions follow from no input")
    if (numbers := numbers_in(text)) is not None:
        return Inputs(of_rows(numbers, wanted, "the number list"), [], [])
    path = expanded(text)
    if text == "-":
        content = sys.stdin.buffer.read() if sys.stdin else b""
        start = content[:100].lstrip(b"\xef\xbb\xbf \t\r\n")
        kind = next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), ".csv")
    elif path.is_dir() or path.suffix.lower() in PICTURES:
        return Inputs(*read_pictures(model, wanted, path))
    elif not path.exists():
        raise ValueError(f"there is no such file; give a {', '.join(KINDS)}, or - for stdin")
    elif path.suffix.lower() in READERS:
        content, kind = path.read_bytes(), path.suffix.lower()
    else:
        raise ValueError(f"a file must be one of {', '.join([*READERS, *PICTURES])}")
    if kind in PICTURES:
        return Inputs(*read_pictures(model, wanted, io.BytesIO(content)))
    arrays, notes = READERS[kind](content, wanted)
    return Inputs(arrays, [], notes)
