"""From a mirror of MNIST, on the web or in a folder, to checked arrays.

What a mirror sends is trusted in nothing: transfer and decompression stop at the length of the
good file, the IDX header must fit to the byte, and SHA-256 decides. `data/download.py` is the
command.
"""

import gzip
import hashlib
import math
import sys
import zlib
from pathlib import Path

import numpy as np

MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)

# The four files: bytes and SHA-256 of the decompressed content. Mirrors compress differently,
# so nothing is asked of the .gz files themselves.
FILES = {
    "train-images-idx3-ubyte": (
        47_040_016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte": (
        60_008,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k-images-idx3-ubyte": (
        7_840_016,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "t10k-labels-idx1-ubyte": (
        10_008,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}

RETRIES = 2  # after 1 and 2 seconds
TIMEOUT = (10, 30)  # seconds to connect, and between two pieces of an answer
HEADROOM = 65_536  # bytes that a .gz may be longer than its content, which noise would need
ABSENT = (403, 404, 410)  # HTTP statuses that another try does not change


def fetch(mirrors, temporary):
    """The four files from URLs and folders, tried in turn: {name: uint8 array, read-only}.

    What one mirror gave is not asked of the next. What is transferred lies in the folder
    `temporary`, which the caller removes. ConnectionError if no mirror answers, ValueError if files
    are missing or damaged: with what went wrong at every mirror and what to do.
    """
    arrays, failures = {}, []
    with progress_bar() as bar:
        for mirror in mirrors:
            try:
                for name in FILES:
                    if name not in arrays:
                        arrays[name] = fetch_file(mirror, name, temporary, bar)
                return arrays
            except (ConnectionError, FileNotFoundError, ValueError) as error:
                failures.append(error)
    offline = all(isinstance(error, ConnectionError) for error in failures)
    raise (ConnectionError if offline else ValueError)(
        f"MNIST could not be fetched ({'; '.join(map(str, failures))})."
        f" {'Check the network, or give' if offline else 'Give'} another mirror with"
        " 'python data/download.py --mirror=URL|FOLDER' or the variable MNIST_MIRROR, or train on"
        " made-up digits with --fake_data."
    )


def progress_bar():
    """A bar with one task, on stderr; disabled where that is no terminal."""
    from rich.console import Console  # here and in transfer: whoever has the data needs none of it
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    terminal = sys.stderr is not None and sys.stderr.isatty()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, quiet=not terminal),
        transient=True,
        disable=not terminal,
    )
    bar.add_task("MNIST", total=None)
    return bar


def fetch_file(mirror, name, temporary, bar):
    """The checked array of one file of one mirror, which may hold it with or without .gz."""
    bar.reset(bar.task_ids[0], description=name)
    absent = []
    for file in (f"{name}.gz", name):
        try:
            if "://" in mirror:
                source = f"{mirror.rstrip('/')}/{file}"
                path = transfer(mirror, file, FILES[name][0] + HEADROOM, temporary, bar)
            else:
                source = path = Path(mirror, file).expanduser()
            array = read_file(path, *FILES[name])
        except FileNotFoundError as error:
            absent.append(f"{source}: {error.strerror or error}")
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from error
        else:
            if bar.disable:
                print(f"Fetched {source}", file=sys.stderr)
            return array
    raise FileNotFoundError(absent[0])


def transfer(mirror, file, limit, temporary, bar):
    """Fetch one file of a web mirror into the temporary folder, with retries; returns its path.

    FileNotFoundError if the mirror has no such file, ValueError if more than `limit` bytes come,
    ConnectionError for the rest.
    """
    import pooch
    import requests

    def transfer_once(url, path, _):
        with open(path, "wb") as output:
            progress = LimitedProgress(bar, output, limit)
            try:
                pooch.HTTPDownloader(progress, 65_536, timeout=TIMEOUT)(url, output, None)
            except requests.HTTPError as error:
                error.response.close()  # pooch leaves the connection open
                if error.response.status_code in ABSENT:
                    raise FileNotFoundError(f"HTTP status {error.response.status_code}") from error
                raise

    pooch.get_logger().setLevel("ERROR")  # it prints each URL twice; errors are raised anyway
    files = pooch.create(temporary, mirror, registry={file: None}, retry_if_failed=RETRIES)
    try:
        return files.fetch(file, downloader=transfer_once)
    except requests.RequestException as error:
        reason = type(error).__name__  # such as SSLError or ReadTimeout: says what to look at
        if error.response is not None:
            reason = f"HTTP status {error.response.status_code}"
        elif type(error) is requests.ConnectionError:
            reason = "no connection"
        raise ConnectionError(f"{mirror.rstrip('/')}/{file}: {reason}") from error
    except OverflowError as error:
        raise ValueError(str(error)) from error


class LimitedProgress:
    """What pooch calls during a transfer: moves our bar, and stops what is longer than allowed."""

    def __init__(self, bar, output, limit):
        self.bar, self.output, self.limit = bar, output, limit
        self.total = 0  # set by pooch from the server's answer

    def update(self, _):
        # Where the file stands, not what pooch says: it counts every piece as a full one.
        received = self.output.tell()
        if received > self.limit:
            # Not a ValueError, on which pooch would ask for the same again.
            raise OverflowError(f"too long, stopped after {received:,} bytes")
        self.bar.update(self.bar.task_ids[0], total=self.total or None, completed=received)

    def reset(self):
        pass

    def close(self):
        pass


def read_file(path, length, digest):
    """The array in a file, compressed or not; ValueError if not of this length and SHA-256."""
    try:
        with open(path, "rb") as file:
            # By content, not name: a server may decompress on the way.
            compressed = file.peek(2)[:2] == b"\x1f\x8b"
            stream = gzip.GzipFile(fileobj=file) if compressed else file
            # One byte more shows that it is too long, however much more there is.
            content = stream.read(length + 1)
    except FileNotFoundError:
        raise
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"damaged, {getattr(error, 'strerror', None) or error}") from error
    if len(content) > length:
        raise ValueError(f"too long, its content has more than {length:,} bytes")
    array = parse_idx(content)
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError("altered, its content has another SHA-256 than MNIST's")
    return array


def parse_idx(content):
    """The array in the bytes of an IDX file (format: http://yann.lecun.com/exdb/mnist).

    uint8 [n, rows, columns] or [n], read-only: it shares the memory of the bytes. ValueError if
    the header is not one of images or labels, or promises another size.
    """
    dimensions = {b"\x00\x00\x08\x03": 3, b"\x00\x00\x08\x01": 1}.get(content[:4])
    if dimensions is None:
        raise ValueError(f"not an IDX file of images or labels, it begins with {content[:4]!r}")
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise ValueError(f"truncated, it ends inside the header, after {len(content)} bytes")
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4)]
    promised = start + math.prod(shape)  # Python's integers: a hostile header cannot overflow them
    if len(content) != promised:
        kind = "truncated" if len(content) < promised else "too long"
        raise ValueError(
            f"{kind}, its header {shape} promises {promised:,} bytes and there are {len(content):,}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
