"""Measure this project against what else a user would pick, side by side, on the same work.

    python benchmarks/run.py                     everything, five rounds: about 15 minutes
    python benchmarks/run.py --only=project_bare,jax_scan --rounds=1 --epochs=2

Each round runs every contestant once, in a process of its own. Writes build/bench/results.json,
results.md and steps.png; see benchmarks/README.md for what the numbers mean. MNIST_MIRROR may name
a folder or URL with the digits.
"""

import argparse
import os
import sys
from pathlib import Path

import prepare
import processes
import report

FOLDER = Path(__file__).resolve().parent / "contestants"
STEPS_PER_EPOCH = 550

# Training loops: (kind, label in the chart, program and its switches). Each prints what it reached.
LOOPS = {
    "numpy_matmul": ("limit", "the matrix products alone, NumPy", "numpy_matmul.py"),
    "project_bare": ("ours", "this project, bare loop", "project_bare.py"),
    "project_run": ("ours", "this project, real run", "project_run.py"),
    "jax_scan": ("peer", "JAX, jit + scan", "jax_scan.py"),
    "torch_eager": ("peer", "PyTorch, eager", "torch_eager.py"),
    "torch_compile": ("peer", "PyTorch, torch.compile", "torch_compile.py"),
    "keras_fit": ("peer", "Keras fit, as it comes", "keras_fit.py"),
    "keras_best": ("peer", "Keras fit, an epoch a call", "keras_best.py"),
    "keras_best_jit": ("peer", "Keras fit, an epoch a call, XLA", "keras_best.py --jit"),
    "feed_dict": ("peer", "TensorFlow 1 session, feed_dict", "feed_dict.py"),
    "tf_data": ("peer", "TensorFlow 1 session, tf.data", "tf_data.py"),
}

# Goals: what is divided by what (the best of several), from which value on it is reached.
GOALS = (
    ("bare loop / NumPy's products", "project_bare", ["numpy_matmul"], 0.80),
    ("bare loop / JAX", "project_bare", ["jax_scan"], 1.0),
    ("bare loop / PyTorch, its best", "project_bare", ["torch_eager", "torch_compile"], 1.8),
    ("bare loop / Keras, its best", "project_bare", ["keras_best", "keras_best_jit"], 2.5),
    ("bare loop / Keras as it comes", "project_bare", ["keras_fit"], 7),
    ("bare loop / feed_dict", "project_bare", ["feed_dict"], 2.5),
    ("real run / bare loop", "project_run", ["project_bare"], 0.93),
)


def whole_processes(template, project, data, epochs):
    """Programs that are timed from start to exit: {name: (command, folder)}."""
    python, shell = sys.executable, [sys.executable, "main.py"]
    training = ["--model_name=MNIST", "--lr=0.1", f"--max_iter={epochs * STEPS_PER_EPOCH}"]
    keras = [python, FOLDER / "keras_script.py", f"--data={data}", f"--epochs={epochs}"]
    cookiecutter = [python, "-m", "cookiecutter", "--no-input", "--overwrite-if-exists"]
    return {
        "process_project": ([*shell, *training], project),
        "process_keras": (keras, None),
        "help": ([*shell, "--help"], project),
        "import_tensorflow": ([python, "-c", "import tensorflow"], None),
        "render": ([*cookiecutter, "--output-dir", prepare.BUILD / "rendered", template], None),
    }


def all_commands(threads, epochs):
    """Every contestant: {name: (command, folder it runs in)}."""
    template, project = prepare.template_and_project()
    data = prepare.real_digits(project)
    common = [f"--project={project}", f"--data={data}", f"--epochs={epochs}"]
    commands = {}
    for name, (_, _, program) in LOOPS.items():
        file, *switches = program.split()
        command = [sys.executable, FOLDER / file, *switches, *common, f"--threads={threads}"]
        commands[name] = (command, None)
    return commands | whole_processes(template, project, data, epochs)


