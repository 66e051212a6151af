"""What a run ends with for people: curves.png, the model's own pictures, and report.html.

The page is made from the files in the run's folder, and says nothing that they do not.
"""

import io
import logging
from pathlib import Path
from typing import Any

from conditions import used
from setting import as_text
from training import page
from training.checkpoints import FIELDS
from training.curves import curves_of, draw_curves, names_of
from training.files import PROJECT, read_jsonl
from training.messages import as_flags, duration, format_value, not_fatal, quoted
from training.metrics import values_of
from training.provenance import as_dict, read_provenance, recorded_config, utc_now

log = logging.getLogger(__name__)
EXACT = ("random_seed", "threads", "jit")  # a command that repeats a run says them in any case
NOT_REPEATED = ("result_dir", "debug")


def draw_pictures(model, run, is_complete: bool) -> None:
    """Draw the curves and, of a run that is complete, what the model draws of itself."""
    debug = model.config["debug"]
    with not_fatal("drawing curves.png", debug):
        curves = curves_of(run.metrics.records())
        if curves:
            draw_curves(curves, run.path / "curves.png", best_step(model, run))
    if is_complete:
        with not_fatal(f"{type(model).__name__}.report", debug):
            for line in model.report(run.path):
                log.info(line)


def best_step(model, run) -> int | None:
    """The step of the best evaluation on valid; None before the first."""
    best, _ = run.metrics.best(model.objective)
    return best["step"] if best else None


def write_run_page(model, run) -> None:
    """Write report.html into the run's folder."""
    with not_fatal("writing report.html", model.config["debug"]):
        folder, table, best = run.path, model.settings(), best_step(model, run)
        config, status, records = recorded_config(folder), run.status.read(), run.metrics.records()
        drawn = sorted(folder.glob("*.png"), key=lambda path: path.stat().st_mtime_ns)
        own = [path for path in drawn if path.name != "curves.png" and is_png(path)]
        title = f"{config['model_name']}: {from_project(folder)}"
        page.write_page(folder / "report.html", title, [
            *map(page.paragraph, outcome(status)),
            *results(records, best),
            *pictures("Curves", chart_pngs(records, best)),
            *pictures("Pictures", [path.read_bytes() for path in own]),
            page.heading("Commands"),
            *commands(folder, config, table, status["status"]),
            page.heading("Settings"),
            *settings(config, table),
            page.heading("Environment"),
            page.table(environment(folder, config)),
            page.footer(f"Written at {utc_now()}"),
        ])  # fmt: skip


def is_png(path: Path) -> bool:
    """Whether a file is what its name says."""
    return path.is_file() and path.read_bytes().startswith(b"\x89PNG")


def from_project(folder: Path) -> str:
    """A path as one types it in the project's folder."""
    path = folder.absolute()
    return str(path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path)


def pictures(title: str, contents: list[bytes]) -> list[str]:
    """Pictures below a heading, if there are some."""
    return [page.heading(title), page.pictures(contents)] if contents else []


def chart_pngs(records: list[dict], best: int | None) -> list[bytes]:
    """A picture for the loss and for each metric: on a telephone they stand below each other."""
    curves, found = curves_of(records), []
    for name in names_of(curves):
        file = io.BytesIO()
        draw_curves(curves, file, best, [name])
        found.append(file.getvalue())
    return found


def outcome(status: dict[str, Any]) -> list[str]:
    """What has become of a run, in sentences."""
    took = f" in {duration(status['seconds'])}" if "seconds" in status else ""
    lines = [f"{status['status'].capitalize()} at step {status['step']:,}{took}."]
    return lines + ([f"Reason: {status['reason']}"] if status.get("reason") else [])


