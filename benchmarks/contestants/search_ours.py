"""This project's Hyperband in two processes, as a user types it; it reads what runs record."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import search_space as space

LOOK = 0.05  # seconds
SAMPLERS = ("gp", "tpe", "random")


def main():
    options = space.arguments(*SAMPLERS, "known")
    _, _, first, epochs, steps = space.PROBLEMS[options.problem]
    flags = ["--search=hyperband"]
    flags += [f"--sampler={name}" for name in SAMPLERS if getattr(options, name)]
    flags += [f"--model_name={'Table' if options.problem == 'table' else 'MNIST'}"]
    flags += [f"--search_seed={options.seed}", f"--trials={space.MOST}", "--nb_process=2"]
    flags += [f"--max_iter={epochs * steps}", f"--min_iter={first * steps}", f"--eta={space.ETA}"]
    known = [space.KNOWN[options.problem]] if options.known else []  # the peers have none
    flags += [f"--eval_every={steps}", "--confirm=0", f"--try={json.dumps(known)}"]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, options.project / "main.py", *flags, f"--result_dir={folder}/s"]
        search, told = subprocess.Popen(command, stdout=subprocess.DEVNULL), {}
        while search.poll() is None:
            time.sleep(LOOK)
            for file in Path(folder).glob("s/trials/*/metrics.jsonl"):
                read(file, told)


def read(file, told):
    """Tell the referee what a trial's file has that it was not told before."""
    lines = file.read_bytes()[told.get(file, 0) :]
    whole = lines[: lines.rfind(b"\n") + 1]
    told[file] = told.get(file, 0) + len(whole)
    for record in map(json.loads, whole.splitlines()):
        if record["split"] == "valid":
            space.tell(record["accuracy"])


if __name__ == "__main__":
    main()
