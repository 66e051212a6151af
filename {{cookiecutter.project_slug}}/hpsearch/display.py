"""What a person sees of a search: a table that moves on a terminal, elsewhere lines; at the end a
table of the best and search.png."""

import sys
import time

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from hpsearch.ledger import TRAINED

SHOWN = 10  # of the best, at the end


def in_words(hyperparameters):
    """ "lr = 0.01, optimizer = adam" """
    return ", ".join(f"{name} = {short(value)}" for name, value in hyperparameters.items())


def short(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def duration(seconds):
    """Seconds as 0:00:12."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


class Display:
    """`with Display(direction, names) as display`; the search tells it what happens.

    names: of the hyper-parameters that are worth showing.
    """

    def __init__(self, direction, names):
        self.names = names
        self.better = max if direction == "max" else min
        self.rows = {}
        self.began, self.steps_done, self.steps_left = time.monotonic(), 0, 0
        self.reached = {}  # {trial: step}
        self.live = None
        if sys.stdout is not None and sys.stdout.isatty():
            self.live = Live(get_renderable=self.table, refresh_per_second=4)

    def __enter__(self):
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *error):
        if self.live:
            self.live.stop()

    def begin(self, brackets):
        """A pass begins."""
        self.steps_left = sum(bracket.steps() for bracket in brackets)
        for bracket in brackets:
            for rung, (trials, until) in enumerate(bracket.rungs):
                row = {"trials": trials, "until": until, "running": 0, "done": 0, "failed": 0}
                self.rows[bracket.name, rung] = row | {"best": None}

    def started(self, job):
        self.rows[job.bracket, job.rung]["running"] += 1

    def finished(self, record):
        """A job that has just ended."""
        self.rows[record["bracket"], record["rung"]]["running"] -= 1
        self.steps_done += record["until"] - self.reached.get(record["trial"], 0)
        self.count(record)
        if not self.live or record["state"] != TRAINED:
            what = f"score {short(record['score'])}"
            if record["state"] != TRAINED:
                what = f"{record['state']}: {record['reason']}"
            values = {name: record["hyperparameters"][name] for name in self.names}
            at = f"Trial {record['trial']:04} at step {record['until']}"
            print(f"{at}: {what} ({in_words(values)})", flush=True)

    def count(self, record):
        """A job that has ended, now or as the ledger knew already."""
        row = self.rows[record["bracket"], record["rung"]]
        self.steps_left -= record["until"] - self.reached.get(record["trial"], 0)
        self.reached[record["trial"]] = record["until"]
        if record["state"] != TRAINED:
            row["failed"] += 1
            return
        row["done"] += 1
        scores = [s for s in (row["best"], record["score"]) if s is not None]
        row["best"] = self.better(scores)

    def table(self):
        """All rungs: trials running, done and failed, the best score, the time left."""
        left = "..."
        if self.steps_done:
            speed = self.steps_done / (time.monotonic() - self.began)
            left = duration(self.steps_left / speed)
        table = Table(box=box.SIMPLE_HEAD, caption=f"time left {left}", caption_justify="left")
        table.add_column("bracket")
        for name in ("steps", "trials", "running", "done", "failed", "best"):
            table.add_column(name, justify="right")
        for (bracket, _), row in self.rows.items():
            best = "" if row["best"] is None else short(row["best"])
            counts = [str(row[name]) for name in ("trials", "running", "done", "failed")]
            table.add_row(bracket, f"{row['until']:,}", *counts, best)
        return table


def varying(records):
    """The names of the hyper-parameters that are not the same in all records."""
    names = records[0]["hyperparameters"] if records else {}
    return [n for n in names if len({str(r["hyperparameters"].get(n)) for r in records}) > 1]


def print_best(folder):
    """A table of the best trials, the states of all, and what to do with the winner."""
    records = list(folder.ledger.outcomes.values())
    ranked = folder.ledger.ranked(folder.settings["max_iter"])
    names = varying(records)
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("trial", folder.settings["objective"][0], *names):
        table.add_column(name, justify="right")
    table.add_column("run")
    for record in ranked[:SHOWN]:
        values = [short(record["hyperparameters"][name]) for name in names]
        run = folder.trial_folder(record["trial"])
        table.add_row(f"{record['trial']:04}", short(record["score"]), *values, str(run))
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)
    last = {}
    for record in records:
        if record["until"] >= last.get(record["trial"], record)["until"]:
            last[record["trial"]] = record
    counts = dict.fromkeys(("complete", "stopped early", "diverged", "failed"), 0)
    for record in last.values():
        state = record["state"]
        if state == TRAINED:
            whole = record["until"] == folder.settings["max_iter"]
            state = "complete" if whole else "stopped early"
        counts[state] += 1
    print(f"{len(last)} trials: " + ", ".join(f"{n} {state}" for state, n in counts.items()))


def draw(folder):
    """Write search.png: score against steps, a line per trial, and against each hyper-parameter."""
    from matplotlib import ticker
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # no screen needed
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    records = [r for r in folder.ledger.outcomes.values() if r["state"] == TRAINED]
    names = varying(records)
    columns = 3
    rows = -(-(1 + len(names)) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    objective = folder.settings["objective"][0]
    by_trial = {}
    for record in sorted(records, key=lambda r: r["until"]):
        by_trial.setdefault(record["trial"], []).append((record["until"], record["score"]))
    # One collection: a hundred thousand lines would take minutes.
    colors = [f"C{trial % 10}" for trial in by_trial]
    lines = LineCollection(by_trial.values(), colors=colors, linewidth=0.8, alpha=0.6)
    panels[0].add_collection(lines)
    ends = [points[-1] for points in by_trial.values()]
    panels[0].scatter(*zip(*ends, strict=True), c=colors, s=8, alpha=0.6)
    panels[0].set(xlabel="steps", ylabel=f"{objective} on valid", xscale="log")
    rungs = sorted({record["until"] for record in records})
    panels[0].set_xticks(rungs, [f"{until:,}" for until in rungs])
    panels[0].xaxis.set_minor_locator(ticker.NullLocator())
    longest = {r["trial"]: r for r in sorted(records, key=lambda r: r["until"])}.values()
    colors = {until: color for color, until in enumerate(rungs)}
    for panel, name in zip(panels[1:], names, strict=False):
        values = [r["hyperparameters"][name] for r in longest]
        dots = panel.scatter(
            values, [r["score"] for r in longest], c=[colors[r["until"]] for r in longest], s=14
        )
        panel.set(xlabel=name, ylabel=f"{objective} on valid")
        if all(isinstance(v, (int, float)) and v > 0 for v in values):
            subs = (1,) if max(values) / min(values) > 100 else (1, 2, 5)
            panel.set(xscale="log")
            panel.xaxis.set_major_locator(ticker.LogLocator(subs=subs))
            panel.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
            panel.xaxis.set_minor_locator(ticker.NullLocator())
        if panel is panels[len(names)]:
            bar = figure.colorbar(dots, ax=panel, label="steps")
            bar.set_ticks(list(colors.values()), labels=[f"{until:,}" for until in rungs])
    for panel in panels[1 + len(names) :]:
        panel.set_axis_off()
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder.path / "search.png", dpi=120)
