"""report.html of a search: the winner, the picture, the best trials, settings and environment."""

import json
from typing import Any

from hpsearch.display import best_trials, in_use, mean_and_spread, varying
from hpsearch.importance import Importance
from hpsearch.ledger import named
from hpsearch.picture import title
from models import MODELS
from training import page
from training.messages import as_flags, format_value, quoted
from training.provenance import recorded_config, utc_now
from training.run_page import environment, from_project

OF_KIND = {  # settings that only these searches have as flags
    "try": ("random", "hyperband", "fullsearch"),
    "sampler": ("random", "hyperband", "fullsearch"),
    "trials": ("random", "hyperband"),
    "lr_points": ("lr", "fullsearch"),
    "min_iter": ("hyperband", "fullsearch"),
    "eta": ("hyperband", "fullsearch"),
}
UNSEEN = ("base", "searched", "constraints")  # settings that the page leaves out
FLAGS = ("sampler", "search_seed", "max_iter", "min_iter", "eta", "trials", "lr_points", "confirm")


def write_search_page(
    folder, best: dict, standing: str = "", importance: Importance | None = None, refresh: int = 0
) -> None:
    """Write report.html into the folder of a search.

    best: the content of best.json, or of a search that is not complete the best so far; standing:
    how far it is; refresh: seconds after which a browser reads the page again.
    """
    settings, run = folder.settings, folder.path / best["run"]
    where = from_project(folder.path)
    promote = f"python main.py --promote --result_dir={quoted(where)}"
    promotion = [] if standing else [page.command("Make the winner what --best trains", promote)]
    star = "best so far" if standing else "winner"
    parts = [
        *map(page.paragraph, title(settings, best, standing).split("\n")),
        page.table(winner(settings, best), ["", star, "began with"]),
        page.heading("Scores"),
        page.pictures([(folder.path / "search.png").read_bytes()]),
        *(of_importance(importance) if importance else []),
        page.heading("Best trials"),
        page.table(*table_of_the_best(folder, best)),
        page.heading("Commands"),
        page.paragraph("In the project's folder:"),
        *(page.command(what, f"python main.py {line}") for what, line in again(settings)),
        *promotion,
        page.command(
            f"Train the {star}, with another seed", f"python main.py {train(settings, best)}"
        ),
        page.heading("Settings"),
        page.table((n, as_json(v)) for n, v in settings.items() if n not in UNSEEN and has(v)),
        page.heading(f"Environment of the {star}"),
        page.table(environment(run, recorded_config(run))),
        page.footer(f"Written at {utc_now()}"),
    ]
    page.write_page(folder.path / "report.html", f"Search: {where}", parts, refresh)


def of_importance(importance: Importance) -> list[str]:
    """How much each hyper-parameter mattered."""
    rows = [(name, f"{share:.0%}") for name, share in importance.shares.items()]
    return [
        page.heading("Importance"),
        page.paragraph(f"How much each hyper-parameter mattered: {importance.about()}."),
        page.table(rows),
    ]


def has(value: Any) -> bool:
    """Whether there is something to show."""
    return value not in (None, {}, [])


def winner(settings: dict[str, Any], best: dict) -> list[tuple[str, str, str]]:
    """The winner's hyper-parameters beside those that the search began with."""
    configs = best["hyperparameters"], settings["base"] | settings["fixed_params"]
    used = [in_use(settings["model_name"], config) for config in configs]
    rows = [(name, *(text(config.get(name)) for config in used)) for name in used[0]]
    return [row for row in rows if any(row[1:])]


def table_of_the_best(folder, best: dict) -> tuple[list[list[str]], list[str]]:
    """The rows and the head of a table of the best trials, the confirmed ones first."""
    model_name = folder.settings["model_name"]
    configs = [record["hyperparameters"] for record in folder.ledger.records.values()]
    names = varying([in_use(model_name, config) for config in configs])
    rows = []
    for row in best_trials(folder.ledger, best):
        score = "" if row["score"] is None else format_value(row["score"])
        mean = " ± ".join(mean_and_spread(row))
        config = in_use(model_name, row["hyperparameters"])
        rows.append([named(row["trial"]), score, mean, *(text(config[name]) for name in names)])
    return rows, ["trial", folder.settings["objective"][0], "mean of other seeds", *names]


def again(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """What gives this result again: [(what it does, flags)]."""
    first, *further = [*settings["extended_from"], settings["max_iter"]]
    if not further:
        return [("Search again", flags(settings))]
    folder = {"result_dir": "results/again"}
    lines = [("Search again", flags(settings | {"max_iter": first}, **folder))]
    own = stage(settings) | folder
    return lines + [("and extend it", as_flags(own | {"max_iter": n})) for n in further]


def stage(settings: dict[str, Any]) -> dict[str, Any]:
    """The flag that says what kind of search it is."""
    kind = settings["search"]
    return {"fullsearch": True} if kind == "fullsearch" else {"search": kind}


def flags(settings: dict[str, Any], **others) -> str:
    """The flags of a search with these settings; and others."""
    kind = settings["search"]
    found = {"model_name": settings["model_name"]} | stage(settings)
    for name in FLAGS:
        if kind in OF_KIND.get(name, (kind,)) and settings[name] is not None:
            found[name] = settings[name]
    found |= {n: json.dumps(settings[n]) for n in ("fixed_params", "ranges") if settings[n]}
    found |= {"best": True} if settings["base"] != defaults(settings) else {}
    if kind in OF_KIND["try"]:
        base = settings["base"] | settings["fixed_params"]
        tried = settings["promoted"] if settings["try"] is None else settings["try"]
        short = [{n: v for n, v in config.items() if v != base[n]} for config in tried]
        found["try"] = json.dumps(short)  # even if it is none: another best may be promoted since
    return as_flags(found | settings["run"] | others)


def train(settings: dict[str, Any], best: dict) -> str:
    """The flags of a run with the winner's hyper-parameters."""
    known = defaults(settings)
    chosen = in_use(settings["model_name"], best["hyperparameters"])
    changed = {n: v for n, v in chosen.items() if v is not None and v != known[n]}
    own = {"model_name": settings["model_name"], "max_iter": settings["max_iter"]}
    return as_flags(own | changed | settings["run"])


def defaults(settings: dict[str, Any]) -> dict[str, Any]:
    """The hyper-parameters of the search's model, without flags."""
    return {s.name: s.default for s in MODELS[settings["model_name"]].hyperparameters}


def text(value: Any) -> str:
    """A hyper-parameter as text; "" for None."""
    return "" if value is None else format_value(value)


def as_json(value: Any) -> str:
    """A setting of the search as text."""
    return json.dumps(value) if isinstance(value, (list, dict)) else format_value(value)
