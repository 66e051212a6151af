"""What a person sees while a run trains: a progress bar on a terminal, lines elsewhere."""

import logging
import sys
import time

from training.messages import console

log = logging.getLogger(__name__)


class Progress:
    """`with Progress(step, last_step, batch_size) as progress`.

    On a terminal: a bar with loss, examples per second and time left. Elsewhere, and in train.log,
    lines like `Step 1200: loss = 0.08 (0.41 sec)`, with the seconds since the line before.
    """

    def __init__(self, step, last_step, batch_size):
        self.step, self.batch_size = step, batch_size
        self.time = self.shown = time.perf_counter()  # of the last report, of the last line
        self.bar = None
        quiet = console.level > logging.INFO
        if not quiet and sys.stdout is not None and sys.stdout.isatty():
            from rich import progress  # not needed without a terminal

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

    def report(self, step: int, loss: float, due: dict[int, float]) -> float:
        """Show the loss at a step, and those of {step: loss} that are due since the last report.

        Returns the examples per second since then.
        """
        now = time.perf_counter()
        seconds_per_step = (now - self.time) / max(1, step - self.step)
        speed = self.batch_size / seconds_per_step
        if self.bar:
            fields = {"loss": f"{loss:.4g}", "speed": f"{speed:,.0f}"}
            self.bar.update(self.task, completed=step, **fields)
        for at, loss in due.items():
            moment = self.time + (at - self.step) * seconds_per_step
            line = f"Step {at}: loss = {loss:.4g} ({moment - self.shown:.2f} sec)"
            log.log(logging.DEBUG if self.bar else logging.INFO, line)  # DEBUG: to train.log only
            self.shown = moment
        self.step, self.time = step, now
        return speed
