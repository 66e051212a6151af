"""report.html of a search: the winner, the picture, the best trials, settings and environment."""

import json
from typing import Any

from hpsearch.display import SHOWN, in_use, spread, varying
from hpsearch.picture import title
from models import MODELS
from training import page
from training.messages import as_flags, format_value, quoted
from training.provenance import recorded_config, utc_now
from training.run_page import environment, from_project

OF_KIND = {  # settings that only these searches have as flags
    "sampler": ("random", "hyperband", "fullsearch"),
    "trials": ("random", "hyperband"),
    "lr_points": ("lr", "fullsearch"),
    "min_iter": ("hyperband", "fullsearch"),
    "eta": ("hyperband", "fullsearch"),
}
FLAGS = ("sampler", "search_seed", "max_iter", "min_iter", "eta", "trials", "lr_points", "confirm")


def write_search_page(folder, best: dict) -> None:
    """Write report.html into the folder of a search; best: the content of best.json."""
    settings, run = folder.settings, folder.trial_folder(best["trial"])
    where = from_project(folder.path)
    promote = f"python main.py --promote --result_dir={quoted(where)}"
    parts = [
        *map(page.paragraph, title(settings, best).split("\n")),
        page.table(winner(settings, best), ["", "winner", "began with"]),
        page.heading("Scores"),
        page.pictures([(folder.path / "search.png").read_bytes()]),
        page.heading("Best trials"),
        page.table(*best_trials(folder, best)),
        page.heading("Commands"),
        page.paragraph("In the project's folder:"),
        page.command("Search again", f"python main.py {flags(settings)}"),
        page.command("Make the winner what --best trains", promote),
        page.command(
            "Train the winner, with another seed", f"python main.py {train(settings, best)}"
        ),
        page.heading("Settings"),
        page.table(
            (n, as_json(v)) for n, v in settings.items() if n != "base" and v not in (None, {})
        ),
        page.heading("Environment of the winner"),
        page.table(environment(run, recorded_config(run))),
        page.footer(f"Written at {utc_now()}"),
    ]
    page.write_page(folder.path / "report.html", f"Search: {where}", parts)


def winner(settings: dict[str, Any], best: dict) -> list[tuple[str, str, str]]:
    """The winner's hyper-parameters beside those that the search began with."""
    configs = best["hyperparameters"], settings["base"]
    used = [in_use(settings["model_name"], config) for config in configs]
    rows = [(name, *(text(config.get(name)) for config in used)) for name in used[0]]
    return [row for row in rows if any(row[1:])]


def best_trials(folder, best: dict) -> tuple[list[list[str]], list[str]]:
    """The rows and the head of a table of the best trials, the confirmed ones first."""
    max_iter, objective = folder.settings["max_iter"], folder.settings["objective"][0]
    ranked = {record["trial"]: record for record in folder.ledger.ranked(max_iter)}
    means = {r["trial"]: f"{format_value(r['mean'])} ± {spread(r)}" for r in best["confirmed"]}
    shown = [*means, *(trial for trial in ranked if trial not in means)][:SHOWN]
    configs = {
        job: in_use(folder.settings["model_name"], record["hyperparameters"])
        for job, record in folder.ledger.records.items()
    }
    names = varying(list(configs.values()))
    rows = []
    for trial in shown:
        score = format_value(ranked[trial]["score"]) if trial in ranked else ""
        values = [text(configs[trial, max_iter][name]) for name in names]
        rows.append([f"{trial:04}", score, means.get(trial, ""), *values])
    return rows, ["trial", objective, "mean of other seeds", *names]


def flags(settings: dict[str, Any]) -> str:
    """The flags of a search that gives this result again."""
    kind = settings["search"]
    found = {"model_name": settings["model_name"]}
    found |= {"fullsearch": True} if kind == "fullsearch" else {"search": kind}
    for name in FLAGS:
        if kind in OF_KIND.get(name, (kind,)) and settings[name] is not None:
            found[name] = settings[name]
    found |= {n: json.dumps(settings[n]) for n in ("fixed_params", "ranges") if settings[n]}
    found |= {"best": True} if settings["base"] != defaults(settings) else {}
    return as_flags(found | settings["run"])


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
