"""What is done in the background is done in order, and its errors are not lost."""

import threading

import pytest

from training.background import Background


def fail():
    raise OSError("disk full")


def test_one_thing_follows_the_other_while_the_caller_goes_on():
    done, gate = [], threading.Event()
    with Background() as background:
        background.start(gate.wait)
        assert not background.task.done()
        gate.set()
        background.start(done.append, "first")
        background.start(done.append, "second")
        background.wait()
        assert done == ["first", "second"]


def test_an_error_is_raised_by_the_next_call_or_at_the_end():
    with Background() as background:
        background.start(fail)
        with pytest.raises(OSError, match="disk full"):
            background.start(print)
    with pytest.raises(OSError, match="disk full"), Background() as background:
        background.start(fail)


def test_an_error_of_the_block_itself_comes_first():
    with pytest.raises(ValueError, match="own"), Background() as background:
        background.start(fail)
        raise ValueError("own")
