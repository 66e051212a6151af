"""Batches are a pure function of the seed and the step."""

import numpy as np
import pytest

from training.batches import batch_rows, checked_inputs, epoch_order


def test_an_epoch_holds_every_example_once():
    rows = batch_rows(seed=1, step=0, count=5, examples=50, batch_size=10)
    assert sorted(rows.ravel()) == list(range(50))


def test_every_epoch_has_an_order_of_its_own_and_every_seed_too():
    orders = [epoch_order(seed, epoch, 50).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert all(orders[i] != orders[j] for i in range(4) for j in range(i))


def test_steps_asked_for_together_or_one_by_one_have_the_same_rows():
    together = batch_rows(3, 5, 40, examples=100, batch_size=30)
    one_by_one = [batch_rows(3, 5 + i, 1, examples=100, batch_size=30)[0] for i in range(40)]
    assert np.array_equal(together, one_by_one)
    assert not np.array_equal(together, batch_rows(3, 6, 40, examples=100, batch_size=30))


def test_the_remainder_of_an_epoch_is_left_out_and_differs_each_time():
    left_out = [set(range(100)) - set(batch_rows(0, 3 * e, 3, 100, 30).ravel()) for e in (0, 1)]
    assert [len(rows) for rows in left_out] == [10, 10]
    assert left_out[0] != left_out[1]


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"x": np.zeros(3), "y": np.zeros(4)}, "equally long"),
        ({"x": np.zeros(0)}, "not empty"),
        ({"x": np.array([1.0, np.nan])}, "not finite"),
        ({"x": np.array(["a"])}, "not numbers"),
    ],
)
def test_arrays_that_cannot_be_trained_on_are_refused(arrays, message):
    with pytest.raises(ValueError, match=message):
        checked_inputs("train", arrays)


def test_arrays_that_nobody_can_write_are_not_copied():
    array = np.zeros(3)
    array.setflags(write=False)
    assert checked_inputs("train", {"x": array})["x"] is array
    assert checked_inputs("train", {"x": np.zeros(3)[:2]})["x"].flags.owndata
    view = np.zeros(3)[:2]
    view.setflags(write=False)  # its owner can still write what it is a view of
    assert checked_inputs("train", {"x": view})["x"].flags.owndata
