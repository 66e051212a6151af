"""MNIST, mapped from disk; downloaded first where it is not there yet.

from data.loaders import load_mnist

load_mnist("train")["images"]   # uint8 [55000, 28, 28]
"""

from pathlib import Path

from data.download import FOLDER, SPLITS, download, open_split


def load_mnist(split, folder=None):
    """One split of MNIST (LeCun, Cortes and Burges): `train`, `valid` or `test`.

    {"images": uint8 [n, 28, 28], 0 for background, "labels": uint8 [n]}, with n = 55,000, 5,000 or
    10,000: read-only memory maps, whose SHA-256 was checked. No other split's files are touched.
    ValueError if there is no such split or its files are damaged; OSError if there is no such
    folder (by default data/mnist) and the data cannot be downloaded or written.
    """
    if split not in SPLITS:
        raise ValueError(f"there is no split {split!r}; the splits are {', '.join(SPLITS)}.")
    folder = Path(folder or FOLDER)
    if not folder.exists():
        download(folder=folder)
    return open_split(folder, split)
