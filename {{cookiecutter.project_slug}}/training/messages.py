"""Messages: loggers that write to the console and to train.log, and short texts.

Every file of the project has its own logger, `log = logging.getLogger(__name__)`. Their
messages go to standard output; a run writes the same lines to its train.log.
"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = ("data", "hpsearch", "models", "training")


class Handler(logging.Handler):
    """Passes each message to a function, as one text."""

    def __init__(self, write, level=logging.INFO):
        super().__init__(level)
        self.write = write

    def emit(self, record):
        self.write(self.format(record))


# print looks up sys.stdout at each call: notebooks and tests replace it.
console = Handler(lambda text: print(text, flush=True))
for package in PACKAGES:
    logging.getLogger(package).setLevel(logging.DEBUG)
    logging.getLogger(package).addHandler(console)
    logging.getLogger(package).propagate = False  # else twice, if the root logger has a handler


@contextlib.contextmanager
def written_to(path: Path) -> Iterator[None]:
    """Within it, messages are added to a file as well; a full disk does not stop the run."""

    def write(text):
        with contextlib.suppress(OSError), open(path, "a", encoding="utf-8") as file:
            file.write(text + "\n")

    handler = Handler(write, logging.DEBUG)
    for package in PACKAGES:
        logging.getLogger(package).addHandler(handler)
    try:
        yield
    finally:
        for package in PACKAGES:
            logging.getLogger(package).removeHandler(handler)


def one_line(error: BaseException) -> str:
    """What an exception says, in one line; TensorFlow puts pages about its graph before it."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" :\t")]
    said = [after for line, after in zip(lines, lines[1:], strict=False) if line[:6] == "Node: "]
    said += [line for line in lines if not line.startswith("Graph execution error")]
    return said[0] if said else type(error).__name__


def format_value(value: Any) -> str:
    """A float with six significant digits, as many as float32 holds; anything else as text."""
    if isinstance(value, np.ndarray) and value.ndim:
        return np.array2string(value, precision=6)
    return f"{value:.6g}" if isinstance(value, (float, np.floating)) else str(value)


def format_values(values: dict[str, Any]) -> str:
    """Named values as text: "loss = 0.0816, accuracy = 0.982"."""
    return ", ".join(f"{name} = {format_value(value)}" for name, value in values.items())
