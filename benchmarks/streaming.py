"""Measure training on data that stays on the disk, beside data in memory and beside the peers.

    python benchmarks/streaming.py               five rounds, some minutes
    python benchmarks/streaming.py --rounds=1 --epochs=2

The work is that of benchmarks/run.py; all read the same files of MNIST. Writes
build/bench/streaming.md and .json. "waited" is the part of the time that steps waited for data.
"""

import argparse
import os
import sys

import prepare
import processes
import report
from run import FOLDER

LOOPS = (
    "project_bare.py",
    "project_stream.py",
    "project_tf_data.py",
    "keras_stream.py",
    "torch_stream.py --workers=0",
    "torch_stream.py --workers=1",
    "torch_stream.py --workers=2",
)
COLUMNS = ["contestant", "steps/s", "min - max", "others", "µs a step", "ratio", "test accuracy",
           "peak MiB", "waited"]  # fmt: skip


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10, help="timed epochs of each contestant")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count()))
    options = parser.parse_args()
    prepare.BUILD.mkdir(parents=True, exist_ok=True)
    machine = prepare.machine(options.threads)
    processes.limit_to(options.threads)
    _, project = prepare.template_and_project()
    data = prepare.real_digits(project)
    results = {}
    for number in range(options.rounds):
        for loop in LOOPS:
            name = loop.replace(".py", "").replace(" --", ", ")
            file, *switches = loop.split()
            command = [sys.executable, FOLDER / file, *switches, f"--project={project}",
                       f"--data={data}", f"--epochs={options.epochs}",
                       f"--threads={options.threads}"]  # fmt: skip
            result = processes.measure_undisturbed(command, options.threads)
            results.setdefault(name, []).append(result)
            print(
                f"round {number + 1}: {name}: {result.get('failed') or result['steps_per_second']}"
            )
    waited = report.medians(results, "input_wait")
    rows = [
        [*row, f"{waited[row[0]]:.1%}" if row[0] in waited else "-"]
        for row in report.loop_rows(results)
    ]
    tables = [("Data on the disk", COLUMNS, rows), report.not_measured(results)]
    about = f"{options.rounds} rounds of {options.epochs} epochs, {options.threads} threads"
    about += processes.disturbances(results.values())
    report.write("streaming", about, machine, tables, prepare.BUILD, results)


if __name__ == "__main__":
    main()
