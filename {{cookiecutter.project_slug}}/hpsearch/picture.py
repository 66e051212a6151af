"""search.png: the scores of a search against steps or trials, and each hyper-parameter.

A dot is a trial, its colour the steps that it was trained for. The winner has a star.
"""

import re
import textwrap

from matplotlib import colormaps
from matplotlib.collections import LineCollection

from hpsearch.display import in_use, last_records, mean_and_spread, varying
from hpsearch.importance import Importance
from hpsearch.ledger import TRAINED, named
from models import MODELS
from training.drawing import picture, scale, show_steps

COLUMNS, WIDTH, HEIGHT = 3, 4.4, 3.4  # of panels; inches of one
STAR = {"marker": "*", "markersize": 17, "color": "gold", "markeredgecolor": "black", "zorder": 5}


def draw(folder, best: dict, standing: str = "", importance: Importance | None = None) -> None:
    """Write search.png into the folder of a search.

    best: the content of best.json, or of a search that is not complete the best so far; standing:
    how far it is; importance: of its hyper-parameters.
    """
    records = [r for r in folder.ledger.records.values() if r["state"] == TRAINED]
    records = [record for record in records if "seed" not in record]
    model_name = folder.settings["model_name"]
    drawn = [plotted(model_name, record["hyperparameters"]) for record in records]
    order = list(records[0]["hyperparameters"])
    names = sorted(varying(drawn), key=lambda name: order.index(whole(name)))
    columns, rungs = min(COLUMNS, 1 + len(names)), sorted({record["until"] for record in records})
    rows = -(-(1 + len(names)) // columns)
    caption = f"Scores of {len(last_records(records))} trials; the best is {winner(best)}"
    width, height = WIDTH * columns, HEIGHT * rows + 0.9
    with picture(folder.path / "search.png", caption, width, height) as figure:
        figure.set_layout_engine("constrained")
        lines = [title(folder.settings, best, standing)]
        lines += [f"Importance: {importance.about()}"] if importance else []
        figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=12)
        panels = figure.subplots(rows, columns, squeeze=False)
        first, *others = panels.ravel()
        (draw_trials if len(rungs) == 1 else draw_curves)(first, records, rungs, best)
        last = last_records(records)
        for panel, name in zip(others, names, strict=False):
            draw_values(panel, name, last, rungs, best, model_name)
            panel.set_xlabel(described(model_name, name))
            if importance and name in importance.shares:
                panel.set_title(f"importance {importance.shares[name]:.0%}", fontsize=10)
        for panel in others[len(names) :]:
            panel.set_axis_off()
        scores = [record["score"] for record in records]
        for panel in (first, *others[: len(names)]):
            scale(panel, "y", scores)
        limits = [panel.get_ylim() for panel in (first, *others[: len(names)])]
        for panel in (first, *others[: len(names)]):  # some show a part of the trials
            panel.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
        for row in panels:
            row[0].set_ylabel(f"{folder.settings['objective'][0]} on valid")
        explain(figure, rungs, best["confirmed"], "best so far" if standing else "winner")


def title(settings: dict, best: dict, standing: str = "") -> str:
    """What was searched, how far it is if it is not complete, and what came out."""
    objective, direction = settings["objective"]
    better = "higher" if direction == "max" else "lower"
    base = settings["base"] | settings["fixed_params"]
    began = ", what the search began with" if best["hyperparameters"] == base else ""
    what = f"Search of {settings['model_name']} ({settings['search']}) by {objective} on valid"
    lines = [f"{what}: {better} is better"]
    if standing:
        lines += [standing, f"Best so far: {winner(best)} at step {best['until']:,}{began}"]
    else:
        lines += [f"Winner: {winner(best)}{began}"]
    return "\n".join(lines)


def winner(best: dict) -> str:
    """The winner in words."""
    found = f"trial {named(best['trial'])} with {' ± '.join(mean_and_spread(best))}"
    if not best["confirmed"]:
        return found
    return f"{found} over {best['seeds']} other seed{'s' * (best['seeds'] > 1)}"


