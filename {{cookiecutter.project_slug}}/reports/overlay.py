"""The curves of many runs over each other: loss and objective on valid against the step.

Runs that differ in nothing but the seed have one colour, and their mean is a thick line. The best
ten configurations have colours and are named, all others are grey.
"""

import contextlib
import io
import textwrap
from pathlib import Path

from reports import formats
from reports.groups import Table, Values
from reports.runs import objective_of
from training.curves import FEW, Curves, curves_of
from training.drawing import WIDTH, picture, scale, show_steps
from training.messages import format_value
from training.metrics import Metrics

COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:pink",
           "tab:olive", "tab:cyan", "black")  # fmt: skip
GREY = "0.8"
LABEL = 54  # characters
TABLES = 10  # in one picture
CHART, LINE, ENTRY = 3.7, 0.25, 0.19  # inches: a chart, a line of text, a line of the legend


def draw_overlay(tables: list[Table]) -> bytes:
    """A PNG with the charts of the first tables, one below the other."""
    tables = tables[:TABLES]
    charts = [names_of(table) for table in tables]
    width = WIDTH * max(map(len, charts))
    titles = [title(table, int(10 * width)) for table in tables]
    heights = [CHART + LINE * (3 + text.count("\n")) + ENTRY * entries(table)
               for table, text in zip(tables, titles, strict=True)]  # fmt: skip
    file = io.BytesIO()
    with picture(file, "Curves of runs over each other, on valid", width, sum(heights)) as figure:
        parts = figure.subfigures(len(tables), 1, height_ratios=heights, squeeze=False).ravel()
        for part, table, text, names, height in zip(
            parts, tables, titles, charts, heights, strict=True
        ):
            part.suptitle(text, x=0.1 / width, y=1 - 0.1 / height, ha="left", va="top")
            draw_table(part, table, names, width, height, LINE * (2 + text.count("\n")))
    return file.getvalue()


def draw_overlays(table: Table) -> list[bytes]:
    """A PNG for each chart of a table, for a page."""
    found = []
    for name in names_of(table):
        file, height = io.BytesIO(), CHART + LINE + ENTRY * entries(table)
        with picture(file, f"{name} on valid of each run", WIDTH, height) as figure:
            draw_table(figure, table, [name], WIDTH, height, LINE / 2)
        found.append(file.getvalue())
    return found


def names_of(table: Table) -> list[str]:
    """What is drawn: the objective, and the loss."""
    return list(dict.fromkeys([objective_of(table.model_name)[0], "loss"]))


def members(table: Table) -> list[list[Values]]:
    """The runs of each configuration, the best configuration first."""
    found = {row.values["group"]: [] for row in table.rows}
    for values in table.runs:
        found[values["group"]].append(values)
    return list(found.values())


def entries(table: Table) -> int:
    """How many lines the legend has."""
    return min(len(COLOURS), len(members(table)))


def colours(table: Table) -> str:
    """What colours and thick lines mean, in words, where it is not plain to see."""
    groups, named, found = members(table), len(COLOURS), []
    if any(len(averaged(runs)) > 1 for runs in groups):
        found.append("A thick line is the mean over the seeds of one configuration.")
    if len(groups) > named:
        found.append(f"The first {named} of {len(groups):,} configurations have a colour, the "
                     "others are grey.")  # fmt: skip
    return " ".join(found)


def averaged(runs: list[Values]) -> list[Values]:
    """The runs of a configuration that make its mean, as in the table: a complete one per seed."""
    complete = [run for run in runs if run["status"] == "complete"]
    return list({repr(run.get("random_seed")): run for run in complete}.values())


def title(table: Table, columns: int) -> str:
    """The lines above the charts of a table."""
    lines = [line for line in (formats.title(table), colours(table)) if line]
    return "\n".join(textwrap.fill(line, columns) for line in lines)


def draw_table(part, table: Table, names: list[str], width, height, above) -> None:
    """Draw the charts of one table into a figure, or a part of one, of so many inches.

    above: inches above the charts.
    """
    below = 3 * LINE + ENTRY * entries(table)
    part.subplots_adjust(0.75 / width, below / height, 1 - 0.2 / width, 1 - (above + 0.3) / height,
                         wspace=0.18)  # fmt: skip
    charts = part.subplots(1, len(names), squeeze=False)[0]
    groups = [(runs, [valid_curves(run["folder"]) for run in runs]) for runs in members(table)]
    for name, axes in zip(names, charts, strict=True):
        values = []
        for number, (runs, curves) in enumerate(groups):
            drawn = zip(runs, curves, strict=True)
            lines = {r["folder"]: c["valid", name] for r, c in drawn if ("valid", name) in c}
            colour = COLOURS[number] if number < len(COLOURS) else GREY
            meant = [lines[run["folder"]] for run in averaged(runs) if run["folder"] in lines]
            draw_group(axes, list(lines.values()), meant, colour, -number)
            values += [value for _, points in lines.values() for value in points]
        if values:
            scale(axes, "y", values)
        show_steps(axes.xaxis)
        axes.set(xlabel="step", title=f"{name} on valid")
    named = list(zip(groups, COLOURS, strict=False))
    lines = [charts[0].plot([], [], color=colour, linewidth=2)[0] for _, colour in named]
    part.legend(lines, [label(table, runs) for (runs, _), _ in named], fontsize="small",
                loc="lower left", bbox_to_anchor=(0.5 / width, 0))  # fmt: skip


def valid_curves(folder: str) -> Curves:
    """What a run recorded of valid; {} if its file cannot be read."""
    with contextlib.suppress(OSError):
        return curves_of(Metrics(Path(folder)).records("valid"))
    return {}


def draw_group(axes, lines, averaged, colour, order):
    """Draw the runs of one configuration, [(steps, values), ...], and the mean of some of them."""
    several = len(lines) > 1
    for steps, values in lines:
        few = {"marker": "o", "markersize": 3} if len(steps) <= FEW else {}
        look = {"linewidth": 0.8, "alpha": 0.5} if several else {"linewidth": 2}
        axes.plot(steps, values, color=colour, zorder=100 + order, **look, **few)
    if len(averaged) > 1:
        by_step = [dict(zip(*line, strict=True)) for line in averaged]
        shared = sorted(set(by_step[0]).intersection(*by_step[1:]))
        means = [sum(values[step] for values in by_step) / len(averaged) for step in shared]
        axes.plot(shared, means, color=colour, linewidth=2.5, zorder=101 + order)


def label(table: Table, runs: list[Values]) -> str:
    """What a configuration is called: by the settings that differ, or by its folder."""
    values = runs[0]
    known = [n for n in table.settings if values.get(n) is not None]
    text = (
        ", ".join(f"{name}={format_value(values[name], 4)}" for name in known) or values["folder"]
    )
    text = textwrap.shorten(formats.plain(text).lstrip("_"), LABEL, placeholder=" ...")
    return f"{text} ({len(runs)} runs)" if len(runs) > 1 else text
