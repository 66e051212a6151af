"""Tables of runs as text, Markdown, CSV and JSON.

Text and Markdown have a line for each group, and those columns by which one chooses. CSV and JSON
have all runs in one table, with all metrics, and those of each run's group: NAME_mean, and NAME_sd
for the standard deviation.
"""

import csv
import json
import math
import re
import sys
from collections import Counter
from pathlib import PurePath
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as Grid
from rich.text import Text

from reports.groups import COMMON, Row, Table, kind_of
from training.messages import duration, format_value

LINES = 100  # of a table as text
REASONS = 10  # of a table
EXPLAINED = ("damaged", "diverged", "failed")  # states whose reasons are shown
FOLDED = 23, 12  # characters of a folder's name in a line: before a metric goes, before a setting


def print_text(tables: list[Table]) -> None:
    """Print tables that fit the screen, or 200 columns where there is none."""
    console = Console(width=None if sys.stdout.isatty() else 200)
    for number, table in enumerate(tables):
        cells = {name: cells_of(table, name, LINES) for name in columns_of_rows(table)}
        dropped = drop_what_does_not_fit(cells, table, console)
        print("\n" * (number > 0) + title(table), end="\n\n")
        console.print(grid(cells, table))
        print()
        if len(table.rows) > LINES:
            print(f"{len(table.rows) - LINES:,} more lines; see --format=csv")
        if dropped:
            print(plain(f"No room for {', '.join(dropped)}; see --format=csv"))
        for line in remarks(table):
            print(line)


def print_markdown(tables: list[Table]) -> None:
    """Print tables as GitHub draws them."""
    for table in tables:
        cells = {name: cells_of(table, name) for name in columns_of_rows(table)}
        print(f"### {escaped(title(table))}\n")
        for line in [map(plain, cells), ["---"] * len(cells), *zip(*cells.values(), strict=True)]:
            print(f"| {' | '.join(map(escaped, line))} |")
        print("\n" + "".join(f"- {escaped(line)}\n" for line in remarks(table)))


