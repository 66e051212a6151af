"""Runs as lines of a table: those that differ in nothing but the seed are one line.

A group has the same settings, but for the seed and for what has no influence on the result, such as
log_every. Its complete runs are one line, with means and standard deviations over the seeds; other
runs stand for themselves. Of two runs with the same seed, which tell no more than one, the last
counts.

Lines are sorted by the model's objective on valid, the best first, or by --sort_by:
metrics with loss, error or perplexity in their names from the lowest, other metrics from the
highest, anything else from the lowest. What has no value comes last.
"""

import json
import os
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

from conditions import used
from models import MODELS
from reports.runs import Recorded, objective_of
from settings import RUN_SETTINGS

COMMON = ("model_name", "group", "seeds", "best", "status", "reason", "step", "duration", "folder")
INFLUENTIAL = {"max_iter", "eval_every", "eval_examples", "patience", "device"}
WITHOUT_INFLUENCE = {s.name for s in RUN_SETTINGS if s.resumable} - INFLUENTIAL
KINDS = ("best", "valid", "test", "train_sample", "train")  # of metrics, in the order of columns
LOWER_IS_BETTER = ("loss", "error", "perplexity")

Values = dict[str, Any]  # {column: value}


class Row(NamedTuple):
    """A line: a run, or the complete runs of a group with the means of their metrics.

    values: those of the best run, where they are no means; spread: standard deviations, if there
    are more runs than one; more: how many runs there are beside the best.
    """

    values: Values
    spread: dict[str, float]
    more: int


class Table(NamedTuple):
    """The runs of one model, sorted: each by itself, and those of a group as one row.

    judge: the column by which the best is found: that of the order, if it is a metric.
    """

    model_name: str | None
    runs: list[Values]
    rows: list[Row]
    settings: list[str]  # that differ
    metrics: list[str]
    sort_by: str
    judge: str
    best: str | None  # the folder of the best complete run; of a group, of the best run in it
    parent: str  # the folder in which all runs are; "" if there is none


def table_of(model_name: str | None, recorded: list[Recorded], sort_by, numbers: dict) -> Table:
    """Group and sort the runs of one model.

    sort_by: a column, or None for the objective; numbers: {configuration: number of its group}.
    """
    objective = objective_of(model_name)
    default = f"best_{objective[0]}" if model_name in MODELS else "valid_loss"
    metrics = metrics_of(recorded)
    sort_by = default if not sort_by or not has_column(sort_by, recorded, metrics) else sort_by
    plain = sort_by.removesuffix("_mean")
    judge = plain if plain in metrics and plain != "best_step" else default

    def by(name):
        """A key to sort by a column."""
        plain = name.removesuffix("_mean")
        falls = name == "best" or (plain in metrics and from_the_highest(plain, objective))
        return lambda values: rank(values.get(name), falls)

    runs, rows = [flat(run, metrics) for run in recorded], []
    for members in groups(recorded, runs, numbers):
        rows += lines(members, metrics, by(judge))
    finished = [row for row in rows if row.values["status"] == "complete"]
    finished = [row.values for row in finished if row.values.get(judge) is not None]
    best = min(finished, key=by(judge), default={}).get("folder")
    for values in runs:
        values["best"] = values["folder"] == best
    runs.sort(key=by(sort_by))
    rows.sort(key=lambda row: by(sort_by)(row.values))
    settings = differing([run["config"] for run in recorded if run["config"]], sort_by)
    parent = shared_folder([run["folder"] for run in recorded])
    return Table(model_name, runs, rows, settings, metrics, sort_by, judge, best, parent)


def has_column(name: str, recorded: list[Recorded], metrics: list[str]) -> bool:
    """Whether the runs of a model have a column, that of a group's numbers included."""
    plain = name.removesuffix("_mean").removesuffix("_sd")
    settings = {column(setting) for run in recorded for setting in run["config"]}
    return plain in {*COMMON, *metrics, *settings}


def flat(run: Recorded, metrics: list[str]) -> Values:
    """All columns of a run but those of its group; a setting with a common name is setting_NAME.

    A hyper-parameter that is not used with the others of the run has no value.
    """
    model = MODELS.get(run["model_name"])
    table = model.hyperparameters if model else ()
    unused = {setting.name for setting in table} - used(table, run["config"])
    values = {name: run.get(name) for name in COMMON} | {"duration": run["seconds"]}
    values |= {column(n): None if n in unused else value for n, value in run["config"].items()}
    return values | dict.fromkeys(metrics) | run["metrics"]


