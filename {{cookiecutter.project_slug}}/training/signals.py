"""Ctrl-C and SIGTERM end a run cleanly, after saving; a second one ends it at once."""

import signal
import threading


class StopSignals:
    """`with StopSignals() as stop`: stop.received is None, or the number of the signal."""

    current = None  # that whose block is being run

    def __init__(self):
        self.received = None
        self.previous = {}

    def __enter__(self):
        StopSignals.current = self
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) != signal.SIG_IGN:  # as nohup asks for
                    self.previous[number] = signal.signal(number, self.handle)
        return self

    def handle(self, number, frame):
        self.received = number
        self.restore()  # from here on a signal does what it always does

    def restore(self):
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def __exit__(self, *error):
        StopSignals.current = None
        self.restore()


def pass_on(number: int) -> None:
    """Do what a signal to another worker asks for: it is no second one if this got it, too."""
    if stop := StopSignals.current:
        stop.received = stop.received or number
    else:
        signal.raise_signal(number)