def rounds(commands, count, threads):
    """Run all in turn, count times; who fails is not asked again. Returns {name: [result]}."""
    results = {name: [] for name in commands}
    for i in range(count):
        for name, (command, folder) in commands.items():
            if any("failed" in result for result in results[name]):
                continue
            result = processes.measure_undisturbed(command, threads, folder)
            results[name].append(result)
            speed = result.get("steps_per_second")
            text = f"{speed:,.0f} steps/s" if speed else f"{result.get('seconds', 0):.2f} s"
            print(f"round {i + 1}: {name}: {result.get('failed') or text}", flush=True)
    return results


def goals(loops, whole):
    """Rows of what is to be reached, as far as it was measured."""
    speeds, seconds = report.medians(loops, "steps_per_second"), report.medians(whole, "seconds")
    memory = report.medians(whole, "peak_memory_mb")
    found = []
    for text, ours, peers, least in GOALS:
        rivals = [speeds[name] for name in peers if name in speeds]
        if ours in speeds and rivals:
            value = speeds[ours] / max(rivals)
            found.append((text, f"{value:.2f}", f"at least {least:g}", value >= least))
    if {"process_project", "process_keras"} <= seconds.keys():
        value = seconds["process_keras"] / seconds["process_project"]
        found.append(("whole process / Keras script", f"{value:.2f}", "at least 2", value >= 2))
    for name, most in (("help", 0.5), ("render", 1.0)):
        if name in seconds:
            value = seconds[name]
            found.append((name, f"{value:.2f} s", f"under {most:g} s", value < most))
    if {"process_project", "import_tensorflow"} <= memory.keys():
        value = memory["process_project"] - memory["import_tensorflow"]
        text = "memory above import tensorflow"
        found.append((text, f"{value:,.0f} MiB", "under 250 MiB", value < 250))
    return [[*row, "yes" if reached else "no"] for *row, reached in found]


def tables(results):
    """All tables, as (title, columns, rows)."""
    loops = {name: r for name, r in results.items() if name in LOOPS}
    whole = {name: r for name, r in results.items() if name not in LOOPS}
    loop_columns = "contestant,steps/s,min - max,others,µs a step,ratio,test accuracy,peak MiB"
    whole_columns = "program,seconds,min - max,others,test accuracy,peak MiB"
    found = (
        ("Training loop", loop_columns, report.loop_rows(loops)),
        ("Whole process", whole_columns, report.process_rows(whole)),
        ("Goals", "measure,measured,goal,reached", goals(loops, whole)),
    )
    found = [(title, columns.split(","), rows) for title, columns, rows in found]
    return [*found, report.not_measured(results)]


def main():
    parser = argparse.ArgumentParser(
        allow_abbrev=False, description="Measure the project against its peers, side by side."
    )
    parser.add_argument("--only", help="contestants to run, with commas; all without it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10, help="timed epochs of each contestant")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count()))
    options = parser.parse_args()
    if min(options.rounds, options.epochs, options.threads) < 1:
        parser.error("--rounds, --epochs and --threads must be 1 or more")

    prepare.BUILD.mkdir(parents=True, exist_ok=True)
    machine = prepare.machine(options.threads)
    processes.limit_to(options.threads)
    commands = all_commands(options.threads, options.epochs)
    if options.only:
        wanted = options.only.split(",")
        unknown = [name for name in wanted if name not in commands]
        if unknown:
            parser.error(f"--only={unknown[0]} is unknown; known: {', '.join(commands)}")
        commands = {name: commands[name] for name in wanted}

    results = rounds(commands, options.rounds, options.threads)
    about = f"{options.rounds} rounds of {options.epochs} epochs, {options.threads} threads"
    about += processes.disturbances(results.values())
    report.write("results", about, machine, tables(results), prepare.BUILD, results)
    loops = {name: found for name, found in results.items() if name in LOOPS}
    labels = {name: (kind, label) for name, (kind, label, _) in LOOPS.items()}
    chart = prepare.BUILD / "steps.png"
    report.chart(loops, labels, chart, f"{machine['processor']}\n{about}")
    print(f"The chart is {chart}")


if __name__ == "__main__":
    main()
