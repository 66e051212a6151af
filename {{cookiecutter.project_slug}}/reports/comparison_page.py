"""The page of a comparison: tables, curves over each other, settings and environments."""

import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

from reports import formats
from reports.groups import COMMON, Table
from reports.overlay import colours, draw_overlays
from training import page
from training.messages import format_value, main_command, quoted
from training.provenance import as_dict, read_provenance, utc_now


def comparison_page(tables: list[Table], command: str, notes: list[str]) -> bytes:
    """The page; command: the flags with which it is made again; notes: lines about all tables."""
    count = sum(len(table.runs) for table in tables)
    parts = [part for table in tables for part in part_of(table)]
    parts += [
        *map(page.paragraph, notes),
        page.heading("Commands"),
        page.command(f"In {Path.cwd()}: compare again", f"{main_command()} {command}"),
    ]
    for table in tables:
        if table.best is not None:
            folder = quoted(table.best)
            line = f"{main_command()} --infer --result_dir={folder} --step=best"
            parts.append(page.command(f"Predictions of the best {table.model_name}", line))
    parts.append(page.footer(f"Written at {utc_now()}"))
    return page.page(f"Comparison of {formats.number(count)}", parts)


def part_of(table: Table) -> list[str]:
    """What the page says about the runs of one model."""
    names = formats.columns_of_rows(table)
    columns = [formats.cells_of(table, name) for name in names]
    heads = ["" if name == "best" else name for name in names]
    return [
        page.heading(formats.title(table)),
        page.pictures(draw_overlays(table)),
        *([page.paragraph(colours(table))] if colours(table) else []),
        page.table(zip(*columns, strict=True), heads),
        *map(page.paragraph, formats.remarks(table)),
        page.details("Settings that all of them share", page.table(shared_settings(table))),
        page.details("What they ran on", page.table(environments(table), ["", "", "runs"])),
    ]


def shared_settings(table: Table) -> list[tuple[str, str]]:
    """The settings that have the same value in all runs that can be read."""
    metrics = tuple(table.metrics)
    readable = [values for values in table.runs if "lr" in values] or table.runs
    own = [n for n in readable[0] if n not in COMMON and not n.startswith(metrics)]
    return [
        (name, format_value(readable[0][name]))
        for name in own
        if len({repr(values.get(name)) for values in readable}) == 1
    ]


def environments(table: Table) -> list[tuple[str, Any, int]]:
    """Hosts, processors, versions and commits, and how many runs have each."""
    found = Counter()
    for values in table.runs:
        with contextlib.suppress(OSError, ValueError):
            about = read_provenance(Path(values["folder"]))["environment"]
            rows = {
                "host": about.get("host"),
                "processor": as_dict(about.get("processor")).get("model"),
                **as_dict(about.get("versions")),
                "git commit": as_dict(about.get("git")).get("commit"),
            }
            found.update((name, str(value)) for name, value in rows.items() if value is not None)
    return [(name, value, count) for (name, value), count in sorted(found.items())]
