"""Searches beside each other: who is first to a good score, and who is ahead in the end.

Each contestant searches the same space of networks on the same data, and is ended after the same
time; in each round everybody has another seed. One is told a good configuration, which it trains
first: about what would remain if it took no time to find one. Two problems: the real digits, and a
table of 40 features made here, so that nothing is tuned to digits alone.

    python benchmarks/search_peers.py --rounds=5

Writes build/bench/search_peers.md, .json and .png. contestants/search_space.py has the space.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import median

import numpy as np
import prepare
import processes
import report

FOLDER = Path(__file__).resolve().parent / "contestants"
SEARCHES = {  # label: (program, its own flags, threads of each process, colour)
    "this project, gp": ("search_ours", ["--gp"], 1, "#e8710a"),
    "this project, tpe": ("search_ours", ["--tpe"], 1, "#b5179e"),
    "this project, random": ("search_ours", ["--random"], 1, "#f9ab55"),
    "Optuna, TPE and Hyperband": ("search_optuna", [], 1, "#4c78a8"),
    "Ray Tune, ASHA": ("search_ray", [], 1, "#54a24b"),
    "KerasTuner, Hyperband, 1 process": ("search_keras_tuner", [], 2, "#9467bd"),
    "this project, a good one is known": ("search_ours", ["--known"], 1, "0.35"),
}
# Of random configurations, trained to the end, some 20, 9 and 2 % reach them.
LEVELS = {"digits": (0.975, 0.980, 0.983), "table": (0.755, 0.760, 0.764)}
SECONDS = {"digits": 80, "table": 45}


def follow(command, threads, seconds):
    """Run a search for so long. Returns {"points": [[seconds, score], ...], one for each epoch}.

    If it ends before, it failed: {"failed": its last line}.
    """
    environment = os.environ | dict.fromkeys(processes.THREAD_VARIABLES, str(threads))
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONUNBUFFERED": "1"}
    busy, began = processes.busy_seconds(), time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    timer = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    points, line = [], ""
    try:
        for line in process.stdout:
            if line.startswith('{"score"'):
                points.append([time.perf_counter() - began, json.loads(line)["score"]])
        status = process.wait()
    finally:
        timer.cancel()
    if status != -signal.SIGKILL:
        return {"failed": f"exit status {status}: {line.strip()[:200]}"}
    return {"points": points, "busy": None if busy is None else processes.busy_seconds() - busy}


def make_table(folder):
    """Write features and labels: a network with random weights says the label, with some noise.

    Features have different scales and depend on each other; a tenth of the labels is wrong.
    """
    random = np.random.default_rng(0)
    features = random.normal(size=(24_000, 40)) @ random.normal(size=(40, 40)) / 40**0.5
    hidden = np.tanh(features @ random.normal(size=(40, 24)) / 4)
    labels = (hidden @ random.normal(size=(24, 5))).argmax(axis=1)
    wrong = random.random(len(labels)) < 0.1
    labels[wrong] = random.integers(5, size=wrong.sum())
    for split, rows in {"train": slice(20_000), "valid": slice(20_000, None)}.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        np.save(folder / split / "features.npy", features[rows].astype(np.float32))
        np.save(folder / split / "labels.npy", labels[rows].astype(np.uint8))


def add_model(project, folder):
    """Give a rendered project the model of the table, as its owner would."""
    text = (FOLDER / "search_table.py").read_text().replace("FOLDER", repr(str(folder)))
    (project / "models" / "table.py").write_text(text)
    registry = project / "models" / "__init__.py"
    lines = registry.read_text().replace(
        "import MNIST\n", "import MNIST\n    from models.table import Table\n"
    )
    registry.write_text(
        lines.replace("(LinearRegression, MNIST)", "(LinearRegression, MNIST, Table)")
    )


def best_so_far(result):
    """Arrays [epochs]: seconds, and the best score until then."""
    seconds, scores = np.array(result["points"]).T
    return seconds, np.maximum.accumulate(scores)


def reached(result, level):
    """(seconds, epochs) until a score was reached; infinite if it was not."""
    seconds, best = best_so_far(result)
    first = int(np.searchsorted(best, level))
    return (seconds[first], first + 1) if first < len(best) else (np.inf, np.inf)


def rows_of(results, problem, budget):
    """A row for each search: median seconds to each level, then the score at equal epochs and at
    the end, with the range over the rounds.
    """
    fewest = min(len(r["points"]) for rounds in results.values() for r in rounds)
    rows = []
    for label, rounds in results.items():
        cells = []
        for level in LEVELS[problem]:
            times = [reached(result, level)[0] for result in rounds]
            missed = sum(map(np.isinf, times))
            text = "-" if np.isinf(median(times)) else f"{median(times):.1f}"
            cells.append(f"{text} ({missed} never)" if missed else text)
        curves = [best_so_far(result)[1] for result in rounds]
        cells.append(f"{median(len(curve) for curve in curves):.0f}")
        for scores in ([c[fewest - 1] for c in curves], [c[-1] for c in curves]):
            cells.append(f"{median(scores):.4f} ({min(scores):.4f} - {max(scores):.4f})")
        rows.append([label, *cells])
    columns = ["search", *(f"s to {level}" for level in LEVELS[problem]), "epochs"]
    columns += [f"best after {fewest} epochs", f"after {budget:.0f} s"]
    return columns, rows


def draw(measured, budgets, path):
    """The best score so far against the clock: medians, and bands from least to most.

    budgets: {problem: seconds}.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(measured), figsize=(12, 5), layout="constrained")
    for panel, (problem, results) in zip(np.atleast_1d(panels), measured.items(), strict=True):
        highest = max(best_so_far(r)[1][-1] for rounds in results.values() for r in rounds)
        levels, grid = LEVELS[problem], np.linspace(0, budgets[problem], 400)
        for label, rounds in results.items():
            curves = []
            for result in rounds:
                seconds, best = best_so_far(result)
                index = np.searchsorted(seconds, grid, side="right") - 1
                curves.append(np.where(index < 0, 0.0, best[index]))
            colour, middle = SEARCHES[label][-1], np.median(curves, axis=0)
            if label.endswith("is known"):
                panel.plot(grid, middle, color=colour, linestyle="--", label=label)
                continue
            panel.plot(grid, middle, color=colour, label=label)
            low, high = np.min(curves, axis=0), np.max(curves, axis=0)
            panel.fill_between(grid, low, high, color=colour, alpha=0.08, linewidth=0)
        for level in levels:
            panel.axhline(level, color="0.6", linewidth=0.8, linestyle=":")
        margin = levels[-1] - levels[0]
        panel.set_ylim(levels[0] - 2 * margin, max(highest, levels[-1]) + margin / 10)
        panel.set(title=problem, xlabel="seconds since the start", ylabel="best on valid so far")
        panel.grid(alpha=0.2)
    figure.legend(
        *np.atleast_1d(panels)[0].get_legend_handles_labels(), loc="outside lower left", ncols=3
    )
    rounds = len(next(iter(next(iter(measured.values())).values())))
    figure.suptitle(
        f"Searches: median of {rounds} seeds, bands from the worst to the best", x=0.01, ha="left"
    )
    figure.savefig(path, dpi=125)
    pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--first_seed", type=int, default=0, help="of the first round")
    parser.add_argument("--seconds", type=float, help="of each search, instead of its problem's")
    parser.add_argument("--only", help="labels that begin with one of these, with commas")
    parser.add_argument("--problems", default=",".join(LEVELS))
    options = parser.parse_args()
    prepare.BUILD.mkdir(parents=True, exist_ok=True)
    machine = prepare.machine(2)
    _, project = prepare.template_and_project()
    folders = {"digits": prepare.real_digits(project), "table": prepare.BUILD / "table"}
    shutil.rmtree(folders["table"], ignore_errors=True)
    make_table(folders["table"])
    add_model(project, folders["table"])
    asked = tuple(options.only.split(",")) if options.only else ("",)
    searches = {n: search for n, search in SEARCHES.items() if n.startswith(asked)}
    measured, failed, budgets = {}, {}, {}
    told = prepare.BUILD / "search_peers.json"
    for problem in options.problems.split(","):
        results = measured[problem] = {label: [] for label in searches}
        budgets[problem] = options.seconds or SECONDS[problem]
        for i in range(options.rounds):
            for label, (program, own, threads, _) in searches.items():
                command = [sys.executable, FOLDER / f"{program}.py", f"--project={project}", *own]
                command += [f"--data={folders[problem]}", f"--problem={problem}"]
                command += [f"--seed={options.first_seed + i}"]
                result = follow(command, threads, budgets[problem])
                if not result.get("points"):
                    reason = result.get("failed", "said nothing in time")
                    failed[label] = [{"failed": reason}]
                    print(f"{problem}, round {i + 1}: {label}: {reason}", flush=True)
                    continue
                results[label].append(result)
                told.write_text(json.dumps(measured))  # an hour's work is not lost
                seconds, best = best_so_far(result)
                about = f"{len(best)} epochs, best {best[-1]:.4f}, first after {seconds[0]:.1f} s"
                print(f"{problem}, round {i + 1}: {label}: {about}", flush=True)
        measured[problem] = {label: rounds for label, rounds in results.items() if rounds}
    tables = [(f"Search: {p}", *rows_of(r, p, budgets[p])) for p, r in measured.items() if r]
    tables.append(report.not_measured(failed))
    about = f"{options.rounds} rounds, seeds from {options.first_seed}, two processes, eta 3"
    report.write("search_peers", about, machine, tables, prepare.BUILD, measured)
    draw(measured, budgets, prepare.BUILD / "search_peers.png")


if __name__ == "__main__":
    main()
