"""Fake digits are the same on every machine, balanced, and can be learnt but not at a glance."""

import hashlib

import numpy as np
import pytest

from data.fake_digits import fake_digits

# The first 16 digits of the SHA-256 of images and labels.
DIGESTS = {
    ("train", None): "8a4ba86eb23546b6 d43e3cc1e35d06d2",
    ("train", 1): "d9d27f731c93817a 2b4c342f5433ebe5",
    ("train", 1_001): "da04cab8262c03a3 80d5fd1b0a379bd8",
    ("train", 55_000): "eccb751ad6280c5d 0c74bd28511c1970",
    ("valid", None): "97ef710872ce6a49 62033618903cfe73",
    ("test", None): "1ed66da31de40831 8669b6c9c38cc8e8",
}


def digests(arrays):
    both = (arrays["images"], arrays["labels"])
    return " ".join(hashlib.sha256(array).hexdigest()[:16] for array in both)


@pytest.mark.parametrize("split, examples", DIGESTS)
def test_fake_digits_are_the_same_on_every_machine(split, examples):
    arrays = fake_digits(split, examples)
    examples_there = examples or {"train": 5_000, "valid": 1_000, "test": 1_000}[split]
    assert (arrays["images"].shape, arrays["images"].dtype) == ((examples_there, 28, 28), np.uint8)
    assert (arrays["labels"].shape, arrays["labels"].dtype) == ((examples_there,), np.uint8)
    assert digests(arrays) == DIGESTS[split, examples]
    arrays["images"] = arrays["images"].copy()
    arrays["images"][-1, 27, 27] ^= 1
    assert digests(arrays) != DIGESTS[split, examples]  # control: one bit of one pixel counts


def test_no_two_splits_share_an_example():
    images = np.concatenate([fake_digits(split)["images"] for split in ("train", "valid", "test")])
    assert len({image.tobytes() for image in images}) == 7_000
    images[0] = images[-1]
    assert len({image.tobytes() for image in images}) == 6_999  # control


def test_fewer_fake_digits_are_the_first_of_more():
    few, many = fake_digits("train", 1_001), fake_digits("train", 3_000)
    for name in ("images", "labels"):
        np.testing.assert_array_equal(few[name], many[name][:1_001])
        assert (few[name] != many[name][1:1_002]).any()  # control: the order counts


def test_fake_digits_are_balanced_and_can_be_learnt():
    train, test = fake_digits("train"), fake_digits("test")
    assert np.bincount(train["labels"]).tolist() == [500] * 10
    pixels = train["images"].reshape(-1, 784).astype(np.float32)
    means = np.stack([pixels[train["labels"] == digit].mean(0) for digit in range(10)])
    images = test["images"].reshape(-1, 1, 784).astype(np.float32)
    nearest = np.square(images - means).sum(-1).argmin(1)
    assert 0.6 < np.mean(nearest == test["labels"]) < 0.9  # a network must do better
    assert np.mean(nearest == np.roll(test["labels"], 1)) < 0.2  # control: chance is 0.1


def test_fake_digits_cannot_be_written():
    for array in fake_digits("valid", 10).values():
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize("split, examples", [("validation", None), ("train", 0), ("train", -1)])
def test_an_unknown_split_or_no_examples_at_all_are_refused(split, examples):
    with pytest.raises(ValueError, match="'validation'.*train, valid, test|1 or more"):
        fake_digits(split, examples)
