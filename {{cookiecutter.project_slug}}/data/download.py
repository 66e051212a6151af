"""Fetch MNIST, check it, and lay it out for memory mapping.

    python data/download.py
    python data/download.py --mirror=URL      # a folder on the web that holds the four files
    python data/download.py --mirror=FOLDER   # or one on this machine, without a network

Writes data/mnist/{train,valid,test}/ with images.npy and labels.npy: 55,000, 5,000 (the last of
the training file) and 10,000 examples. What is there and right is not fetched again.
"""

import argparse
import hashlib
import os
import re
import signal
import sys
import tempfile
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
FOLDER = PROJECT / "data" / "mnist"

# Of each split: which rows of which files, and the SHA-256 of the bytes of images and labels.
SPLITS = {
    "train": (
        "train",
        slice(0, 55_000),
        "14c087820ce35955fe2c466e485cdadf68c2a19e93c80e5329ad2dece2681f03",
        "480f85fa3c4455a4cd1819493bed72a8c8092e1b83e53c36af2584b498812d7c",
    ),
    "valid": (
        "train",
        slice(55_000, 60_000),
        "d28c706f7fb47d09d4d6e834642057f870543e0e217e373a5401ffbb9b596dc7",
        "ab3dba9059d2a4990e0fbbeb12680a356beeb98f0e3b583ffddf41576e8d5818",
    ),
    "test": (
        "t10k",
        slice(0, 10_000),
        "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
        "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
    ),
}


def download(mirror=None, folder=FOLDER):
    """Put MNIST into the folder, all of it or nothing, unless it is there; returns the folder.

    `mirror` is a URL or a folder that holds the four files, as .gz or decompressed: by default the
    variable MNIST_MIRROR, and without it the public mirrors in turn. Only the last part of `folder`
    is created. ValueError if files of the mirror, or in the folder, are missing or damaged;
    ConnectionError if no mirror answers; OSError if the folder cannot be written.
    """
    from data import mirrors  # by now `python data/download.py` has set where to find it

    folder = Path(folder)
    if is_complete(folder):
        print(f"MNIST is complete in {folder}: nothing to fetch.", file=sys.stderr)
        return folder
    mirror = mirror or os.environ.get("MNIST_MIRROR")
    sources = [checked_mirror(mirror)] if mirror else mirrors.MIRRORS
    try:
        # A sibling, so that the rename stays on one disk; .gitignore knows names like it.
        with tempfile.TemporaryDirectory(
            prefix=f"{folder.name}-", dir=folder.parent, ignore_cleanup_errors=True
        ) as temporary:
            arrays = mirrors.fetch(sources, temporary)
            # A folder of its own: the temporary one lets nobody else in, and rights stay.
            ready = Path(temporary, "ready")
            write_splits(arrays, ready)
            publish(ready, folder)
    except OSError as error:
        if error.errno is None:  # one of ours, whose message is complete
            raise
        raise OSError(
            f"{folder} cannot be written: {error.strerror}. {folder.parent} must be a folder that"
            " can be written, with 150 MB free."
        ) from error
    return folder


def is_complete(folder):
    """Whether the folder is there; ValueError if it is and holds anything but MNIST."""
    if not os.path.lexists(folder):
        return False
    for split in SPLITS:
        open_split(folder, split)
    return True


def checked_mirror(mirror):
    """The mirror as text; ValueError if it is neither a URL nor a folder."""
    mirror = os.fspath(mirror)
    is_url = re.match("https?://", mirror, re.IGNORECASE)
    if not is_url and not Path(mirror).expanduser().is_dir():
        raise ValueError(f"the mirror {mirror!r} is neither an http(s) URL nor a folder.")
    return mirror


def write_splits(arrays, folder):
    """Write what the four files hold, {name: uint8 array}, as .npy files of the three splits."""
    for split, (source, rows, *_) in SPLITS.items():
        Path(folder, split).mkdir(parents=True)
        np.save(Path(folder, split, "images.npy"), arrays[f"{source}-images-idx3-ubyte"][rows])
        np.save(Path(folder, split, "labels.npy"), arrays[f"{source}-labels-idx1-ubyte"][rows])


def publish(ready, folder):
    """Give the folder its name, unless another process was first: its files are as good."""
    try:
        os.rename(ready, folder)
    except OSError:
        if not is_complete(folder):
            raise


def open_split(folder, split):
    """One split: {"images": uint8 [n, 28, 28], "labels": uint8 [n]}, read-only memory maps.

    ValueError that names the first file that is missing or not as it was downloaded.
    """
    _, rows, *digests = SPLITS[split]
    count = rows.stop - rows.start
    shapes = {"images": (count, 28, 28), "labels": (count,)}
    arrays = {}
    for (name, shape), digest in zip(shapes.items(), digests, strict=True):
        path = Path(folder, split, f"{name}.npy")
        try:
            # Not np.load: this one reads neither pickles nor archives, whatever the file says.
            array = np.lib.format.open_memmap(path, mode="r")
            if (array.dtype, array.shape) != (np.uint8, shape):
                raise ValueError(f"it holds {array.dtype} {list(array.shape)}")
            if hashlib.sha256(array).hexdigest() != digest:
                raise ValueError("its content was altered")
        except Exception as error:  # a hostile header makes NumPy raise nearly anything
            missing = isinstance(error, FileNotFoundError)
            raise ValueError(
                f"{path} is {'missing' if missing else f'damaged ({one_line(error)})'}."
                f" Delete the folder {folder} and run 'python data/download.py'."
            ) from error
        arrays[name] = array
    return arrays


def one_line(error):
    return " ".join(str(error).split()) or type(error).__name__


def main(arguments=None):
    """Run the command. Returns the exit status."""
    parser = argparse.ArgumentParser(
        allow_abbrev=False, description="Fetch MNIST, check it, and write it to data/mnist."
    )
    parser.add_argument(
        "--mirror",
        metavar="URL|FOLDER",
        help="where the four files are, with or without .gz (default: the environment variable"
        " MNIST_MIRROR, and without it the public mirrors)",
    )
    mirror = parser.parse_args(arguments).mirror
    if mirror == "":  # most likely an unset variable of the shell
        parser.error("--mirror is empty; it takes a URL or a folder")
    try:
        folder = download(mirror)
    except (OSError, ValueError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted: nothing was written.", file=sys.stderr)
        return 130
    counts = [f"{split} {rows.stop - rows.start:,}" for split, (_, rows, *_) in SPLITS.items()]
    print(f"MNIST is ready in {folder}: {', '.join(counts)}.")
    return 0


if __name__ == "__main__":
    # Python has put this file's own folder there, from which `import data` does not work.
    sys.path[0] = str(PROJECT)
    # Only an exception removes the temporary folder; SIGTERM alone would end without one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