def described(model_name: str, name: str) -> str:
    """A hyper-parameter, and what it means in the table of its model."""
    table = MODELS[model_name].hyperparameters if model_name in MODELS else ()
    about = next((setting.help for setting in table if setting.name == whole(name)), "")
    return textwrap.shorten(f"{name}: {about}", 46, placeholder=" ...") if about else name


def whole(name: str) -> str:
    """The hyper-parameter of which a panel shows a part: hidden, of len(hidden) and hidden[0]."""
    return re.sub(r"len\((.*)\)|\[\d+\]", r"\1", name)


def colour(until: int, rungs: list[int]):
    """Of a trial that was trained up to a step: the darker, the further."""
    return colormaps["viridis_r"]((1 + rungs.index(until)) / len(rungs))


def draw_curves(panel, records, rungs, best):
    """Scores against steps, a line per trial."""
    curves = {}
    for record in sorted(records, key=lambda r: r["until"]):
        curves.setdefault(record["trial"], []).append((record["until"], record["score"]))
    # One collection: a hundred thousand lines would take minutes.
    panel.add_collection(LineCollection(curves.values(), colors="0.6", linewidth=0.8, alpha=0.6))
    ends = [points[-1] for points in curves.values()]
    panel.scatter(*zip(*ends, strict=True), c=[colour(end, rungs) for end, _ in ends], s=14)
    panel.plot(rungs[-1], best["mean"], **STAR)
    panel.set(xlabel="steps", xscale="log")
    panel.set_xticks(rungs, [f"{until:,}" for until in rungs])
    panel.set_xticks([], minor=True)


def draw_trials(panel, records, rungs, best):
    """Scores against the number of the trial, if all were trained for the same number of steps."""
    trials = [record["trial"] for record in records]
    panel.scatter(trials, [r["score"] for r in records], color=colour(rungs[0], rungs), s=14)
    panel.plot(best["trial"], best["mean"], **STAR)
    show_steps(panel.xaxis)
    panel.set(xlabel="trial")


def draw_values(panel, name, records, rungs, best, model_name):
    """Scores against a hyper-parameter, a dot per trial that uses it; means over other seeds."""

    def of(results):
        """[(value, result)] of the results that use it."""
        found = ((plotted(model_name, result["hyperparameters"]), result) for result in results)
        return [(values[name], result) for values, result in found if name in values]

    trials, means, won = of(records), of(best["confirmed"]), of([best])
    colours = [colour(record["until"], rungs) for _, record in trials]
    panel.scatter([v for v, _ in trials], [r["score"] for _, r in trials], c=colours, s=14)
    for value, result in means:
        deviation = result["spread"] or 0.0
        panel.errorbar(value, result["mean"], deviation, fmt="_", color="black", capsize=3)
    for value, result in won:
        panel.plot(value, result["mean"], **STAR)
    values = [value for value, _ in (*trials, *means, *won)]
    if not any(isinstance(value, str) for value in values):
        scale(panel, "x", values)


def plotted(model_name: str, hyperparameters: dict) -> dict:
    """The hyper-parameters in use, as numbers or texts; of a list its length and its elements."""
    found = {}
    for name, value in in_use(model_name, hyperparameters).items():
        if value is None:
            continue
        if isinstance(value, list):
            found[f"len({name})"] = len(value)
            found |= {f"{name}[{i}]": plain(element) for i, element in enumerate(value)}
        else:
            found[name] = plain(value)
    return found


def plain(value):
    """A number, or a text for anything else."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def explain(figure, rungs, confirmed, star):
    """The legend below all panels."""
    from matplotlib.lines import Line2D

    shown = [Line2D([], [], linestyle="", label=star, **STAR)]
    if confirmed:
        style = {"color": "black", "marker": "_", "markersize": 12}
        label = "mean of other seeds" + ", ± spread" * (confirmed[0]["seeds"] > 1)
        shown.append(Line2D([], [], linestyle="", label=label, **style))
    for until in rungs:
        look = {"marker": "o", "markersize": 5, "color": colour(until, rungs)}
        shown.append(Line2D([], [], linestyle="", label=f"{until:,} steps", **look))
    figure.legend(handles=shown, loc="outside lower left", ncols=min(6, len(shown)))
