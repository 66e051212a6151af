"""What a person sees while a run trains: one progress bar on a terminal, elsewhere lines."""

import sys
import time


class Progress:
    """`with Progress(step, last_step, batch_size) as progress`; it shows progress.loss.

    On a terminal: a bar with loss, examples per second and time left. Elsewhere a line like
    `Step 1200: loss = 0.08 (0.41 sec)`, where the seconds are those since the line before.
    """

    def __init__(self, step, last_step, batch_size):
        self.step, self.last_step, self.batch_size = step, last_step, batch_size
        self.time = time.perf_counter()
        self.loss = None
        self.bar = None
        if sys.stdout is not None and sys.stdout.isatty():
            from rich import progress  # here: a run without a terminal needs none of it

            self.bar = progress.Progress(
                progress.TextColumn("Step {task.completed:,}/{task.total:,}"),
                progress.BarColumn(),
                progress.TextColumn("loss {task.fields[loss]}  {task.fields[speed]} examples/s"),
                progress.TimeRemainingColumn(),
            )
            self.task = self.bar.add_task("", completed=step, total=last_step, loss="-", speed="-")

    def __enter__(self):
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *error):
        if self.bar:
            self.bar.stop()

    def advance(self, step):
        """Move the bar."""
        if self.bar:
            self.bar.update(self.task, completed=step, loss=f"{self.loss:.4g}")

    def report(self, step):
        """Show the loss at a step. Returns the examples per second since the last report."""
        now = time.perf_counter()
        seconds = now - self.time
        speed = (step - self.step) * self.batch_size / seconds
        if self.bar:
            self.bar.update(self.task, speed=f"{speed:,.0f}")
        else:
            print(f"Step {step}: loss = {self.loss:.4g} ({seconds:.2f} sec)", flush=True)
        self.step, self.time = step, now
        return speed
