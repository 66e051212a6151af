"""Download MNIST, check it and store it as arrays that can be memory-mapped.

    python data/download.py
    python data/download.py --mirror=URL     # a web folder with the four files
    python data/download.py --mirror=FOLDER  # or a folder on this machine
    python data/download.py --repair         # in place of a damaged data/mnist

If data/mnist exists, it is checked and nothing is downloaded, unless --repair finds it damaged.
"""

import argparse
import errno
import hashlib
import logging
import os
import signal
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pooch
import requests
from rich.console import Console
from rich.progress import track

FOLDER = Path(__file__).resolve().parent / "mnist"
MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist",
    "https://ossci-datasets.s3.amazonaws.com/mnist",
)
# SHA-256 of the decompressed files. Compressed files differ between mirrors.
FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MAX_BYTES = 50_000_000  # of a file, compressed or not. The longest one has 47,040,016.
SPLITS = {
    "train": ("train", 0, 55_000),
    "valid": ("train", 55_000, 60_000),
    "test": ("t10k", 0, 10_000),
}

log = logging.getLogger("data")
pooch.get_logger().setLevel("ERROR")  # it would report every try


def download(
    mirror: str | Path | None = None, folder: str | Path = FOLDER, repair: bool = False
) -> None:
    """Write {train,valid,test}/{images,labels}.npy into a new folder: all six files or nothing.

    `mirror` is a URL or a folder with the four files of MNIST, with or without .gz; by default the
    variable MNIST_MIRROR, or else the public mirrors. If `folder` exists, nothing happens; with
    `repair`, a damaged one is replaced, once all files are there.
    ValueError if no mirror has all files undamaged, OSError if the folder cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and not (repair and is_damaged(folder)):
        return
    mirror = mirror or os.environ.get("MNIST_MIRROR")
    try:
        # Beside the new folder, because a rename must stay on one disk.
        with tempfile.TemporaryDirectory(prefix=f"{folder.name}-", dir=folder.parent) as temporary:
            contents = fetch_files([mirror] if mirror else MIRRORS, temporary)
            complete = Path(temporary, "complete")  # others may read it, unlike `temporary` itself
            write_splits(contents, complete)
            if repair and is_damaged(folder):  # still: another process may have been faster
                folder.rename(Path(temporary, "damaged"))
            try:
                complete.rename(folder)
            except OSError:
                if not folder.exists():  # otherwise another process was faster
                    raise
    except OSError as error:
        raise OSError(
            f"{folder} cannot be written ({error}). {folder.parent} must be a writable folder with"
            " 150 MB of free space."
        ) from error


def is_damaged(folder):
    """Whether a folder exists and does not hold all six undamaged files."""
    from data.loaders import load_mnist

    try:
        for split in SPLITS if folder.exists() else []:
            load_mnist(split, folder)
    except ValueError:
        return True
    return False


def fetch_files(mirrors, temporary):
    """{name: content in bytes} of the four files, from the first mirror that has them all."""
    failures = []
    for mirror in mirrors:
        log.info("Downloading MNIST from %s", mirror)
        try:
            return {name: fetch_file(mirror, name, temporary) for name in FILES}
        except ValueError as error:
            failures.append(str(error))
    raise ValueError(
        f"MNIST could not be downloaded: {'; '.join(failures)}. Check the network, name another"
        " mirror with 'python data/download.py --mirror=URL|FOLDER' or the variable MNIST_MIRROR,"
        " or train on made-up digits with --fake_data."
    )


def fetch_file(mirror, name, temporary):
    """The decompressed content of one file in bytes. ValueError if it is missing or damaged."""
    mirror = os.path.expanduser(mirror).rstrip("/")
    for file in (f"{name}.gz", name):
        is_web = mirror.startswith(("http://", "https://"))
        source = path = f"{mirror}/{file}" if is_web else os.path.join(mirror, file)
        try:
            if is_web:
                folder = tempfile.mkdtemp(dir=temporary)  # empty: pooch keeps files it finds
                files = pooch.Pooch(folder, f"{mirror}/", {file: None}, retry_if_failed=2)
                path = files.fetch(file, downloader=transfer)
            with open(path, "rb") as stream:
                content = stream.read(MAX_BYTES)
            if content.startswith(b"\x1f\x8b"):  # by content: servers may decompress .gz files
                content = zlib.decompressobj(wbits=31).decompress(content, MAX_BYTES)
        except FileNotFoundError:
            continue
        except requests.ConnectionError as error:  # its text is long and full of Python objects
            raise ValueError(f"{source} cannot be reached ({type(error).__name__})") from error
        except (OSError, zlib.error) as error:
            if getattr(error, "errno", None) == errno.ENOSPC:
                raise  # no mirror can help
            raise ValueError(f"{source} cannot be read ({error})") from error
        if hashlib.sha256(content).hexdigest() != FILES[name]:
            raise ValueError(f"{source} is damaged or is not MNIST's file: its SHA-256 is wrong")
        return content
    raise ValueError(f"{mirror} has neither {name}.gz nor {name}")


def transfer(url, path, _):
    """Save a web file, with a progress bar if stderr is a terminal.

    pooch tries again after requests' errors. FileNotFoundError if the server does not have the
    file, OSError if it is too long: another try would not help.
    """
    console = Console(stderr=True, quiet=not sys.stderr.isatty())
    with requests.get(url, stream=True, timeout=(10, 30)) as response, open(path, "wb") as file:
        if response.status_code in (403, 404):
            raise FileNotFoundError(url)
        response.raise_for_status()
        pieces = response.iter_content(65_536)
        total = int(response.headers.get("Content-Length", 0)) / 65_536 or None
        for piece in track(pieces, url.split("/")[-1], total, console=console, transient=True):
            file.write(piece)
            if file.tell() > MAX_BYTES:
                raise OSError(f"it has more than {MAX_BYTES:,} bytes")


def write_splits(contents, folder):
    """Write {name: content in bytes} of the four files as arrays of the three splits."""
    for split, (source, start, end) in SPLITS.items():
        images = np.frombuffer(contents[f"{source}-images-idx3-ubyte"], np.uint8, offset=16)
        labels = np.frombuffer(contents[f"{source}-labels-idx1-ubyte"], np.uint8, offset=8)
        Path(folder, split).mkdir(parents=True)
        np.save(Path(folder, split, "images.npy"), images.reshape(-1, 28, 28)[start:end])
        np.save(Path(folder, split, "labels.npy"), labels[start:end])


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    from data.loaders import load_mnist

    parser = argparse.ArgumentParser(description="Download MNIST to data/mnist.")
    where = "where the four files are (default: the variable MNIST_MIRROR, or public mirrors)"
    parser.add_argument("--mirror", metavar="URL|FOLDER", help=where)
    repair = "if data/mnist is damaged, remove it and download again"
    parser.add_argument("--repair", action="store_true", help=repair)
    given = parser.parse_args(arguments)
    mirror = given.mirror
    if mirror == "":  # most likely an unset variable of the shell
        parser.error("--mirror is empty: give a URL or a folder")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        download(mirror, FOLDER, given.repair)
        for split in SPLITS:
            load_mnist(split, FOLDER)
    except (OSError, ValueError) as error:
        log.error("error: %s", error)
        return 1
    except KeyboardInterrupt:
        log.error("Interrupted. Run the command again to download MNIST.")
        return 130
    print(f"MNIST is complete in {FOLDER}.")
    return 0


if __name__ == "__main__":
    sys.path[0] = str(FOLDER.parent.parent)  # was the folder `data`, which has no module `data`
    # SIGTERM becomes an exception, so that the temporary folder is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
