"""What people see of a search outside its terminal: status.json, search.png and report.html.

status.json holds the status, which is running, interrupted, complete or failed, mostly with the
reason; how many jobs have ended; and which process has the search.
"""

import contextlib
import logging
import math
import time

from hpsearch import confirmation
from hpsearch.display import Display, print_best
from hpsearch.importance import Importance, importance
from hpsearch.search import SearchFolder, Snapshot
from training.files import read_json, write_json
from training.messages import not_fatal, one_line
from training.status import Status

log = logging.getLogger(__name__)
EVERY = 30  # seconds between two pictures, or more: drawing takes a twentieth of the time at most


class Watch:
    """`with Watch(folder, model_class) as watch`: an error within it makes the status failed."""

    def __init__(self, folder: SearchFolder, model_class):
        self.folder, self.model_class = folder, model_class
        self.process = Status(folder.path).process
        self.due, self.changed, self.status = time.monotonic() + EVERY, False, None

    def __enter__(self):
        self.write_status("running")
        return self

    def __exit__(self, kind, error, traceback):
        if error is not None and self.status != "complete":
            again = kind is KeyboardInterrupt  # the second Ctrl-C
            about = ("interrupted", "SIGINT") if again else ("failed", one_line(error))
            with contextlib.suppress(OSError):  # the disk may be full
                self.write_status(*about)

    def write_status(self, status: str, reason: str | None = None) -> None:
        """Replace status.json."""
        self.status = status
        ended = len(self.folder.ledger.records)
        about = {"status": status, "reason": reason, "ended_jobs": ended}
        write_json(self.folder.path / "status.json", about | self.process)

    def show(self, snapshot: Snapshot, display: Display) -> None:
        """Draw the search as it is, now and then. An error is said, and ends the drawing."""
        self.changed = self.changed or bool(snapshot.ended)
        if not self.changed or time.monotonic() < self.due:
            return
        began, self.due, self.changed = time.monotonic(), math.inf, False
        jobs = sum(count for bracket in snapshot.brackets for count, _ in bracket.rungs)
        ended = sum(len(self.folder.ledger.scores(bracket)) for bracket in snapshot.brackets)
        done = f"{ended} of {jobs} jobs of this pass have ended, time left {display.time_left()}"
        best = best_so_far(self.folder)
        try:
            if best is None or self.draw(best, f"Running: {done}", self.importance(), EVERY):
                now = time.monotonic()
                self.due = now + max(EVERY, 20 * (now - began))
        except OSError as error:
            log.warning(f"drawing search.png and report.html failed: {one_line(error)}")

    def end(self, reason: str | None) -> None:
        """Print and draw what was found; reason: what stopped the search, if it is not complete."""
        self.write_status("interrupted" if reason else "complete", reason)
        best = best_so_far(self.folder) if reason else read_json(self.folder.path / "best.json")
        if best is None:
            return
        if reason:
            print(f"The best so far, of the trials at step {best['until']:,}:")
        print_best(self.folder, best, not reason)
        if found := self.importance():
            shares = ", ".join(f"{name} {share:.0%}" for name, share in found.shares.items())
            print(f"Importance: {shares} ({found.about()})")
        ended = f"{len(self.folder.ledger.records)} jobs have ended"
        if self.draw(best, f"Stopped by {reason}: {ended}" if reason else "", found):
            print(f"Report: {self.folder.path / 'report.html'}")

    def draw(self, best: dict, standing: str, found: Importance | None, refresh: int = 0) -> bool:
        """Write search.png and report.html. Returns whether that succeeded.

        best, standing: the content of best.json, or the best so far and how far the search is;
        refresh: seconds after which a browser reads the page again.
        """
        with not_fatal("drawing search.png and report.html"):
            from hpsearch import page, picture  # Matplotlib is slow to import

            picture.draw(self.folder, best, standing, found)
            page.write_search_page(self.folder, best, standing, found, refresh)
            return True
        return False

    def importance(self) -> Importance | None:
        """The importance of the hyper-parameters, if there are enough trials."""
        with not_fatal("the importance of hyper-parameters"):
            return importance(self.model_class, self.folder.settings, self.folder.ledger)
        return None


def best_so_far(folder: SearchFolder) -> dict | None:
    """The best of the trials that were trained furthest, like the content of best.json."""
    for until in sorted({until for _, until, _ in folder.ledger.records}, reverse=True):
        if ranked := folder.ledger.ranked(until):
            found = confirmation.over_seeds(ranked[0], ranked[:1])
            return found | {"confirmed": [], "settings": folder.settings}
    return None
