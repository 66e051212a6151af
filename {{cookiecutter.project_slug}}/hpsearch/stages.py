"""What main.py does for --search, --fullsearch, --dry_run and --promote."""

import json
import shlex
import time
from pathlib import Path

import tensorflow as tf
from rich import box
from rich.console import Console
from rich.table import Table

from hpsearch import display, fullsearch
from hpsearch.local import LocalExecutor
from hpsearch.search import SearchFolder, run
from models.config import MAY_CHANGE, RUN_SETTINGS
from models.hyperparameters import ConfigError
from training import processors
from training.files import PROJECT, read_json, write_json
from training.run_folder import one_line, recorded_start
from training.signals import StopSignals

OF_THE_SEARCH = ("random_seed", "from_checkpoint", "step")  # settings that it chooses itself
PROVENANCE = ("search", "search_seed", "max_iter", "fixed_params", "run")  # kept with a winner


def settings_of(model_class, given, options):
    """The settings that decide over the result of a search, as in search.json.

    given: {flag: value}; options: the search's own flags, completed. A hyper-parameter that is
    given as a flag is fixed, as in --fixed_params. ConfigError if there is nothing to search.
    """
    tables = {setting.name: setting for setting in model_class.hyperparameters}
    kind = "fullsearch" if given.get("fullsearch") else given["search"]
    max_iter = given.get("max_iter") or model_class.max_iter
    min_iter = options["min_iter"] or max(1, max_iter // 27)
    if min_iter > max_iter:
        raise ConfigError(f"--min_iter={min_iter} is more than --max_iter={max_iter}")
    for name in OF_THE_SEARCH:
        if name in given:
            raise ConfigError(f"--{name} does not go with a search, which has --search_seed")
    fixed = checked_parameters(model_class, options["fixed_params"])
    for name in fixed:
        if name in given:
            raise ConfigError(f"--{name}={given[name]} is given in --fixed_params, too")
    fixed |= {name: tables[name].check(given[name]) for name in tables if name in given}
    base = {name: setting.default for name, setting in tables.items()}
    if given.get("best"):
        base |= model_class.get_best_config()
    if kind in ("lr", "fullsearch") and "lr" in fixed:
        stage = "--search=lr" if kind == "lr" else "--fullsearch"
        raise ConfigError(f"{stage} searches lr, which is fixed at {fixed['lr']}")
    free = {s.name for s in tables.values() if s.search and s.name not in fixed}
    if not free - ({"lr"} if kind == "fullsearch" else set()):
        raise ConfigError(f"{model_class.__name__} has no hyper-parameter left to search")
    for setting in tables.values():
        if setting.search and setting.name not in fixed:
            setting.check_search()
    run = {
        s.name: s.check(given[s.name])
        for s in RUN_SETTINGS
        if s.name in given and s.name not in MAY_CHANGE
    }
    # Of each trial, whatever the number of processes: it decides over the bits.
    run["threads"] = run.get("threads", 1) or processors.count()
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
        "run": run,
    }


def searched(model_class, settings):
    """The names of the hyper-parameters that are not the same in all trials."""
    if settings["search"] == "lr":
        return ["lr"]
    fixed = settings["fixed_params"]
    return [s.name for s in model_class.hyperparameters if s.search and s.name not in fixed]


def checked_parameters(model_class, text):
    """The dictionary in --fixed_params; ConfigError with the table of what there is."""
    try:
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError('it must be an object such as {"lr": 0.001}')
        tables = {setting.name: setting for setting in model_class.hyperparameters}
        for name in values:
            if name not in tables:
                raise ValueError(f"{name} is not a hyper-parameter")
        return {name: tables[name].check(value) for name, value in values.items()}
    except (ValueError, RecursionError) as error:
        there = ", ".join(
            f"{s.name} ({s.type.__name__}, {s.allowed() or 'any'})"
            for s in model_class.hyperparameters
        )
        raise ConfigError(f"--fixed_params={text}: {error}; there are {there}") from None


def search(model_class, given, options):
    """Run a search, or what is left of it. Returns the exit status."""
    settings = settings_of(model_class, given, options)
    if options["dry_run"]:
        return dry_run(model_class, settings, options)
    path = Path(given["result_dir"]).expanduser() if given.get("result_dir") else None
    also = {name: given[name] for name in MAY_CHANGE - {"max_iter", "result_dir"} if name in given}
    executor = executor_for(settings["run"], options)
    with SearchFolder(settings, path, {"max_to_keep": 1} | also) as folder:
        print(f"{settings['search']} search of {settings['model_name']} in {folder.path}")
        with (
            executor,
            StopSignals() as stop,  # after Ray, which takes SIGTERM for itself
            display.Display(settings["objective"][1], searched(model_class, settings)) as shown,
        ):
            try:
                whole = run(folder, model_class, executor, shown, lambda: stop.received)
            except OSError as error:  # of the disk, the network or the cluster
                reason = one_line(error)
                raise OSError(f"{reason}; the same command goes on once this is mended") from None
        if not whole:
            print("Interrupted; the same command goes on")
            return 128 + stop.received
        display.print_best(folder)
        display.draw(folder)
        quoted = shlex.quote(str(folder.path))
        print(f"Next: python main.py --promote --result_dir={quoted}")
    return 0


