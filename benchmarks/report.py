"""Make tables for the screen and for Markdown, and the chart, of what was measured."""

import json
from statistics import median

from rich.console import Console
from rich.table import Table

COLOURS = {"ours": "#e8710a", "limit": "#80868b", "peer": "#4c78a8"}


def medians(results, key):
    """{name: median over the rounds} of all that were measured and have such a value."""
    found = {}
    for name, rounds in results.items():
        values = [r[key] for r in rounds if r.get(key) is not None]
        if values:
            found[name] = median(values)
    return found


def spread(results, name, key, digits=0):
    """Three cells: the median of the rounds, "min - max", and the share that others had."""
    values = [r[key] for r in results[name] if key in r]
    least, most = (f"{value:,.{digits}f}" for value in (min(values), max(values)))
    others = medians(results, "others").get(name)
    share = "-" if others is None else f"{others:.0%}"
    return [f"{median(values):,.{digits}f}", f"{least} - {most}", share]


def failures(results):
    """{name: reason} of those that failed in any round."""
    return {n: r["failed"] for n, rounds in results.items() for r in rounds if "failed" in r}


def not_measured(results):
    """The table of those that failed: (title, columns, rows)."""
    rows = [list(item) for item in failures(results).items()]
    return "Not measured", ["contestant", "reason"], rows


def loop_rows(results):
    """One row for each training loop, the fastest first."""
    speeds, accuracies = medians(results, "steps_per_second"), medians(results, "accuracy")
    memory = medians(results, "peak_memory_mb")
    ours = speeds.get("project_bare")
    rows = []
    for name in sorted(speeds, key=speeds.get, reverse=True):
        reached = f"{accuracies[name]:.4f}" if name in accuracies else "-"
        ratio = f"{speeds[name] / ours:.2f}" if ours else "-"
        cells = [f"{1e6 / speeds[name]:,.0f}", ratio, reached, f"{memory[name]:,.0f}"]
        rows.append([name, *spread(results, name, "steps_per_second"), *cells])
    return rows


def process_rows(results):
    """One row for each whole process."""
    accuracies, memory = medians(results, "accuracy"), medians(results, "peak_memory_mb")
    rows = []
    for name in medians(results, "seconds"):
        reached = f"{accuracies[name]:.4f}" if name in accuracies else "-"
        rows.append([name, *spread(results, name, "seconds", 2), reached, f"{memory[name]:,.0f}"])
    return rows


def show(title, columns, rows):
    """Print a table."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    console = Console()
    console.width = max(console.width, 110)  # a log file has no width of its own
    console.print(table)


def markdown(title, columns, rows):
    """The same table as text."""
    lines = [f"## {title}", "", "| " + " | ".join(columns) + " |"]
    lines.append("|---" + "|---:" * (len(columns) - 1) + "|")
    lines += ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows]
    return "\n".join([*lines, "", ""])


def write(name, about, machine, tables, folder, results):
    """Show tables, [(title, columns, rows)], and write them to name.md and results to name.json.

    The machine, {what: text}, is the first table; those without rows are left out.
    """
    machine = "Machine", ["what", "value"], [list(item) for item in machine.items()]
    tables = [table for table in (machine, *tables) if table[2]]
    text = f"# Speed\n\n{about}.\n\n"
    for table in tables:
        show(*table)
        text += markdown(*table)
    content = {"about": about, "tables": tables, "results": results}
    json_text = json.dumps(content, indent=1, ensure_ascii=False)
    (folder / f"{name}.json").write_text(json_text + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    print(f"Written to {folder / name}.md and .json")


def chart(results, loops, path, about):
    """Draw steps per second as bars, with a line from the slowest round to the fastest.

    loops: {name: (kind, label)}; about: the machine in words.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    speeds = medians(results, "steps_per_second")
    names = sorted(speeds, key=speeds.get)
    if not names:
        return
    figure, axes = pyplot.subplots(figsize=(9, 1.7 + 0.42 * len(names)), layout="constrained")
    for i, name in enumerate(names):
        kind, _ = loops[name]
        values = [r["steps_per_second"] for r in results[name] if "steps_per_second" in r]
        weight = "bold" if kind == "ours" else "normal"
        axes.barh(i, speeds[name], color=COLOURS[kind], height=0.7)
        axes.plot([min(values), max(values)], [i, i], color="black", alpha=0.6, linewidth=1.4)
        text = f"{speeds[name]:,.0f}"
        offset = {"xytext": (6, 0), "textcoords": "offset points", "va": "center"}
        axes.annotate(text, (max(values), i), **offset, fontweight=weight)
    axes.set_yticks(range(len(names)), [loops[name][1] for name in names])
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_fontweight("bold" if loops[name][0] == "ours" else "normal")
    axes.set_xlim(0, 1.1 * axes.dataLim.xmax)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel("training steps per second: median of the rounds, line from least to most")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    title = "How fast 784-128-32-10 learns MNIST, batch 100, SGD"
    figure.suptitle(title, x=0.02, ha="left", fontweight="bold", fontsize=13)
    axes.set_title(about, loc="left", fontsize=9, color="#5f6368")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
