"""Defects that a campaign of kills must find; tests/kills.py puts them in."""

import functools

from training import batches

DEFECTS = ("state", "order")


def carried_order(seed, epoch, examples, random_state=[]):  # noqa: B006 - carried on purpose
    """An order from a generator that continues where it stood, which no checkpoint holds."""
    random_state or random_state.append(batches.random_stream(seed, "carried"))
    return random_state[0].permutation(examples).astype("int32")


def order_from_start(rows, begun=[]):  # noqa: B006
    """Batches counted from the start of the process: a resumed run repeats the first ones."""

    def batch_rows(seed, step, *rest):
        begun or begun.append(step)
        return rows(seed, step - begun[0], *rest)

    return batch_rows


def spoil(how):
    """Add a defect that a campaign must find."""
    if how == "state":
        batches.epoch_order = functools.lru_cache(maxsize=2)(carried_order)
    if how == "order":
        batches.batch_rows = order_from_start(batches.batch_rows)
