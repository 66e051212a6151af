"""What a person sees of a search: a live table on a terminal, lines elsewhere; then the best."""

import logging
import sys
import time
from collections import Counter
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from conditions import used
from hpsearch.halving import Bracket, Job
from hpsearch.ledger import TRAINED, Ledger, Record, named, run_name
from hpsearch.search import Snapshot
from models import MODELS
from training.messages import duration, format_value, format_values

log = logging.getLogger(__name__)
SHOWN = 10  # of the best, at the end


def in_use(model_name: str, hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """Hyper-parameters as they are used: None for one that is not, by the model's table."""
    table = MODELS[model_name].hyperparameters if model_name in MODELS else ()
    unused = {setting.name for setting in table} - used(table, hyperparameters)
    return {name: None if name in unused else v for name, v in hyperparameters.items()}


def varying(configs: list[dict]) -> list[str]:
    """The names of the hyper-parameters that have more than one value beside None."""
    values = {}
    for config in configs:
        for name, value in config.items():
            values.setdefault(name, set()).add(repr(value))  # a list is in no set
    return [name for name in values if len(values[name] - {repr(None)}) > 1]


class Display:
    """`with Display(ledger) as display: display.show(snapshot)`; model_name: of the trials."""

    def __init__(self, ledger: Ledger, model_name: str = ""):
        self.ledger, self.model_name = ledger, model_name
        self.brackets: dict[str, Bracket] = {}
        self.running: list[Job] = []
        self.began, self.steps = time.monotonic(), 0  # of the jobs that have ended since then
        self.live = None
        if sys.stdout is not None and sys.stdout.isatty():
            self.live = Live(get_renderable=self.table, refresh_per_second=1)

    def __enter__(self):
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *error):
        if self.live:
            self.live.stop()

    def show(self, snapshot: Snapshot) -> None:
        """Show what runs and what has ended."""
        self.running = snapshot.running
        if snapshot.brackets[0].name not in self.brackets:  # a pass begins
            drawn = [c for b in snapshot.brackets for c in b.trials.values() if c]
            self.names = varying([in_use(self.model_name, config) for config in drawn])
            self.brackets |= {bracket.name: bracket for bracket in snapshot.brackets}
        for record in snapshot.ended:
            self.show_ended(record)

    def show_ended(self, record: Record) -> None:
        """Print a line about a job that has ended, unless the table shows it."""
        bracket = self.brackets[record["bracket"]]
        before = [bracket.reached, *(until for _, until in bracket.rungs)]
        self.steps += record["until"] - before[record["rung"]]
        if self.live and record["state"] == TRAINED:
            return
        what = f"score {format_value(record['score'])}"
        if record["state"] != TRAINED:
            what = f"{record['state']}: {record['reason']}"
        config = in_use(self.model_name, record["hyperparameters"])
        values = {name: config[name] for name in self.names if config[name] is not None}
        values |= {"random_seed": record["seed"]} if "seed" in record else {}
        values = f" ({format_values(values)})" if values else ""
        log.info(f"Trial {named(record['trial'])} at step {record['until']}: {what}{values}")

    def table(self) -> Table:
        """All rungs: trials running, done and failed, the best score, the time left."""
        table = Table(box=box.SIMPLE_HEAD, caption_justify="left")
        table.add_column("bracket")
        for name in ("steps", "trials", "running", "done", "failed", "best"):
            table.add_column(name, justify="right")
        better = max if self.ledger.direction == "max" else min
        running = Counter((job.bracket, job.rung) for job in self.running)
        scores = {}  # of each rung
        for record in list(self.ledger.records.values()):
            scores.setdefault((record["bracket"], record["rung"]), []).append(record["score"])
        for bracket in list(self.brackets.values()):
            for rung, (trials, until) in enumerate(bracket.rungs):
                ended = scores.get((bracket.name, rung), [])
                done = [score for score in ended if score is not None]
                counts = (trials, running[bracket.name, rung], len(done), len(ended) - len(done))
                best = format_value(better(done)) if done else ""
                table.add_row(bracket.name, f"{until:,}", *map(str, counts), best)
        table.caption = f"time left {self.time_left()}"
        return table

    def time_left(self) -> str:
        """Of the passes that have begun, as 0:00:12; "..." before a job has ended."""
        ended = Counter((r["bracket"], r["rung"]) for r in list(self.ledger.records.values()))
        left = 0  # steps
        for bracket in list(self.brackets.values()):
            reached = bracket.reached
            for rung, (trials, until) in enumerate(bracket.rungs):
                left += (trials - ended[bracket.name, rung]) * (until - reached)
                reached = until
        if not self.steps:
            return "..."
        return duration((time.monotonic() - self.began) / self.steps * left)


