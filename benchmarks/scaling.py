"""Measure data-parallel training on this machine: 1, 2 and 4 workers, beside the peers.

    python benchmarks/scaling.py                 five rounds, about ten minutes
    python benchmarks/scaling.py --rounds=1 --epochs=2

The work is that of benchmarks/run.py, whose batch of 100 is shared by the workers; each has one
thread. More workers than cores share the cores. Writes build/bench/scaling.md and .json.
"""

import argparse
import os
import sys

import prepare
import processes
import report
from run import FOLDER

WORKERS = (1, 2, 4)
PROGRAMS = ("project_workers.py", "keras_workers.py", "torch_workers.py")
COLUMNS = ["contestant", "steps/s", "min - max", "others", "µs a step", "to one worker",
           "test accuracy", "kB a step"]  # fmt: skip


def rows_of(results):
    """One row for each contestant and number of workers."""
    speeds, accuracies, sent = (
        report.medians(results, key) for key in ("steps_per_second", "accuracy", "bytes_per_step")
    )
    for name in speeds:
        one = speeds.get(f"{name.split(',')[0]}, 1")
        cells = report.spread(results, name, "steps_per_second")
        yield [name, *cells, f"{1e6 / speeds[name]:,.0f}",
               f"{speeds[name] / one:.2f}" if one else "-", f"{accuracies[name]:.4f}",
               f"{sent[name] / 1000:,.0f}" if name in sent else "-"]  # fmt: skip


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5, help="timed epochs of each contestant")
    options = parser.parse_args()
    prepare.BUILD.mkdir(parents=True, exist_ok=True)
    machine = prepare.machine(os.cpu_count())
    _, project = prepare.template_and_project()
    data = prepare.real_digits(project)
    results = {}
    for number in range(options.rounds):
        for program in PROGRAMS:
            for workers in WORKERS:
                name = f"{program.removesuffix('_workers.py')}, {workers}"
                command = [sys.executable, FOLDER / "cluster.py", str(workers), program,
                           f"--project={project}", f"--data={data}", f"--epochs={options.epochs}",
                           "--threads=1"]  # fmt: skip
                result = processes.measure_undisturbed(command, 1)
                results.setdefault(name, []).append(result)
                reached = result.get("failed") or round(result["steps_per_second"])
                print(f"round {number + 1}: {name}: {reached}", flush=True)
    table = "Workers that share each batch of 100", COLUMNS, list(rows_of(results))
    tables = [table, report.not_measured(results)]
    about = f"{options.rounds} rounds of {options.epochs} epochs, one thread to each worker"
    about += processes.disturbances(results.values())
    report.write("scaling", about, machine, tables, prepare.BUILD, results)


if __name__ == "__main__":
    main()
