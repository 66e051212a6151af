"""Waiting for the disk while the machine trains."""

from concurrent.futures import ThreadPoolExecutor


class Background:
    """One thread that does one thing at a time: `with Background() as background`.

    What it raises is raised again by the next `start` or `wait`, at the latest at the block's end.
    """

    def __enter__(self):
        self.executor = ThreadPoolExecutor(max_workers=1)
        self.task = None
        return self

    def __exit__(self, kind, error, traceback):
        self.executor.shutdown()
        if kind is None:
            self.wait()

    def start(self, function, *arguments):
        """Call a function in the background, once the one before has ended."""
        self.wait()
        self.task = self.executor.submit(function, *arguments)

    def wait(self):
        """Wait until nothing is under way."""
        task, self.task = self.task, None
        if task is not None:
            task.result()
