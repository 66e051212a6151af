"""How long `--compare` takes, with up to 10,000 run folders.

    python benchmarks/compare.py

The folders are made up: they have the files of a real run, with source files of 100 kB in
config.json, and each configuration has five seeds. Timed is a whole process, from start to exit.
Writes build/bench/compare.md and compare.json.
"""

import json
import shutil
import statistics
import sys

import prepare
import processes
import report

SIZES = (10, 1_000, 10_000)
SEEDS, EVALUATIONS, SOURCES = 5, 20, 100_000
FORMATS = ("text", "csv")


def make_run(folder, number):
    """Write the files of a run that took 20,000 steps."""
    seed, of = number % SEEDS, number // SEEDS
    config = {"model_name": "MNIST", "lr": 1 / (1 + of), "optimizer": "sgd", "max_iter": 20_000}
    config |= {"random_seed": seed, "log_every": 100, "result_dir": str(folder)}
    about = {"environment": {"sources": {"main.py": {"text": "x = 1\n" * (SOURCES // 6)}}}}
    (folder / "checkpoints").mkdir(parents=True)
    content = {"config": config, **about, "resumed": []}
    (folder / "config.json").write_text(json.dumps(content, indent=2) + "\n")
    status = {"status": "complete", "step": 20_000, "seconds": 12.5 + seed}
    (folder / "status.json").write_text(json.dumps(status, indent=2) + "\n")
    values = {"loss": 0.1 + number / 1e6, "accuracy": 0.98 - number / 1e6}
    best = {"step": 20_000, "valid": values}
    (folder / "checkpoints" / "best.json").write_text(json.dumps(best, indent=2) + "\n")
    lines = []
    for step in range(100, 20_001, 100):
        lines.append({"step": step, "split": "train", "loss": 0.1, "examples_per_second": 90_000})
        if step % (20_000 // EVALUATIONS) == 0:
            lines += [{"step": step, "split": s, **values} for s in ("train_sample", "valid")]
    lines.append({"step": 20_000, "split": "test", **values})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def seconds(project, runs, form):
    """How long a process takes that compares all runs: the median of three, after a first one."""
    command = [sys.executable, "main.py", "--compare", runs, f"--format={form}"]
    found = [processes.run(command, 2, project) for _ in range(4)]
    assert all(result["status"] == 0 for result in found), found[0]["output"][-500:]
    return statistics.median(result["seconds"] for result in found[1:])


def main():
    prepare.BUILD.mkdir(parents=True, exist_ok=True)
    _, project = prepare.template_and_project()
    machine = prepare.machine(2)
    runs, made, rows = prepare.BUILD / "runs", 0, []
    shutil.rmtree(runs, ignore_errors=True)
    for size in SIZES:
        for number in range(made, size):
            make_run(runs / f"{number:05}", number)
        made = size
        rows.append([f"{size:,}", *(f"{seconds(project, runs, form):.2f}" for form in FORMATS)])
        print(*rows[-1], flush=True)
    shutil.rmtree(runs)
    columns = ["run folders", *(f"--format={form}" for form in FORMATS)]
    table = "Seconds to compare runs", columns, rows
    report.write("compare", "one process", machine, [table], prepare.BUILD, rows)


if __name__ == "__main__":
    main()
