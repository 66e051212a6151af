"""What a person sees while a run trains: a bar on a terminal or in a notebook, lines elsewhere."""

import html
import logging
import sys
import time

from training.messages import console

log = logging.getLogger(__name__)
NOTABLE = 0.05  # of the time: less waiting for data is not shown
REDRAWN = 0.2  # seconds between two pictures of a notebook's bar


class TerminalBar:
    """A bar with loss, examples per second and time left."""

    def __init__(self, step, last_step):
        from rich import progress  # not needed without a terminal

        self.bar = progress.Progress(
            progress.TextColumn("Step {task.completed:,}/{task.total:,}"),
            progress.BarColumn(),
            progress.TextColumn("loss {task.fields[loss]}  {task.fields[speed]}"),
            progress.TimeRemainingColumn(),
        )
        self.task = self.bar.add_task("", completed=step, total=last_step, loss="-", speed="-")
        self.bar.start()
        self.close = self.bar.stop

    def show(self, step, loss, speed):
        self.bar.update(self.task, completed=step, loss=loss, speed=speed)


class NotebookBar:
    """The same below a cell of Jupyter, VS Code or Colab: HTML that is replaced."""

    def __init__(self, step, last_step):
        from IPython.display import HTML, display  # a notebook has it

        self.html, self.last_step, self.drawn = HTML, last_step, 0.0
        self.text = self.picture(step, "-", "-")
        self.display = display(HTML(self.text), display_id=True)

    def picture(self, step, loss, speed):
        """The bar at a step, as HTML."""
        said = f"Step {step:,}/{self.last_step:,}  loss {loss}  {speed}"
        bar = f'<progress value="{step}" max="{self.last_step}" style="width: 20em"></progress>'
        return f"<div>{bar} {html.escape(said)}</div>"

    def show(self, step, loss, speed):
        self.text = self.picture(step, loss, speed)
        if time.perf_counter() - self.drawn >= REDRAWN:
            self.draw()

    def draw(self):
        self.display.update(self.html(self.text))
        self.drawn = time.perf_counter()

    close = draw  # the last state stays in the notebook


def in_notebook() -> bool:
    """Whether this is a kernel of Jupyter or the like, which shows HTML."""
    ipython = sys.modules.get("IPython")
    return getattr(ipython and ipython.get_ipython(), "kernel", None) is not None


class Progress:
    """`with Progress(step, last_step, batch_size) as progress`.

    Without a terminal or a notebook, and in train.log, there are lines like
    `Step 1200: loss = 0.08 (0.41 sec)`, with the seconds since the line before.
    """

    def __init__(self, step, last_step, batch_size):
        self.step, self.last_step, self.batch_size = step, last_step, batch_size
        self.time = self.shown = time.perf_counter()  # of the last report, of the last line
        self.waited = None
        self.bar = None

    def __enter__(self):
        if console.level <= logging.INFO and sys.stdout is not None:
            if in_notebook():
                self.bar = NotebookBar(self.step, self.last_step)
            elif sys.stdout.isatty():
                self.bar = TerminalBar(self.step, self.last_step)
        return self

    def __exit__(self, *error):
        if self.bar:
            self.bar.close()

    def report(
        self, step: int, loss: float, due: dict[int, float], waited: float | None = None
    ) -> dict[str, float]:
        """Show the loss at a step, and those of {step: loss} that are due since the last report.

        waited: the seconds for which training has waited for data up to now, if it is streamed.
        Returns examples_per_second since the last report; with `waited`, input_wait too, the part
        of the time since then that was waiting.
        """
        now = time.perf_counter()
        seconds_per_step = (now - self.time) / max(1, step - self.step)
        rates = {"examples_per_second": round(self.batch_size / seconds_per_step)}
        speed, waiting = f"{rates['examples_per_second']:,} examples/s", ""
        if waited is not None:
            share = (waited - (self.waited or 0.0)) / (now - self.time)
            rates["input_wait"] = round(min(1.0, share), 4)
            waiting = f", {share:.0%} of it waiting for data" if share >= NOTABLE else ""
        if self.bar:
            self.bar.show(step, f"{loss:.4g}", speed + waiting)
        for at, loss in due.items():
            moment = self.time + (at - self.step) * seconds_per_step
            line = f"Step {at}: loss = {loss:.4g} ({moment - self.shown:.2f} sec{waiting})"
            log.log(logging.DEBUG if self.bar else logging.INFO, line)  # DEBUG: to train.log only
            self.shown = moment
        self.step, self.time, self.waited = step, now, waited
        return rates