def print_best(folder, best: dict, is_complete: bool = True) -> None:
    """Print a table of the best trials, how many ended in which state, and what the search found.

    best: the content of best.json, or the best so far of a search that is not complete. Confirmed
    configurations come first, by their means.
    """
    objective = folder.settings["objective"][0]
    records, confirmed = list(folder.ledger.records.values()), best["confirmed"]
    model_name = folder.settings["model_name"]
    names = varying([in_use(model_name, record["hyperparameters"]) for record in records])
    table = Table(box=box.SIMPLE_HEAD)
    columns = ["mean", "spread"][: best["seeds"]] if confirmed else []  # one seed has no spread
    for name in ("trial", objective, *columns, *names):
        table.add_column(name, justify="right")
    table.add_column("run", overflow="fold")
    for row in best_trials(folder.ledger, best):
        score = "-" if row["score"] is None else format_value(row["score"])
        means = [*mean_and_spread(row), "", ""][: len(columns)]
        config = in_use(model_name, row["hyperparameters"])
        values = ["" if config[name] is None else format_value(config[name]) for name in names]
        run = str(folder.path / row["run"])
        table.add_row(named(row["trial"]), score, *means, *values, run)
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    print_counts(records, folder.settings["max_iter"], is_complete)
    if confirmed:
        print_confirmation(best, folder.settings, objective)


def best_trials(ledger: Ledger, best: dict) -> list[dict[str, Any]]:
    """The confirmed candidates and then the best of the others, as confirmation.over_seeds, with
    the score that each has with the search's own seed: None for what the search began with.
    """
    ranked = {record["trial"]: record for record in ledger.ranked(best["until"])}
    rows = {result["trial"]: result for result in best["confirmed"]}
    for trial, record in ranked.items():
        rows.setdefault(trial, {"mean": None, "run": run_name(trial), **record})
    return [
        row | {"score": ranked[trial]["score"] if trial in ranked else None}
        for trial, row in list(rows.items())[:SHOWN]
    ]


def print_counts(records: list[Record], max_iter: int, is_complete: bool) -> None:
    """Print how many trials ended in which state."""
    early = "stopped early" if is_complete else "not complete"
    counts = dict.fromkeys(("complete", early, "diverged", "failed"), 0)
    last = last_records(records)
    for record in last:
        state = record["state"]
        if state == TRAINED:
            state = "complete" if record["until"] == max_iter else early
        counts[state] += 1
    again = [record for record in records if "seed" in record]
    done = sum(record["state"] == TRAINED for record in again)
    text = ", ".join(f"{n} {state}" for state, n in counts.items())
    more = f"; with other seeds {done} of {len(again)} complete" if again else ""
    print(f"{len(last)} trials: {text}{more}")


def print_confirmation(best: dict, settings: dict, objective: str) -> None:
    """Print the winner's mean beside that of what the search began with."""
    base = settings["base"] | settings["fixed_params"]
    began = next((r for r in best["confirmed"] if r["hyperparameters"] == base), None)
    text = f"{objective} = {' ± '.join(mean_and_spread(best))}"
    if best["hyperparameters"] == base:
        print(f"Nothing is clearly better than what the search began with: {text}")
    else:
        before = " ± ".join(mean_and_spread(began)) if began else "no value"
        print(f"Best: trial {named(best['trial'])}, {text}; what the search began with: {before}")
    several = f"Means and standard deviations over {best['seeds']} seeds"
    what = several if best["seeds"] > 1 else "Scores with 1 seed"
    print(f"{what} that the search had not seen")


def mean_and_spread(result: dict) -> list[str]:
    """The mean over the seeds and, of two or more, the standard deviation with two digits."""
    if result["mean"] is None:
        return []
    mean = format_value(result["mean"])
    return [mean] if result["spread"] is None else [mean, f"{result['spread']:.2g}"]


def last_records(records: list[Record]) -> list[Record]:
    """The record of the last rung of each trial with the search's own seed."""
    own = [record for record in records if "seed" not in record]
    return list({r["trial"]: r for r in sorted(own, key=lambda r: r["until"])}.values())
