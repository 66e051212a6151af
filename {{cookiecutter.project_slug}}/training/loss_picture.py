"""loss.png of a run: loss and metrics on train and valid against the step."""

from pathlib import Path

from training.evaluation import SAMPLE

LINES = {  # split: (label, style)
    "train": ("train, batch", {"color": "tab:blue", "alpha": 0.3, "linewidth": 1}),
    SAMPLE: ("train, sample", {"color": "tab:blue", "linewidth": 2}),
    "valid": ("valid", {"color": "tab:orange", "linewidth": 2}),
}


def draw_curves(records: list[dict], path: Path) -> None:
    """Draw the records of metrics.jsonl as a PNG: a chart for the loss and one for each metric."""
    from matplotlib.figure import Figure  # slow to import, and only needed here

    curves = curves_of(records)
    if not curves:
        return
    names = list(dict.fromkeys(name for _, name in curves))
    width = 5.5 * len(names)  # inches. Fixed margins: Matplotlib's layouts draw everything twice
    figure = Figure(figsize=(width, 4))
    figure.subplots_adjust(0.8 / width, 0.13, 1 - 0.2 / width, 0.92, wspace=0.2)
    charts = figure.subplots(1, len(names), squeeze=False)[0]
    for name, axes in zip(names, charts, strict=True):
        values = []
        for split, (label, style) in LINES.items():
            steps, points = curves.get((split, name), ([], []))
            values += points
            if points:
                few = {"marker": "o", "markersize": 4} if len(points) <= 20 else {}
                axes.plot(steps, points, label=label, **style, **few)
        if min(values) > 0 and max(values) > 10 * min(values):
            axes.set_yscale("log")
        axes.set(xlabel="step", title=name)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


def curves_of(records) -> dict[tuple[str, str], tuple[list, list]]:
    """{(split, name): (steps, values)} of train and valid; what is not finite is left out."""
    curves = {}
    for record in sorted(records, key=lambda record: record["step"]):
        for name, value in record.items():
            chosen = record["split"] in LINES and name not in ("step", "examples_per_second")
            if chosen and isinstance(value, float):
                steps, values = curves.setdefault((record["split"], name), ([], []))
                steps.append(record["step"])
                values.append(value)
    return curves
