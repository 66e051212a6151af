"""What load_mnist gives, and what it does when the files are not those that were downloaded."""

import gzip
import io
import os
import pickle
import shutil

import numpy as np
import pytest

from data.download import download
from data.loaders import SPLITS, load_mnist
from data.mirrors import parse_idx


def test_the_first_load_downloads(mirror, folder, assert_complete, monkeypatch):
    monkeypatch.setenv("MNIST_MIRROR", str(mirror))
    assert load_mnist("valid")["images"].shape == (10, 28, 28)
    assert_complete(folder)


def test_arrays_are_memory_mapped_and_read_only(mirror, folder):
    download(mirror, folder)
    for array in load_mnist("train", folder).values():
        assert isinstance(array, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_an_unknown_split_is_refused_with_the_known_ones(folder):
    with pytest.raises(ValueError, match="'validation'.*train, valid, test"):
        load_mnist("validation")
    assert not list(folder.parent.iterdir())


def alter_one_bit(path, position=-1):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def archive():
    file = io.BytesIO()
    np.savez(file, labels=np.zeros(3))
    return file.getvalue()


SPOILERS = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "without its header": lambda path: path.write_bytes(path.read_bytes()[128:]),
    "altered in one bit": alter_one_bit,
    "text": lambda path: path.write_text("not an array"),
    "of objects": lambda path: np.save(path, np.array([print], object), allow_pickle=True),
    "of another type": lambda path: np.save(path, np.load(path).astype(np.int8)),
    "of another shape": lambda path: np.save(path, np.load(path)[None]),
    "an archive": lambda path: path.write_bytes(archive()),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("name", ["images", "labels"])
@pytest.mark.parametrize("spoiler", SPOILERS)
def test_a_damaged_array_is_named_with_the_remedy(mirror, folder, name, spoiler):
    download(mirror, folder)
    path = folder / "train" / f"{name}.npy"
    SPOILERS[spoiler](path)
    with pytest.raises(ValueError) as caught:
        load_mnist("train", folder)
    message = str(caught.value)
    assert message.startswith(f"{path} is ") and "\n" not in message
    assert f"Delete the folder {folder} and run 'python data/download.py'" in message
    # The control, and the promise that a split touches no other's files.
    assert len(load_mnist("valid", folder)["labels"]) == 10


def test_no_code_in_a_file_is_run(mirror, folder, tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "hacked"),)

    download(mirror, folder)
    (folder / "test" / "labels.npy").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ValueError, match="labels.npy is damaged"):
        load_mnist("test", folder)
    assert not (tmp_path / "hacked").exists()
    pickle.loads(pickle.dumps(Hostile()))  # the control
    assert (tmp_path / "hacked").exists()


def test_no_bit_of_a_header_can_change_what_is_loaded(mirror, folder):
    download(mirror, folder)
    path = folder / "test" / "labels.npy"
    good, labels = path.read_bytes(), np.array(load_mnist("test", folder)["labels"])
    refused = 0
    for position in range(len(good) - len(labels)):
        for bit in (1, 16, 128):
            content = bytearray(good)
            content[position] ^= bit
            path.write_bytes(content)
            try:
                np.testing.assert_array_equal(load_mnist("test", folder)["labels"], labels)
            except ValueError:
                refused += 1
    assert refused > 200


def test_the_real_files_give_the_three_splits(real_folder):
    examples = {split: len(load_mnist(split, real_folder)["labels"]) for split in SPLITS}
    assert examples == {"train": 55_000, "valid": 5_000, "test": 10_000}
    assert load_mnist("train", real_folder)["labels"][:5].tolist() == [5, 0, 4, 1, 9]
    counts = np.bincount(load_mnist("test", real_folder)["labels"])
    assert counts.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_valid_is_the_end_of_the_real_training_file(real_folder, real_mirror):
    content = (real_mirror / "train-images-idx3-ubyte.gz").read_bytes()
    images = parse_idx(gzip.decompress(content))
    np.testing.assert_array_equal(load_mnist("valid", real_folder)["images"], images[55_000:])
    np.testing.assert_array_equal(load_mnist("train", real_folder)["images"], images[:55_000])


def test_one_bit_of_the_real_images_is_noticed(real_folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(real_folder, copy)
    alter_one_bit(copy / "train" / "images.npy", 20_000_000)
    with pytest.raises(ValueError, match="altered"):
        load_mnist("train", copy)
    load_mnist("train", real_folder)  # the control
