"""`--compare`: runs beside each other, from the files in their folders.

    python main.py --compare                                       the runs in results/
    python main.py --compare results/MNIST --sort_by=valid_loss    those in a folder
    python main.py --compare --format=csv                          every run and every metric
    python main.py --compare --plot                                their curves, in compare.png
    python main.py --compare --output=runs.html                    a page with all of it

Runs with the same settings but for the seed are a group, see reports/groups.py. A search is left
out, unless its folder is named.
"""

import contextlib
import io
import sys
from pathlib import Path

from reports import formats, runs
from reports.groups import Table, table_of
from settings import ConfigError, nearest
from training import folders
from training.files import expanded, write_bytes
from training.messages import as_flags, quoted

PICTURE = "compare.png"  # of --plot, unless --output names another file
SUFFIXES = {".txt": "text", ".csv": "csv", ".json": "json", ".md": "markdown", ".png": "png",
            ".html": "html"}  # fmt: skip
DRAWN = (".png", ".html")


def compare(asked: list[str], given: dict) -> int:
    """Show the runs in some folders, on the screen or in a file. Returns the exit status.

    given: {flag: value} of sort_by, format, plot and output. FileNotFoundError if there are no
    runs; ConfigError if no run has the column sort_by, or the flags do not fit each other.
    """
    sort_by, output = given.get("sort_by"), given.get("output")
    output = output or (PICTURE if given.get("plot") else None)
    form = form_of(given.get("format"), output, given.get("plot"))
    places = [place(folder) for folder in asked or [folders.RESULTS]]
    found, searches = runs.find(places)
    notes = [left_out(searches)] if searches else []
    if not found:
        remedy = "; ".join(notes) or "train a model, or name another folder"
        raise FileNotFoundError(f"--compare: no run in {', '.join(places)}; {remedy}")
    tables = tables_of(map(runs.read, found), sort_by)
    if sort_by:
        check_column(sort_by, tables)
    for judge in sorted({table.judge for table in tables if table.judge.startswith("test_")}):
        notes.append(f"This is the best by {judge}. A run chosen on the test split looks better "
                     "than it is: choose by a column of valid")  # fmt: skip
    if output:
        flags = {"sort_by": sort_by} if sort_by else {}
        command = f"--compare {quoted(*places)} {as_flags(flags | {'output': output})}"
        write_bytes(expanded(output), content(form, tables, command, notes))
        notes.append(f"Written to {output}: {formats.number(len(found))}")
    else:
        formats.FORMATS[form](tables)
    for note in notes:
        print(note, file=sys.stdout if form == "text" or output else sys.stderr)
    return 0


def form_of(form: str | None, output: str | None, plot: bool | None) -> str:
    """What is to be made: --format, or what the name of --output says, or text."""
    if form == "npy":
        raise ConfigError("--format=npy goes with --infer")
    suffix = Path(output or "").suffix.lower()
    if plot and (form or suffix not in DRAWN):
        raise ConfigError(f"--plot writes a {' or '.join(DRAWN)} file: end --output so, and leave "
                          "out --format")  # fmt: skip
    if form and suffix in DRAWN:
        raise ConfigError(f"--format={form} is text: --output={output} cannot end in {suffix}")
    if output and not form and suffix not in SUFFIXES:
        names = ", ".join(SUFFIXES)
        raise ConfigError(f"--output={output}: end it in one of {names}, or give --format")
    if output and (output.endswith("/") or not expanded(output).parent.is_dir()):
        raise ConfigError(f"--output={output}: there is no such folder; make it first")
    return form or SUFFIXES.get(suffix, "text")


def content(form: str, tables: list[Table], command: str, notes: list[str]) -> bytes:
    """What goes into a file; command: the flags with which it is made again."""
    if form == "png":
        from reports.overlay import TABLES, draw_overlay  # Matplotlib is slow to import

        if len(tables) > TABLES:
            notes.append(
                f"The picture shows {TABLES} of {len(tables):,} models; a page, .html, has all"
            )
        return draw_overlay(tables)
    if form == "html":
        from reports.comparison_page import comparison_page

        return comparison_page(tables, command, notes)
    with contextlib.redirect_stdout(io.StringIO()) as text:
        formats.FORMATS[form](tables)
    return text.getvalue().encode()


def place(folder: str | Path) -> str:
    """A folder as one types it from here; FileNotFoundError if it is none."""
    path = expanded(folder)
    if not path.is_dir():
        raise FileNotFoundError(f"--compare: {path} is not a folder; name one that holds runs")
    return folders.from_here(path)


def left_out(searches: list[str]) -> str:
    """A line about searches whose trials are not shown."""
    count = "1 search is" if len(searches) == 1 else f"{len(searches):,} searches are"
    return f"{count} left out; for the trials of one, name it: --compare {quoted(searches[0])}"


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
        shown = [column for column in columns if not column.endswith(("_mean", "_sd"))]
        raise ConfigError(f"--sort_by={name} is no column{hint}; there are {', '.join(shown)}")