def executor_for(run, options):
    """What runs the jobs, as --executor says; run: the settings that all trials have."""
    device = run.get("device")
    if options["executor"] == "local":
        return LocalExecutor(options["nb_process"], run["threads"], device)
    from hpsearch.ray_cluster import RayExecutor

    return RayExecutor(options["nb_process"], run["threads"], options["ray_address"], device)


def dry_run(model_class, settings, options):
    """Print the whole schedule, with what it takes, and write nothing."""
    schedule = fullsearch.passes(model_class, settings)
    brackets, count = next(schedule), 0
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("bracket")
    for name in ("rung", "trials", "up to step", "steps"):
        table.add_column(name, justify="right")
    trials = steps = 0
    while brackets:
        count += 1
        for bracket in brackets:
            before = 0
            for rung, (size, until) in enumerate(bracket.rungs):
                cost = size * (until - before)
                cells = (f"{n:,}" for n in (rung, size, until, cost))
                table.add_row(f"{count}: {bracket.name}" if rung == 0 else "", *cells)
                before = until
            trials += len(bracket.trials)
            steps += bracket.steps()
        try:
            brackets = schedule.send(settings["base"])
        except StopIteration:
            break
    Console().print(table)
    start, step, size = costs(model_class, settings)
    nb_process = options["nb_process"]
    if options["executor"] == "local":
        nb_process = executor_for(settings["run"], options).nb_process
    where = f"{nb_process} at a time" if nb_process else "as many at a time as the cluster allows"
    print(f"{trials} trials, {steps:,} steps, {where}")
    took, disk = display.duration(trials * start + steps * step), trials * size / 1e6
    print(f"About {took} in one process and {disk:,.0f} MB of disk, if all models were as the")
    print(f"default one, which takes {start:.1f} s to compile and {1e6 * step:,.0f} µs a step")
    return 0


def costs(model_class, settings):
    """Seconds of a start and of a step, bytes of a trial's folder, for a model as by default."""
    config = settings["base"] | settings["fixed_params"] | settings["run"]
    config |= {"random_seed": settings["search_seed"], "fake_data": True}  # no download for this
    tf.config.list_physical_devices()  # TensorFlow's own start is not the model's
    began = time.perf_counter()
    with model_class(config) as model:
        model.prepare_steps()
        model.learn_from_epoch(1)
        start = time.perf_counter() - began
        began, first = time.perf_counter(), model.step
        while time.perf_counter() - began < 0.5:
            model.learn_from_epoch(model.step + 1000)
        step = (time.perf_counter() - began) / (model.step - first)
        weights = sum(array.nbytes for array in model.weights().values())
        graph = model.graph.as_graph_def().ByteSize()
    # The newest and the best checkpoint; the graph in .meta and in the events; what else is there.
    return start, step, 2 * weights + 2 * graph + 100_000


def promote(path):
    """Write the winner of a search to the file that --best reads. Returns the exit status."""
    path = Path(path).expanduser()
    file = path / "best.json"
    if not (path / "search.json").exists():
        raise FileNotFoundError(f"--result_dir={path} holds no search")
    if not file.exists():
        raise FileNotFoundError(f"{path} has no best trial yet; let the search come to its end")
    best = read_json(file)
    settings = best["settings"]
    trial = path / "trials" / f"{best['trial']:04}"
    content = {
        "config": best["hyperparameters"],
        "valid": best["valid"],
        "from": {
            "folder": path.name,
            "trial": best["trial"],
            "weights_sha256": best["weights_sha256"],
            "data_checksum": recorded_start(trial)["data_checksum"] if trial.exists() else None,
            **{
                n: settings[n] for n in ("search", "search_seed", "max_iter", "fixed_params", "run")
            },
        },
    }
    target = PROJECT / "models" / "best" / f"{settings['model_name']}.json"
    target.parent.mkdir(exist_ok=True)
    before = read_json(target) if target.exists() else None
    write_json(target, content)
    print(f"{target.relative_to(PROJECT)}: {display.in_words(content['config'])}")
    if before:
        print(f"It held: {display.in_words(before['config'])}")
    print(f"Next: python main.py --model_name={settings['model_name']} --best")
    return 0
