"""`--compare`: runs beside each other, from the files in their folders.

    python main.py --compare                                       the runs in results/
    python main.py --compare results/MNIST --sort_by=valid_loss    those in a folder
    python main.py --compare --format=csv > runs.csv               every run and every metric

Runs with the same settings but for the seed are a group, see reports/groups.py. A search is left
out, unless its folder is named.
"""

import shlex
import sys
from pathlib import Path

from reports import formats, runs
from reports.groups import Table, table_of
from settings import ConfigError, nearest
from training import folders


def print_comparison(asked: list[str], sort_by: str | None, form: str) -> int:
    """Print tables of the runs in some folders. Returns the exit status.

    FileNotFoundError if there are none; ConfigError if no run has the column sort_by.
    """
    if form not in formats.FORMATS:
        raise ConfigError(f"--format={form} goes with --infer")
    places = [place(folder) for folder in asked or [folders.RESULTS]]
    found, searches = runs.find(places)
    notes = [left_out(searches)] if searches else []
    if not found:
        remedy = "; ".join(notes) or "train one, or name another folder"
        raise FileNotFoundError(f"--compare: no run in {', '.join(places)}; {remedy}")
    tables = tables_of(map(runs.read, found), sort_by)
    if sort_by:
        check_column(sort_by, tables)
    for judge in sorted({table.judge for table in tables if table.judge.startswith("test_")}):
        notes.append(f"The best by {judge}: a choice by the test split makes its score too good; "
                     "choose by valid")  # fmt: skip
    formats.FORMATS[form](tables)
    for note in notes:
        print(note, file=sys.stdout if form == "text" else sys.stderr)
    return 0


def place(folder: str | Path) -> str:
    """A folder as one types it from here; FileNotFoundError if it is none."""
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise FileNotFoundError(f"--compare: {path} is not a folder; name one that holds runs")
    return folders.from_here(path)


def left_out(searches: list[str]) -> str:
    """A line about searches whose trials are not shown."""
    count = "1 search is" if len(searches) == 1 else f"{len(searches):,} searches are"
    return f"{count} left out; for the trials of one, name it: --compare {shlex.quote(searches[0])}"


def tables_of(recorded, sort_by: str | None) -> list[Table]:
    """A table for each model, in the order of their names; the last one is of unknown models."""
    by_model, numbers = {}, {}
    for run in recorded:
        by_model.setdefault(run["model_name"], []).append(run)
    names = sorted(by_model, key=lambda name: (name is None, name))
    return [table_of(name, by_model[name], sort_by, numbers) for name in names]


def check_column(name: str, tables: list[Table]) -> None:
    """ConfigError if no run has such a column."""
    if not any(name in values for table in tables for values in table.runs):
        columns = formats.columns_of_runs(tables)
        hint = nearest(name, columns)
        raise ConfigError(f"--sort_by={name} is no column{hint}; there are {', '.join(columns)}")
