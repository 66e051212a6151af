"""Digests of weights: equal digests mean equal runs."""

import hashlib

import numpy as np


def weights_sha256(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 over named arrays, in order of name.

    Of each array: name in UTF-8, a zero byte, dtype name, a zero byte, shape as decimal numbers
    with commas, a zero byte, then the little-endian C-order bytes.
    """
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        array = np.asarray(array)
        shape = ",".join(map(str, array.shape))
        digest.update(b"\0".join(part.encode() for part in (name, array.dtype.name, shape, "")))
        digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()


def digests(arrays: dict[str, np.ndarray]) -> dict:
    """What a line of checkpoints.jsonl says of the weights."""
    variables = {name: weights_sha256({name: array})[:16] for name, array in arrays.items()}
    return {"weights_sha256": weights_sha256(arrays), "variables": variables}