def column(setting: str) -> str:
    """The column of a setting: --step, that of --from_checkpoint, is not the step of the run."""
    return f"setting_{setting}" if setting in COMMON else setting


def groups(recorded: list[Recorded], runs: list[Values], numbers: dict) -> list[list[Values]]:
    """Put runs of the same configuration together, and give each run the number of its group.

    A run whose settings cannot be read is alone.
    """
    found = {}
    for run, values in zip(recorded, runs, strict=True):
        ignored = WITHOUT_INFLUENCE | {"random_seed"}
        settings = {n: v for n, v in run["config"].items() if n not in ignored}
        key = json.dumps([run["model_name"], settings, "" if settings else run["folder"]],
                         sort_keys=True)  # fmt: skip
        values["group"] = numbers.setdefault(key, len(numbers) + 1)
        found.setdefault(key, []).append(values)
    return list(found.values())


def lines(members: list[Values], metrics: list[str], key: Callable) -> list[Row]:
    """The rows of one group; key: what the best of its runs has the lowest of.

    Each run is given the means and standard deviations of its group as well.
    """
    complete = [values for values in members if values["status"] == "complete"]
    seeds = {repr(values.get("random_seed")): values for values in complete}.values()
    mean = {name: mean_of([values.get(name) for values in seeds]) for name in metrics}
    spread = {name: spread_of([values.get(name) for values in seeds]) for name in metrics}
    about = {f"{name}_mean": mean[name] for name in metrics}
    about |= {f"{name}_sd": spread[name] for name in metrics}
    for values in members:
        values |= {"seeds": len(seeds)} | about
    rows = [Row(values, {}, 0) for values in members if values["status"] != "complete"]
    if complete:
        mean |= {name: mean_of([values[name] for values in seeds]) for name in ("step", "duration")}
        shown = {n: v for n, v in spread.items() if v is not None and n != "best_step"}
        rows.append(Row(min(complete, key=key) | mean, shown, len(complete) - 1))
    return rows


def mean_of(values: list) -> float | None:
    """The mean; None if there are no values, or one of them is not known or was not finite."""
    if not values or None in values:
        return None
    return values[0] if len(set(values)) == 1 else statistics.fmean(values)


def spread_of(values: list) -> float | None:
    """The standard deviation of a sample; None where there is no mean, and of one value."""
    return statistics.stdev(values) if len(values) > 1 and None not in values else None


def metrics_of(recorded: list[Recorded]) -> list[str]:
    """The columns of metrics that any of the runs has."""
    names = dict.fromkeys(name for run in recorded for name in run["metrics"])
    return [name for kind in KINDS for name in names if kind_of(name) == kind]


def kind_of(metric: str) -> str:
    """What a metric's column begins with: "valid" of "valid_loss"."""
    return next(kind for kind in KINDS if metric.startswith(f"{kind}_"))


def from_the_highest(metric: str, objective: tuple[str, str]) -> bool:
    """Whether a metric is sorted from the highest value."""
    if metric == "best_step":
        return False
    name = metric.removeprefix(f"{kind_of(metric)}_")
    if name == objective[0]:
        return objective[1] == "max"
    return not any(word in name for word in LOWER_IS_BETTER)


def rank(value: Any, falls: bool) -> tuple:
    """What to sort by: numbers first, then texts, lists, and what is missing or not a number."""
    if value is None or value != value:
        return 3, 0
    if isinstance(value, list):
        return 2, [rank(element, falls) for element in value]
    if isinstance(value, (int, float)):
        return 0, -value if falls else value
    return 1, str(value)


def differing(configs: list[dict], sort_by: str) -> list[str]:
    """The columns of the settings that do not have the same value in all runs, and sort_by."""
    found = []
    for name in dict.fromkeys(name for config in configs for name in config):
        same = len({repr(config.get(name)) for config in configs}) == 1
        ignored = same or name in WITHOUT_INFLUENCE | {"random_seed"}
        if not ignored or column(name) == sort_by:
            found.append(column(name))
    return found


def shared_folder(paths: list[str]) -> str:
    """The innermost folder in which all paths are; "" if there is none."""
    try:
        return os.path.commonpath({os.path.dirname(path) for path in paths})
    except ValueError:  # some are named from the root, others from here
        return ""
