"""MNIST as memory-mapped arrays: `from data.loaders import load_mnist`."""

import hashlib
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent / "mnist"
DIGESTS = {  # SHA-256 of the arrays
    "train/images": "14c087820ce35955fe2c466e485cdadf68c2a19e93c80e5329ad2dece2681f03",
    "train/labels": "480f85fa3c4455a4cd1819493bed72a8c8092e1b83e53c36af2584b498812d7c",
    "valid/images": "d28c706f7fb47d09d4d6e834642057f870543e0e217e373a5401ffbb9b596dc7",
    "valid/labels": "ab3dba9059d2a4990e0fbbeb12680a356beeb98f0e3b583ffddf41576e8d5818",
    "test/images": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "test/labels": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}


def load_mnist(split: str, folder: str | Path | None = None) -> dict[str, np.ndarray]:
    """One split of MNIST (LeCun, Cortes and Burges): `train`, `valid` or `test`.

    {"images": uint8 [n, 28, 28], 0 for background, "labels": uint8 [n]}, with n = 55,000, 5,000 or
    10,000: read-only memory maps. The folder, by default data/mnist, is downloaded if it does not
    exist. ValueError if there is no such split, a file is missing or damaged, or no mirror has
    MNIST; OSError if the folder cannot be written.
    """
    if split not in ("train", "valid", "test"):
        raise ValueError(f"there is no split {split!r}; the splits are train, valid and test.")
    folder = Path(folder or FOLDER)
    if not folder.exists():
        from data.download import download  # slow to import, rarely needed

        download(folder=folder)
    arrays = {}
    for name in ("images", "labels"):
        path = folder / split / f"{name}.npy"
        try:
            # Skips the header, 128 bytes: the digest tells whether these are the expected arrays.
            array = np.memmap(path, np.uint8, mode="r", offset=128)
            if hashlib.sha256(array).hexdigest() != DIGESTS[f"{split}/{name}"]:
                raise ValueError("its SHA-256 is wrong")
        except (OSError, ValueError) as error:
            own = "Run 'python data/download.py --repair'."
            other = f"Delete the folder {folder}: it is downloaded again."
            remedy = own if folder == FOLDER else other
            raise ValueError(f"{path} is missing or damaged ({error}). {remedy}") from error
        arrays[name] = array.reshape(-1, 28, 28) if name == "images" else array
    return arrays