def print_csv(tables: list[Table]) -> None:
    """Print one line for each run; what is not known is empty."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    columns = columns_of_runs(tables)
    writer.writerow(map(plain, columns))
    writer.writerows([plain(values.get(n)) for n in columns] for t in tables for values in t.runs)


def print_json(tables: list[Table]) -> None:
    """Print a list with one object for each run, each in a line of its own."""
    columns = columns_of_runs(tables)
    found = ({n: scalar(values.get(n)) for n in columns} for t in tables for values in t.runs)
    print("[\n" + ",\n".join(json.dumps(values, allow_nan=False) for values in found) + "\n]")


FORMATS = {"text": print_text, "csv": print_csv, "json": print_json, "markdown": print_markdown}


def columns_of_runs(tables: list[Table]) -> list[str]:
    """The columns of CSV and JSON."""
    settings = [name for table in tables for name in table.settings]
    metrics = [name for table in tables for name in table.metrics]
    over_seeds = [f"{name}_{what}" for name in metrics for what in ("mean", "sd")]
    return list(dict.fromkeys([*COMMON, "random_seed", *settings, *metrics, *over_seeds]))


def columns_of_rows(table: Table) -> list[str]:
    """The columns of text and Markdown, if any row has a value there.

    Not among them are metrics of single batches, and the seeds if each configuration has one.
    """
    seeds = ["seeds"] if any(row.more for row in table.rows) else []
    metrics = [name for name in table.metrics if kind_of(name) != "train"]
    names = [table.judge, table.sort_by, *seeds, *table.settings, *metrics]
    names += ["status", "step", "duration", "folder"]
    known = {name for row in table.rows for name, v in row.values.items() if v is not None}
    mark = [] if table.best is None else ["best"]
    return mark + [name for name in dict.fromkeys(names) if name in known and name != "best"]


def cells_of(table: Table, name: str, limit: int | None = None) -> list[str]:
    """One column of a table, as texts; limit: the most lines."""
    return [cell(row, name, table) for row in table.rows[:limit]]


def cell(row: Row, name: str, table: Table) -> str:
    """What stands in a line under a name; "" for what is not known."""
    value = row.values.get(name)
    if name == "best":
        return "best" if row.values["folder"] == table.best else ""
    if name == "folder":
        path = PurePath(value).relative_to(table.parent) if table.parent else value
        return plain(f"{path} and {row.more} more" if row.more else f"{path}")
    if value is None or (name == "seeds" and row.values["status"] != "complete"):
        return ""
    as_text = {"duration": duration, "step": round, "best_step": round}.get(name, format_value)
    text = plain(str(as_text(value)))
    return f"{text} ± {row.spread[name]:.2g}" if name in row.spread else text


def title(table: Table) -> str:
    """One line: "MNIST: 3 runs in results/MNIST (2 complete, 1 diverged), by best_accuracy"."""
    counts = Counter(values["status"] for values in table.runs)
    counted = ", ".join(f"{count:,} {status}" for status, count in counts.most_common())
    runs = number(len(table.runs))
    where = f" in {table.parent}" if table.parent else ""
    by = f", by {table.sort_by}" if table.model_name else ""
    return plain(f"{table.model_name or 'Unknown model'}: {runs}{where} ({counted}){by}")


def number(runs: int) -> str:
    """How many runs there are, in words."""
    return "1 run" if runs == 1 else f"{runs:,} runs"


def remarks(table: Table) -> list[str]:
    """What is to be said below a table: which run is the best, and what is wrong with others."""
    found = [f"Best by {table.judge}: {table.best}"] if table.best is not None else []
    wrong = [v for v in table.runs if v["status"] in EXPLAINED and v["reason"] is not None]
    for values in wrong[:REASONS]:
        folder, reason = values["folder"], values["reason"]
        found.append(reason if folder in reason else f"{folder} is {values['status']}: {reason}")
    more = len(wrong) - REASONS
    found += [f"{more:,} more with a reason; see --format=csv"] if more > 0 else []
    return [plain(line) for line in found]


def drop_what_does_not_fit(cells: dict[str, list[str]], table: Table, console: Console) -> list:
    """Remove columns, the least important first, until no line is broken. Returns their names."""
    dropped, kept = [], (table.judge, table.sort_by)
    least = ["step", "duration", *table.metrics]
    for names, folded in zip((least, table.settings), FOLDED, strict=True):
        names = [name for name in names if name in cells and name not in kept]
        while names and width(grid(cells, table, folded), console) > console.width:
            dropped.insert(0, names.pop())
            del cells[dropped[0]]
    return dropped


def width(shown: Grid, console: Console) -> int:
    """The number of columns on the screen that a table takes."""
    return Measurement.get(console, console.options.update(width=10_000), shown).maximum


def grid(cells: dict[str, list[str]], table: Table, folded: int | None = None) -> Grid:
    """A table for the screen, in which only the folders' names may be broken, at `folded`."""
    shown = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in cells:
        if name == "folder":
            shown.add_column(name, overflow="fold", max_width=folded, min_width=8)
        else:
            shown.add_column(Text(heading(name, table)), justify="right", no_wrap=True)
    for line in zip(*cells.values(), strict=True):
        shown.add_row(*map(Text, line))
    return shown


def heading(name: str, table: Table) -> str:
    """The name above a column; that of a metric is broken after its split."""
    if name not in table.metrics:
        return "" if name == "best" else plain(name)
    kind = kind_of(name)
    return f"{kind}_\n{plain(name.removeprefix(f'{kind}_'))}"


def scalar(value: Any) -> Any:
    """A value for one cell: a number that is not finite is None, a list or dictionary a text."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def plain(value: Any) -> Any:
    """A value for one cell, without characters that end a line or command a terminal."""
    value = scalar(value)
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(c if c.isprintable() else "?" for c in value)


def escaped(text: str) -> str:
    """Text in which Markdown finds nothing to format."""
    return re.sub(r"([\\|<>*`\[\]_~$&#])", r"\\\1", text)