def results(records: list[dict], best: int | None) -> list[str]:
    """The last loss and metrics of each split, and those of the best checkpoint."""
    rows = {r["split"]: r for r in records if r["split"] != "train"}
    found = [("train, sample" if name == "train_sample" else name, r) for name, r in rows.items()]
    found += [("valid, best", r) for r in records if (r["split"], r["step"]) == ("valid", best)][:1]
    names = list(dict.fromkeys(name for _, record in found for name in values_of(record)))
    lines = [
        (split, f"{record['step']:,}", *(format_value(record.get(name, "")) for name in names))
        for split, record in found
    ]
    return [page.table(lines, ["", "step", *names])] if lines else []


def commands(folder: Path, config: dict[str, Any], table, status: str) -> list[str]:
    """The lines with which one goes on from here, in the project's folder."""
    main, here = "python main.py", f"--result_dir={quoted(from_project(folder))}"
    if status == "diverged":
        branch = as_flags({"from_checkpoint": from_project(folder), "lr": config["lr"] / 10})
        further = "Go on from its last checkpoint with a smaller learning rate", f"{main} {branch}"
    else:
        further = "Train it further", f"{main} {here} --max_iter={2 * config['max_iter']}"
    return [
        page.paragraph("In the project's folder:"),
        page.command("Train the same again, as a new run",
                     f"{main} {as_flags(repeated(config, table))}"),
        page.command("Train it again in memory, and compare it bit for bit",
                     f"{main} --verify {here}"),
        page.command(*further),
        page.command("Predictions", f"{main} --infer {here}"),
    ]  # fmt: skip


def repeated(config: dict[str, Any], table) -> dict[str, Any]:
    """The flags of a run that differ from the defaults, and those without which bits may differ.

    What is not used with the other settings, such as --momentum with adam, is left out.
    """
    defaults = {setting.name: setting.default for setting in table}
    left_out = defaults.keys() - used(table, config) | set(NOT_REPEATED)
    left = {n: v for n, v in config.items() if n not in left_out and v is not None}
    return {n: v for n, v in left.items() if n in EXACT or v != defaults.get(n)}


def settings(config: dict[str, Any], table) -> list[str]:
    """Those that differ from the defaults, and below them the others."""
    rows = {True: [], False: []}
    for setting in (setting for setting in table if setting.name != "result_dir"):
        value = config.get(setting.name)
        default = "" if setting.default is None else as_text(setting.default)
        shown = "" if value is None else as_text(value)
        rows[value != setting.default].append((setting.name, shown, default, setting.help))
    head = ["setting", "value", "default", ""]
    same = page.table([(name, shown, what) for name, shown, _, what in rows[False]])
    others = page.details(f"{len(rows[False])} settings are at their defaults", same)
    return [page.table(rows[True], head), others]


def environment(folder: Path, config: dict[str, Any]) -> list[tuple[str, Any]]:
    """What a run was started with and on, as rows."""
    recorded = read_provenance(folder)
    about, parent = recorded["environment"], recorded["parent"]
    git = as_dict(about.get("git"))
    commit = git.get("commit") or "none"
    commit += ", and changes that config.json holds" if git.get("diff") else ""
    saved = read_jsonl(folder / "checkpoints" / "checkpoints.jsonl", FIELDS)
    rows = {
        "started": about.get("time"),
        "resumed": f"{len(recorded['resumed'])} times" if recorded["resumed"] else None,
        "parent": f"step {parent.get('step')} of {parent.get('result_dir')}" if parent else None,
        "command": quoted(*about.get("argv", [])),
        "host": about.get("host"),
        "platform": about.get("platform"),
        "processor": as_dict(about.get("processor")).get("model"),
        "GPU": ", ".join(map(str, about.get("gpus") or [])),
        **as_dict(about.get("versions")),
        "git commit": commit,
        "random seed": config["random_seed"],
        "training data, SHA-256": recorded["data_checksum"],
        "graph, SHA-256": about.get("graph_sha256"),
        "weights, SHA-256": saved[-1]["weights_sha256"] if saved else None,
    }  # fmt: skip
    return [(name, value) for name, value in rows.items() if value not in (None, "")]
