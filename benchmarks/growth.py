"""What grows with what: time per step and time to resume against the sizes of things.

    python benchmarks/growth.py                            all tables, three rounds
    python benchmarks/growth.py --only=chunk --rounds=1    one of them

Writes build/bench/growth.md and growth.json. Each point is a process of its own.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

import prepare
import processes
import report

POINT = Path(__file__).resolve().parent / "growth_point.py"

# The sizes of each table, and what it tells. Where the work itself grows, NumPy's products at the
# same size stand beside it, and it is their ratio that must not fall.
SIZES = {
    "examples": ("Training set", (1_000, 10_000, 100_000, 1_000_000)),
    "chunk": ("Steps in a session call", (1, 10, 100, 1_000)),
    "batch_size": ("Batch size", (32, 100, 256, 1_024, 4_096)),
    "width": ("Units in both hidden layers", (32, 128, 512, 1_024)),
    "resume": ("Steps already trained", (1_000, 10_000, 100_000)),
}
WITH_PRODUCTS = ("batch_size", "width")


def commands(table, size, project, options):
    """The programs that measure one row: {column: command}."""
    common = [sys.executable, POINT, f"--project={project}", f"--threads={options.threads}"]
    if table == "resume":
        return {"resume": [*common, "--what=resume", f"--result_dir={run_folder(size)}"]}
    common += [f"--seconds={options.seconds}", f"--{table}={size}"]
    found = {"steps": [*common, "--what=steps"]}
    if table in WITH_PRODUCTS:
        found["products"] = [*common, "--what=products"]
    return found


def run_folder(steps):
    return prepare.BUILD / "resume" / str(steps)


def finished_runs(project, sizes, threads):
    """Train what is to be resumed: the network at its defaults, on made-up digits."""
    shutil.rmtree(prepare.BUILD / "resume", ignore_errors=True)
    for steps in sizes:
        flags = ["--model_name=MNIST", "--fake_data", "--random_seed=0", f"--max_iter={steps}"]
        command = [sys.executable, "main.py", *flags, f"--result_dir={run_folder(steps)}"]
        print(f"resume: a run of {steps:,} steps", flush=True)
        result = processes.run(command, threads, project)
        if result["status"]:
            print(result["output"][-500:])


def measure_table(table, project, options):
    """Run every point of a table, in rounds. Returns {"size column": [result in each round]}."""
    sizes = SIZES[table][1]
    if table == "resume":
        finished_runs(project, sizes, options.threads)
    results = {}
    for i in range(options.rounds):
        for size in sizes:
            for column, command in commands(table, size, project, options).items():
                result = processes.measure_undisturbed(command, options.threads)
                results.setdefault(f"{size} {column}", []).append(result)
                value = {k: round(v, 3) for k, v in result.items() if isinstance(v, float)}
                print(f"round {i + 1}: {table}={size} {column}: {value or result}", flush=True)
    return results


def rows(table, results):
    """The rows of a table, in order of size, with the growth since the smallest."""
    key = "milliseconds" if table == "resume" else "microseconds"
    column = "resume" if table == "resume" else "steps"
    times, failed, found = report.medians(results, key), report.failures(results), []
    first = None
    for size in SIZES[table][1]:
        name = f"{size} {column}"
        if name not in times:
            found.append([f"{size:,}", failed.get(name, "not measured")])
            continue
        row = [f"{size:,}", *report.spread(results, name, key, 1)]
        value = times[name]
        if table in WITH_PRODUCTS:
            products = times.get(f"{size} products")
            if products is None:
                found.append([*row, failed.get(f"{size} products", "not measured")])
                continue
            value = products / times[name]
            row += [f"{products:,.1f}", f"{value:.2f}"]
        first = first or value
        found.append([*row, f"{value / first:.2f}"])
    return found


def columns(table):
    """The heads of a table's columns."""
    unit = "ms to resume" if table == "resume" else "µs a step"
    heads = [SIZES[table][0].lower(), unit, "min - max", "others"]
    if table in WITH_PRODUCTS:
        heads += ["NumPy, µs", "NumPy / ours"]
    return [*heads, "growth"]


def main():
    parser = argparse.ArgumentParser(
        allow_abbrev=False, description="Measure what grows with what, and what should not."
    )
    parser.add_argument("--only", help=f"tables, with commas, of {', '.join(SIZES)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="to time each point of steps")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count()))
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else list(SIZES)
    for name in wanted:
        if name not in SIZES:
            parser.error(f"--only={name} is unknown; known: {', '.join(SIZES)}")
    if min(options.rounds, options.threads) < 1 or options.seconds <= 0:
        parser.error("--rounds, --threads and --seconds must be positive")

    prepare.BUILD.mkdir(parents=True, exist_ok=True)
    machine = prepare.machine(options.threads)
    processes.limit_to(options.threads)
    _, project = prepare.template_and_project()
    prepare.real_digits(project)
    results = {table: measure_table(table, project, options) for table in wanted}
    tables = [(SIZES[t][0], columns(t), rows(t, found)) for t, found in results.items()]
    about = f"{options.rounds} rounds, {options.threads} threads"
    about += processes.disturbances(r for found in results.values() for r in found.values())
    report.write("growth", about, machine, tables, prepare.BUILD, results)


if __name__ == "__main__":
    main()
