"""The same search for digits beside KerasTuner and Optuna: time, epochs trained, what was found.

In each round everybody has another seed.

    python benchmarks/search_peers.py --rounds=3

Writes build/bench/search_peers.md and .json. contestants/search_space.py has the space of networks.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import prepare
import processes
import report

FOLDER = Path(__file__).resolve().parent / "contestants"
EPOCH, MAX_EPOCHS, ETA = 550, 9, 3  # steps; as in contestants/search_space.py
SEARCH = prepare.BUILD / "search"


def ours(project, nb_process, *own):
    """Our search, as a user types it; --search_seed is added for each round."""
    flags = ["--model_name=MNIST", "--search=hyperband", f"--nb_process={nb_process}", *own]
    flags += ["--confirm=0"]  # the peers have none
    flags += [f"--max_iter={MAX_EPOCHS * EPOCH}", f"--min_iter={EPOCH}", f"--eta={ETA}"]
    return [sys.executable, project / "main.py", *flags, f"--result_dir={SEARCH}"]


def found_by_us(result):
    """Add what our search folder says to what its process took."""
    lines = (SEARCH / "ledger.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    reached = {}
    for record in sorted(records, key=lambda r: r["until"]):
        reached[record["trial"]] = record["until"]
    scores = [r["score"] for r in records if r["score"] is not None]
    epochs = sum(reached.values()) / EPOCH
    return result | {"epochs": epochs, "score": max(scores), "trials": len(reached)}


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    prepare.BUILD.mkdir(parents=True, exist_ok=True)
    _, project = prepare.template_and_project()
    data = prepare.real_digits(project)
    commands = {
        "ours, 2 processes": ours(project, 2),
        "ours, 1 process, 1 thread": ours(project, 1, "--threads=1"),
    }
    for label, name in (("KerasTuner", "search_keras_tuner"), ("Optuna", "search_optuna")):
        command = [sys.executable, FOLDER / f"{name}.py", f"--data={data}"]
        commands[f"{label}, Keras as it comes"] = [*command, "--as_it_comes"]
        commands[f"{label}, an epoch a call"] = command
    results = {name: [] for name in commands}
    for i in range(options.rounds):
        for name, command in commands.items():
            shutil.rmtree(SEARCH, ignore_errors=True)
            if name.startswith("ours"):
                result = found_by_us(processes.run([*command, f"--search_seed={i}"], 2))
                result.pop("output")
            else:
                whole = processes.run([*command, f"--seed={i}"], 2)
                lines = whole.pop("output").splitlines()
                last = json.loads(lines[-1]) if whole["status"] == 0 else {"failed": lines[-1]}
                result = whole | last
            results[name].append(result)
            print(f"round {i + 1}: {name}: {result}", flush=True)
    machine = prepare.machine(2)
    seconds = report.medians(results, "seconds")
    rows = []
    for name in seconds:
        medians = [report.medians(results, key)[name] for key in ("trials", "epochs", "score")]
        trials, epochs, score = medians
        relative = f"{seconds[name] / seconds['ours, 2 processes']:.2f}"
        cells = [relative, f"{trials:.0f}", f"{epochs:.0f}", f"{score:.4f}"]
        rows.append([name, *report.spread(results, name, "seconds", 1), *cells])
    columns = "search,seconds,min - max,others,times ours,trials,epochs,best on valid".split(",")
    tables = [("Search", columns, rows), report.not_measured(results)]
    about = f"{options.rounds} rounds, at most {MAX_EPOCHS} epochs to a trial, eta {ETA}"
    report.write("search_peers", about, machine, tables, prepare.BUILD, results)


if __name__ == "__main__":
    main()
