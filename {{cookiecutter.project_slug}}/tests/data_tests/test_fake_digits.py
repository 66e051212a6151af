"""Made-up digits are the same every time, balanced, and can be learnt but not for nothing."""

import numpy as np
import pytest

from data.fake_digits import fake_digits


def test_fake_digits_are_the_same_every_time_and_differ_between_splits():
    sets = {split: fake_digits(split) for split in ("train", "valid", "test")}
    for split, count in (("train", 5_000), ("valid", 1_000), ("test", 1_000)):
        images, labels = sets[split]["images"], sets[split]["labels"]
        assert (images.shape, images.dtype) == ((count, 28, 28), np.uint8)
        assert (labels.shape, labels.dtype) == ((count,), np.uint8)
        np.testing.assert_array_equal(images, fake_digits(split)["images"])
        np.testing.assert_array_equal(labels, fake_digits(split)["labels"])
    everything = np.concatenate([arrays["images"] for arrays in sets.values()])
    assert len({image.tobytes() for image in everything}) == 7_000


@pytest.mark.parametrize("examples", [1, 999, 1_001])
def test_fewer_fake_digits_are_the_first_of_more(examples):
    few, many = fake_digits("train", examples), fake_digits("train", 3_000)
    np.testing.assert_array_equal(few["images"], many["images"][:examples])
    np.testing.assert_array_equal(few["labels"], many["labels"][:examples])


def test_fake_digits_are_balanced_and_shuffled():
    labels = fake_digits("train")["labels"]
    assert np.bincount(labels).tolist() == [500] * 10
    assert 350 < np.count_nonzero(labels[1:] == labels[:-1]) < 650


def test_fake_digits_can_be_learnt():
    train, test = fake_digits("train"), fake_digits("test")
    pixels = train["images"].reshape(-1, 784).astype(np.float32)
    means = np.stack([pixels[train["labels"] == digit].mean(0) for digit in range(10)])

    def accuracy(labels):
        images = test["images"].reshape(-1, 1, 784).astype(np.float32)
        nearest = np.square(images - means).sum(-1).argmin(1)
        return np.mean(nearest == labels)

    assert 0.6 < accuracy(test["labels"]) < 0.9  # a network must do better than this
    assert accuracy(np.roll(test["labels"], 1)) < 0.2  # the control: chance is 0.1


def test_fake_digits_cannot_be_written():
    for array in fake_digits("valid", 10).values():
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_an_unknown_split_of_fake_digits_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'validation'.*train, valid, test"):
        fake_digits("validation")


@pytest.mark.parametrize("examples", [0, -1])
def test_no_fake_digits_at_all_is_an_error(examples):
    with pytest.raises(ValueError, match="1 or more"):
        fake_digits("train", examples)
