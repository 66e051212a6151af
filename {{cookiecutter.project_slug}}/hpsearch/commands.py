"""What main.py does for --search, --fullsearch and --dry_run."""

import itertools
import math
import signal
import time

import tensorflow as tf
from rich import box
from rich.console import Console
from rich.table import Table

from hpsearch import fullsearch, hyperband
from hpsearch.display import Display
from hpsearch.local import LocalExecutor
from hpsearch.search import SearchFolder, run
from hpsearch.search_settings import RESUMABLE, search_settings
from hpsearch.watching import Watch
from training.files import expanded
from training.messages import duration, main_command, one_line, quoted
from training.provenance import recorded_search
from training.signals import StopSignals
from training.speed import STILL, advice, seconds_of_a_step


def search(model_class, given: dict, options: dict) -> int:
    """Run a search, or what is left of it. Returns the exit status."""
    path = expanded(given["result_dir"]) if given.get("result_dir") else None
    recorded = recorded_search(path)
    settings = search_settings(model_class, given, options, recorded)
    if options["dry_run"]:
        settings = SearchFolder(settings, path).continued(recorded) if recorded else settings
        return dry_run(model_class, settings, options)
    unrecorded = {n: given[n] for n in RESUMABLE - {"max_iter", "result_dir"} if n in given}
    executor = executor_for(settings["run"], options)
    with SearchFolder(settings, path, {"max_to_keep": 1} | unrecorded) as folder:
        print(f"{settings['search']} search of {settings['model_name']} in {folder.path}")
        with Watch(folder, model_class) as watch:
            with (
                executor,
                StopSignals() as stop,  # after Ray, which takes SIGTERM for itself
                Display(folder.ledger, settings["model_name"]) as display,
            ):
                snapshots = run(folder, model_class, executor)
                reason = follow(snapshots, stop, display, watch, options["max_hours"])
            watch.end(reason)
        if reason:
            print(f"Stopped by {reason}; run the same command to resume")
            return 128 + stop.received if stop.received else 0
        print(f"Next: {main_command()} --promote --result_dir={quoted(folder.path)}")
    return 0


def follow(snapshots, stop: StopSignals, display: Display, watch: Watch, max_hours) -> str | None:
    """Follow a search to its end. Returns what stopped it; None if it is complete."""
    began = time.monotonic()
    try:
        for snapshot in snapshots:
            display.show(snapshot)
            watch.show(snapshot, display)
            if stop.received:
                return signal.Signals(stop.received).name
            if max_hours is not None and time.monotonic() - began >= 3600 * max_hours:
                return f"--max_hours={max_hours:g}"
    except OSError as error:  # of the disk, the network or the cluster
        remedy = "fix this, then run the same command to resume"
        raise OSError(f"{one_line(error)}; {remedy}") from None
    return None


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
    rankings, passed, trials, steps = [], [], 0, 0
    sampler, settings = settings["sampler"], settings | {"sampler": "random"}  # nothing is seen yet
    while brackets := fullsearch.brackets(model_class, settings, rankings, passed):
        for bracket in brackets:
            reached = bracket.reached
            for rung, (count, until) in enumerate(bracket.rungs):
                cells = (f"{n:,}" for n in (rung, count, until, count * (until - reached)))
                table.add_row("" if rung else f"{len(rankings) + 1}: {bracket.name}", *cells)
                reached = until
            trials += 0 if bracket.reached else len(bracket.trials)
            steps += bracket.steps()
        passed += brackets
        # The schedule depends on how many trials reach the end, and not on which.
        last = max(until for bracket in passed for _, until in bracket.rungs)
        ends = [bracket for bracket in passed if bracket.rungs[-1][1] == last]
        kept = (list(b.trials.items())[: b.rungs[-1][0]] for b in ends)
        rankings.append(dict(itertools.chain(*kept)))
    Console().print(table)
    start, step, size, faster = costs(model_class, settings)
    nb_process = options["nb_process"]
    if options["executor"] == "local":
        nb_process = executor_for(settings["run"], options).nb_process
    at_a_time = nb_process or "as many as the cluster allows"
    print(f"{trials} trials, {steps:,} steps, {at_a_time} at a time")
    limit = math.inf if sampler in (None, "random") else hyperband.lag(settings)
    if limit < (nb_process or math.inf):
        print(f"--sampler={sampler}: more than {limit} processes often wait, since it looks at")
        print("what came of the jobs before a trial; with --sampler=random they wait less")
    took, disk = duration(trials * start + steps * step), trials * size / 1e6
    print(f"About {took} in one process and {disk:,.0f} MB of disk, if every trial were like the")
    print(f"default model, which takes {start:.1f} s to build and {1e6 * step:,.0f} µs a step")
    if faster:
        print(faster)
    return 0


def costs(model_class, settings: dict) -> tuple[float, float, int, str]:
    """What the default model takes: seconds to build and compile, seconds of a step, bytes of a run
    folder; and a line about a faster --jit, or "".
    """
    config = settings["base"] | settings["fixed_params"] | settings["run"]
    config |= {"random_seed": settings["search_seed"], **STILL}
    if model_class.has_fake_data:
        config["fake_data"] = True  # no download
    tf.config.list_physical_devices()  # TensorFlow's own start is not the model's
    began = time.perf_counter()
    with model_class(config) as model:
        model.prepare_steps()
        start = time.perf_counter() - began
        step = seconds_of_a_step(model)
        weights = sum(array.nbytes for array in model.weights().values())
        graph = model.graph.as_graph_def().ByteSize()
        # Two checkpoints, newest and best; the graph in .meta and in the events; small files.
        faster = "" if config.get("jit") == "short" else advice(model)  # it suits many networks
        return start, step, 2 * weights + 2 * graph + 100_000, faster
