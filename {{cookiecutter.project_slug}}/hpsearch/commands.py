"""What main.py does for --search, --fullsearch, --dry_run and --promote."""

import shlex
import sys
import time
from pathlib import Path
from typing import Any

import tensorflow as tf
from rich import box
from rich.console import Console
from rich.table import Table

from hpsearch import fullsearch
from hpsearch.display import Display, duration, print_best
from hpsearch.local import LocalExecutor
from hpsearch.search import SearchFolder, run
from settings import RUN_SETTINGS, ConfigError
from training.files import PROJECT, read_json, write_json
from training.loop import advance
from training.messages import format_values, main_command, one_line
from training.provenance import read_provenance
from training.signals import StopSignals

RESUMABLE = {setting.name for setting in RUN_SETTINGS if setting.resumable}
PROVENANCE = ("search", "search_seed", "max_iter", "fixed_params", "run")  # kept with a winner


def search_settings(model_class, given: dict, options: dict) -> dict[str, Any]:
    """The settings that determine the result of a search, as in search.json.

    given: {flag: value}; options: the search's own flags, completed. ConfigError if they do not fit
    each other, or leave nothing to search.
    """
    kind = "fullsearch" if given.get("fullsearch") else given["search"]
    max_iter = given.get("max_iter") or model_class.max_iter
    min_iter = options["min_iter"] or max(1, max_iter // 27)
    if min_iter > max_iter:
        raise ConfigError(f"--min_iter={min_iter} is more than --max_iter={max_iter}")
    fixed = fixed_parameters(model_class, given, options["fixed_params"])
    check_something_to_search(model_class, kind, fixed)
    base = {setting.name: setting.default for setting in model_class.hyperparameters}
    if given.get("best"):
        base |= model_class.get_best_config()
    names = [s.name for s in RUN_SETTINGS if s.name in given and s.name not in RESUMABLE]
    # A trial has the same number of threads wherever the search runs: it determines the bits.
    threads = {"threads": given.get("threads") or 1}
    return {
        "model_name": model_class.__name__,
        "search": kind,
        "search_seed": options["search_seed"],
        "max_iter": max_iter,
        "min_iter": min_iter,
        "eta": options["eta"],
        "fixed_params": fixed,
        "base": base,
        "objective": list(model_class.objective),
        "run": {name: given[name] for name in names} | threads,
    }


def fixed_parameters(model_class, given: dict, fixed_params: dict) -> dict[str, Any]:
    """The hyper-parameters that are fixed, by --fixed_params or by a flag of their own, checked."""
    table = {setting.name: setting for setting in model_class.hyperparameters}
    try:
        for name in fixed_params:
            if name not in table:
                raise ConfigError(f"{name} is not a hyper-parameter")
        fixed = {name: table[name].check(value) for name, value in fixed_params.items()}
    except ConfigError as error:
        known = (f"{s.name} ({s.type.__name__}, {s.allowed() or 'any'})" for s in table.values())
        raise ConfigError(f"--fixed_params: {error}; there are {', '.join(known)}") from None
    for name in fixed:
        if name in given:
            raise ConfigError(f"--{name}={given[name]} is given in --fixed_params, too")
    return fixed | {name: table[name].check(given[name]) for name in table if name in given}


def check_something_to_search(model_class, kind: str, fixed: dict) -> None:
    """ConfigError if a search of this kind has nothing to draw, or a range that is not allowed."""
    if kind in ("lr", "fullsearch") and "lr" in fixed:
        flag = "--search=lr" if kind == "lr" else "--fullsearch"
        raise ConfigError(f"{flag} searches lr, which is fixed at {fixed['lr']}")
    free = [s for s in model_class.hyperparameters if s.search and s.name not in fixed]
    if not {s.name for s in free} - ({"lr"} if kind == "fullsearch" else set()):
        raise ConfigError(f"{model_class.__name__} has no hyper-parameter left to search")
    for setting in free:
        setting.check_search()


def search(model_class, given: dict, options: dict) -> int:
    """Run a search, or what is left of it. Returns the exit status."""
    settings = search_settings(model_class, given, options)
    if options["dry_run"]:
        return dry_run(model_class, settings, options)
    path = Path(given["result_dir"]).expanduser() if given.get("result_dir") else None
    unrecorded = {n: given[n] for n in RESUMABLE - {"max_iter", "result_dir"} if n in given}
    executor = executor_for(settings["run"], options)
    with SearchFolder(settings, path, {"max_to_keep": 1} | unrecorded) as folder:
        print(f"{settings['search']} search of {settings['model_name']} in {folder.path}")
        with (
            executor,
            StopSignals() as stop,  # after Ray, which takes SIGTERM for itself
            Display(folder.ledger) as display,
        ):
            try:
                for snapshot in run(folder, model_class, executor):
                    display.show(snapshot)
                    if stop.received:
                        break
            except OSError as error:  # of the disk, the network or the cluster
                remedy = "fix this, then run the same command to resume"
                raise OSError(f"{one_line(error)}; {remedy}") from None
        if stop.received:
            print("Interrupted; run the same command to resume")
            return 128 + stop.received
        from hpsearch import picture  # matplotlib is slow to import

        print_best(folder)
        picture.draw(folder)
        quoted = shlex.quote(str(folder.path))
        print(f"Next: {main_command()} --promote --result_dir={quoted}")
    return 0


def executor_for(run: dict, options: dict):
    """What runs the jobs, as --executor says; run: the settings that all trials have."""
    nb_process, threads, device = options["nb_process"], run["threads"], run.get("device")
    if options["executor"] == "local":
        return LocalExecutor(nb_process, threads, device)
    from hpsearch.ray_cluster import RayExecutor

    return RayExecutor(nb_process, threads, options["ray_address"], device)


def dry_run(model_class, settings: dict, options: dict) -> int:
    """Print the whole schedule and its cost; write nothing. Returns the exit status."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("bracket")
    for name in ("rung", "trials", "up to step", "steps"):
        table.add_column(name, justify="right")
    winners, trials, steps = [], 0, 0
    while brackets := fullsearch.brackets(model_class, settings, winners):
        winners.append(settings["base"])  # the schedule does not depend on which trial wins
        for bracket in brackets:
            reached = 0
            for rung, (count, until) in enumerate(bracket.rungs):
                cells = (f"{n:,}" for n in (rung, count, until, count * (until - reached)))
                table.add_row("" if rung else f"{len(winners)}: {bracket.name}", *cells)
                reached = until
            trials += len(bracket.trials)
            steps += bracket.steps()
    Console().print(table)
    start, step, size = costs(model_class, settings)
    nb_process = options["nb_process"]
    if options["executor"] == "local":
        nb_process = executor_for(settings["run"], options).nb_process
    at_a_time = nb_process or "as many as the cluster allows"
    print(f"{trials} trials, {steps:,} steps, {at_a_time} at a time")
    took, disk = duration(trials * start + steps * step), trials * size / 1e6
    print(f"About {took} in one process and {disk:,.0f} MB of disk, if every trial were like the")
    print(f"default model, which takes {start:.1f} s to compile and {1e6 * step:,.0f} µs a step")
    return 0


def costs(model_class, settings: dict) -> tuple[float, float, int]:
    """Seconds to build and compile the default model, seconds of a step, bytes of a run folder."""
    config = settings["base"] | settings["fixed_params"] | settings["run"]
    config |= {"random_seed": settings["search_seed"]}
    if model_class.has_fake_data:
        config["fake_data"] = True  # no download
    tf.config.list_physical_devices()  # TensorFlow's own start is not the model's
    began = time.perf_counter()
    with model_class(config) as model:
        model.prepare_steps()
        chunks = advance(model, sys.maxsize)
        next(chunks)
        start = time.perf_counter() - began
        began, first = time.perf_counter(), model.step
        while time.perf_counter() - began < 0.5:
            next(chunks)
        step = (time.perf_counter() - began) / (model.step - first)
        weights = sum(array.nbytes for array in model.weights().values())
        graph = model.graph.as_graph_def().ByteSize()
    # Two checkpoints, the newest and the best; the graph in .meta and in the events; small files.
    return start, step, 2 * weights + 2 * graph + 100_000


def promote(path: str) -> int:
    """Write the winner of a search to the file that --best reads. Returns the exit status."""
    path = Path(path).expanduser()
    if not (path / "search.json").exists():
        raise FileNotFoundError(f"--result_dir={path} holds no search")
    if not (path / "best.json").exists():
        raise FileNotFoundError(f"{path} has no best trial yet; let the search finish first")
    best = read_json(path / "best.json")
    settings = best["settings"]
    trial = path / "trials" / f"{best['trial']:04}"
    origin = {
        "folder": path.name,
        "trial": best["trial"],
        "weights_sha256": best["weights_sha256"],
        "data_checksum": read_provenance(trial)["data_checksum"] if trial.exists() else None,
    } | {name: settings[name] for name in PROVENANCE}
    content = {"config": best["hyperparameters"], "valid": best["valid"], "from": origin}
    target = PROJECT / "models" / "best" / f"{settings['model_name']}.json"
    target.parent.mkdir(exist_ok=True)
    before = read_json(target) if target.exists() else None
    write_json(target, content)
    print(f"{target.relative_to(PROJECT)}: {format_values(content['config'])}")
    if before:
        print(f"Before: {format_values(before['config'])}")
    print(f"Next: {main_command()} --model_name={settings['model_name']} --best")
    return 0
