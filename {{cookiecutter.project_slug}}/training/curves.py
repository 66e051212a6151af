"""curves.png of a run: loss and metrics on train and valid against the step."""

import io
from pathlib import Path

from training.drawing import WIDTH, picture, scale, show_steps
from training.evaluation import SAMPLE
from training.metrics import RATES

LINES = {  # split: (label, style)
    "train": ("train, batch", {"color": "tab:blue", "alpha": 0.5, "linewidth": 1}),
    SAMPLE: ("train, sample", {"color": "tab:blue", "linewidth": 2}),
    "valid": ("valid", {"color": "tab:orange", "linewidth": 2}),
}
STAR = {"marker": "*", "markersize": 14, "linestyle": "", "zorder": 3,
        "markerfacecolor": "tab:orange", "markeredgecolor": "black"}  # fmt: skip
FEW = 20  # points of a line, which are marked one by one
COLUMNS = 3  # charts beside each other
LARGEST = 1e100  # value that can be drawn; neither infinity nor NaN is below it
LAST = 10**9  # step, the most that --max_iter allows
Curves = dict[tuple[str, str], tuple[list[int], list[float]]]  # {(split, name): (steps, values)}


def curves_of(records: list[dict]) -> Curves:
    """The curves of train and valid in metrics.jsonl; what is not finite is left out."""
    curves = {}
    drawable = (record for record in records if record["step"] <= LAST)
    for record in sorted(drawable, key=lambda record: record["step"]):
        for name, value in record.items():
            chosen = record["split"] in LINES and name not in ("step", *RATES)
            if chosen and isinstance(value, float) and abs(value) < LARGEST:
                steps, values = curves.setdefault((record["split"], name), ([], []))
                steps.append(record["step"])
                values.append(value)
    return curves


def names_of(curves: Curves) -> list[str]:
    """What is drawn: loss, and each metric."""
    return list(dict.fromkeys(name for _, name in curves))


def draw_curves(
    curves: Curves, path: Path | io.BytesIO, best: int | None = None, names: list[str] | None = None
) -> None:
    """Draw a chart for the loss and one for each metric, or for those in `names`.

    best: the step of the best checkpoint, which is marked.
    """
    names = names or names_of(curves)
    columns = min(len(names), COLUMNS)
    rows = -(-len(names) // columns)
    width, height = WIDTH * columns, 3.6 * rows + 0.4
    caption = f"{', '.join(names)} on train and valid against the step"
    with picture(path, caption, width, height) as figure:
        # Fixed margins: Matplotlib's layouts draw everything twice.
        figure.subplots_adjust(0.7 / width, 0.95 / height, 1 - 0.2 / width, 1 - 0.4 / height,
                               wspace=0.18, hspace=0.35)  # fmt: skip
        charts = figure.subplots(rows, columns, squeeze=False).ravel()
        for name, axes in zip(names, charts, strict=False):
            draw_chart(axes, name, {s: curves[s, name] for s in LINES if (s, name) in curves}, best)
        for axes in charts[len(names) :]:
            axes.set_axis_off()
        lines = {line.get_label(): line for axes in charts for line in axes.get_lines()}
        figure.legend(lines.values(), lines, loc="lower center", ncols=4, fontsize="small",
                      columnspacing=1.2, handlelength=1.5)  # fmt: skip


def draw_chart(axes, name, lines, best):
    """Draw one chart; lines: {split: (steps, values)}."""
    for split, (steps, values) in lines.items():
        label, style = LINES[split]
        few = {"marker": "o", "markersize": 4} if len(steps) <= FEW else {}
        axes.plot(steps, values, label=label, **style, **few)
    steps, values = lines.get("valid", ([], []))
    if best in steps:
        axes.plot(best, values[steps.index(best)], label=f"best, step {best:,}", **STAR)
    scale(axes, "y", [value for _, values in lines.values() for value in values])
    show_steps(axes.xaxis)
    axes.set(xlabel="step", title=name)
