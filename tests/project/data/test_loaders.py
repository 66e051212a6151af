"""What load_mnist returns, and what it says if the files are not those that were downloaded."""

import gzip
import os

import numpy as np
import pytest

from data import loaders
from data.download import download
from data.loaders import load_mnist


def test_the_first_load_downloads(mirror, folder, assert_complete, monkeypatch):
    monkeypatch.setattr(loaders, "FOLDER", folder)
    monkeypatch.setenv("MNIST_MIRROR", str(mirror))
    assert load_mnist("valid")["images"].shape == (10, 28, 28)
    assert_complete(folder)


def test_arrays_are_memory_maps_that_cannot_be_written(mirror, folder):
    download(mirror, folder)
    for array in load_mnist("train", folder).values():
        assert isinstance(array, np.memmap) and array.dtype == np.uint8
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_an_unknown_split_is_refused_with_the_known_ones(folder):
    with pytest.raises(ValueError, match="'validation'.*train, valid and test"):
        load_mnist("validation", folder)
    assert os.listdir(folder.parent) == []


def change_one_bit(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "too long": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "without its header": lambda path: path.write_bytes(path.read_bytes()[128:]),
    "changed in its first bit": lambda path: change_one_bit(path, 128),
    "changed in its last bit": lambda path: change_one_bit(path, -1),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("name", ["images", "labels"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_array_is_named_with_what_to_do(mirror, folder, name, damage, monkeypatch):
    download(mirror, folder)
    path = folder / "train" / f"{name}.npy"
    DAMAGES[damage](path)
    with pytest.raises(ValueError) as caught:
        load_mnist("train", folder)
    message = str(caught.value)
    assert message.startswith(f"{path} is missing or damaged") and "\n" not in message
    assert f"Delete the folder {folder}: it is downloaded again" in message
    monkeypatch.setattr(loaders, "FOLDER", folder)
    with pytest.raises(ValueError, match=r"Run 'python data/download\.py --repair'"):
        load_mnist("train")
    assert len(load_mnist("valid", folder)["labels"]) == 10  # control: undamaged, it loads


def test_no_header_changes_what_is_loaded(mirror, folder):
    download(mirror, folder)
    path = folder / "test" / "labels.npy"
    labels = np.load(path)
    for header in (bytes(128), b"\xff" * 128, b"\x93NUMPY\x01\x00\xff\xff{'shape': (1e99,)}" * 5):
        path.write_bytes(header[:128].ljust(128) + labels.tobytes())
        np.testing.assert_array_equal(load_mnist("test", folder)["labels"], labels)
    change_one_bit(path, 128)
    with pytest.raises(ValueError):  # control: behind the header, every bit counts
        load_mnist("test", folder)


def test_the_real_mnist_has_three_splits(real_mirror, folder):
    download(real_mirror, folder)
    splits = {split: load_mnist(split, folder) for split in ("train", "valid", "test")}
    assert [len(arrays["labels"]) for arrays in splits.values()] == [55_000, 5_000, 10_000]
    assert splits["train"]["labels"][:5].tolist() == [5, 0, 4, 1, 9]
    counts = np.bincount(splits["test"]["labels"])
    assert counts.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    content = gzip.decompress((real_mirror / "train-images-idx3-ubyte.gz").read_bytes())
    images = np.frombuffer(content, np.uint8, offset=16).reshape(60_000, 28, 28)
    np.testing.assert_array_equal(splits["train"]["images"], images[:55_000])
    np.testing.assert_array_equal(splits["valid"]["images"], images[55_000:])
    del splits  # Windows writes to no file that is mapped
    change_one_bit(folder / "train" / "images.npy", 20_000_000)
    with pytest.raises(ValueError, match="SHA-256"):  # control
        load_mnist("train", folder)
