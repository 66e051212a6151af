"""search.png: the scores of a search against steps, a line per trial, and each hyper-parameter."""

from matplotlib import ticker
from matplotlib.backends.backend_agg import FigureCanvasAgg  # no screen needed
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from hpsearch.display import last_records, varying
from hpsearch.ledger import TRAINED


def draw(folder, confirmed: list[dict]) -> None:
    """Write search.png into the folder of a search; confirmed: as in best.json."""
    records = [r for r in folder.ledger.records.values() if r["state"] == TRAINED]
    records = [record for record in records if "seed" not in record]
    names = varying([record["hyperparameters"] for record in records])
    columns = 3
    rows = -(-(1 + len(names)) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    rungs = sorted({record["until"] for record in records})
    draw_curves(panels[0], records, rungs)
    last = last_records(records)
    for panel, name in zip(panels[1:], names, strict=False):
        dots = draw_values(panel, name, last, rungs)
        draw_means(panel, name, confirmed)
    if names:
        bar = figure.colorbar(dots, ax=panels[len(names)], label="steps")
        bar.set_ticks(range(len(rungs)), labels=[f"{until:,}" for until in rungs])
    for panel in panels[1 + len(names) :]:
        panel.set_axis_off()
    for panel in panels:
        panel.set_ylabel(f"{folder.settings['objective'][0]} on valid")
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder.path / "search.png", dpi=120)


def draw_curves(panel, records, rungs):
    """Scores against steps, a line per trial."""
    curves = {}
    for record in sorted(records, key=lambda r: r["until"]):
        curves.setdefault(record["trial"], []).append((record["until"], record["score"]))
    colors = [f"C{trial % 10}" for trial in curves]
    # One collection: a hundred thousand lines would take minutes.
    lines = LineCollection(curves.values(), colors=colors, linewidth=0.8, alpha=0.6)
    panel.add_collection(lines)
    ends = [points[-1] for points in curves.values()]
    panel.scatter(*zip(*ends, strict=True), c=colors, s=8, alpha=0.6)
    panel.set(xlabel="steps", xscale="log")
    panel.set_xticks(rungs, [f"{until:,}" for until in rungs])
    panel.xaxis.set_minor_locator(ticker.NullLocator())


def draw_values(panel, name, records, rungs):
    """Scores against a hyper-parameter, a dot per trial. Returns the dots, colored by steps."""
    values = [record["hyperparameters"][name] for record in records]
    colors = [rungs.index(record["until"]) for record in records]
    dots = panel.scatter(values, [record["score"] for record in records], c=colors, s=14)
    panel.set(xlabel=name)
    if all(isinstance(value, (int, float)) and value > 0 for value in values):
        subs = (1,) if max(values) / min(values) > 100 else (1, 2, 5)
        panel.set(xscale="log")
        panel.xaxis.set_major_locator(ticker.LogLocator(subs=subs))
        panel.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
        panel.xaxis.set_minor_locator(ticker.NullLocator())
    return dots


def draw_means(panel, name, confirmed):
    """The means over other seeds, with their standard deviations."""
    values = [result["hyperparameters"][name] for result in confirmed]
    means = [result["mean"] for result in confirmed]
    spreads = [result["spread"] or 0.0 for result in confirmed]
    if values:
        style = {"fmt": "_", "color": "black", "capsize": 3, "linewidth": 1}
        panel.errorbar(values, means, spreads, **style, label="mean of other seeds")
        panel.legend(frameon=False, fontsize="small")
