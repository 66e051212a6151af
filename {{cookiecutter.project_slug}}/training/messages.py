"""Messages: loggers that write to the console and to train.log, and short texts.

Every file of the project has its own logger, `log = logging.getLogger(__name__)`. Their
messages go to standard output; a run writes the same lines to its train.log.
"""

import contextlib
import errno
import io
import logging
import os
import re
import shlex
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from setting import as_text
from training.files import PROJECT

log = logging.getLogger(__name__)
PACKAGES = ("data", "hpsearch", "models", "training")
ON_WINDOWS = os.name == "nt"
# Lines of TensorFlow's errors that say where, and not what.
ABOUT_THE_GRAPH = re.compile(r'From /job:|Graph execution error|Detected at node|\d+ root error|'
                             r'File ".*", line \d+, in ')  # fmt: skip


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


class Pipe(io.FileIO):
    """Standard output or error. What nobody reads is dropped; a full disk is an error, once."""

    failed = False

    def write(self, data):
        try:
            return super().write(data)
        except OSError as error:
            if not (self.failed or is_unread(error)):
                self.failed = True  # Python writes again when it ends
                raise
            return len(data)


def is_unread(error: OSError) -> bool:
    """Whether the reader of a pipe has gone, which Windows calls an invalid argument."""
    return isinstance(error, BrokenPipeError) or (ON_WINDOWS and error.errno == errno.EINVAL)


def prepare_streams() -> None:
    """Let no long run fail with its screen: `python main.py | head -1` trains to its end.

    A letter that the screen's encoding does not have is written as its number.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it is closed
            continue
        stream.reconfigure(errors="backslashreplace")
        if not stream.isatty():
            raw = io.BufferedWriter(Pipe(stream.fileno(), "w", closefd=False))
            how = {n: getattr(stream, n) for n in ("encoding", "errors", "line_buffering")}
            setattr(sys, name, io.TextIOWrapper(raw, write_through=stream.write_through, **how))


def quoted(*words: str | Path) -> str:
    """Words as one types them into this system's shell: a POSIX one, or cmd of Windows."""
    words = [str(word) for word in words]
    if not ON_WINDOWS:
        return shlex.join(words)
    lines = [subprocess.list2cmdline([word]) for word in words]
    for i, line in enumerate(lines):
        if line[0] != '"' and set("&|<>^()") & set(line):  # signs of cmd itself
            last = len(line) - len(line.rstrip("\\"))  # backslashes before a quote count double
            lines[i] = f'"{line}{last * chr(92)}"'
    return " ".join(lines)


def main_command() -> str:
    """How to call main.py from the current folder, for lines to paste."""
    try:
        path = os.path.relpath(PROJECT / "main.py")
    except ValueError:  # on another drive of Windows
        path = str(PROJECT / "main.py")
    return f"python {quoted(path)}"


def as_flags(settings: dict[str, Any]) -> str:
    """Settings as one types them: "--model_name=MNIST --best --jit=off"."""
    given = {name: value for name, value in settings.items() if value is not False}
    return quoted(*(f"--{n}" if v is True else f"--{n}={as_text(v)}" for n, v in given.items()))


def one_line(error: BaseException | str) -> str:
    """What an exception says, in one line; TensorFlow puts pages about its graph before it."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" :\t")]
    lines = [line for line in lines if not ABOUT_THE_GRAPH.match(line)]
    said = [after for line, after in zip(lines, lines[1:], strict=False) if line[:6] == "Node: "]
    said = [line.removeprefix("(0) ") for line in [*said, *lines] if line[:6] != "Node: "]
    return said[0] if said else type(error).__name__


def fail(error: BaseException | str, status: int, debug: bool = False) -> int:
    """Print one line about what went wrong, and with --debug the traceback. Returns the status."""
    if debug:
        traceback.print_exc()
    print(f"error: {one_line(error)}", file=sys.stderr)
    return status


@contextlib.contextmanager
def not_fatal(what: str, debug: bool = False) -> Iterator[None]:
    """Within it, an error is only said: what was trained is saved. A full disk still is an error.

    debug: whether to show the traceback, too.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # a model's own code may raise anything
        log.warning(f"{what} failed: {type(error).__name__}: {one_line(error)}", exc_info=debug)


def format_value(value: Any, digits: int = 6) -> str:
    """A float with six significant digits, as many as float32 holds; anything else as text.

    A list is 128,32.
    """
    if isinstance(value, np.ndarray) and value.ndim:
        return " ".join(np.array2string(value, precision=digits, max_line_width=10**9).split())
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, list):
        return ",".join(format_value(element, digits) for element in value)
    return f"{value:.{digits}g}" if isinstance(value, (float, np.floating)) else str(value)


def format_values(values: dict[str, Any], digits: int = 6) -> str:
    """Named values as text: "loss = 0.0816, accuracy = 0.982"."""
    return ", ".join(f"{name} = {format_value(value, digits)}" for name, value in values.items())


def duration(seconds: float) -> str:
    """Seconds as 0:00:12."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
