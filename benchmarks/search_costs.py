"""What a search of short trials costs in processor time, and what a new trial of it costs in parts.

    python benchmarks/search_costs.py              this project
    python benchmarks/search_costs.py PROJECT ...  others, one after the other: before and after

Trials of 100 steps of MNIST, each of another width, in one process: the time of all its threads, in
each part without the parts within it. Then a whole search, 69 jobs of 11 to 300 steps in 2
processes, with all processes that it starts; --trial leaves it out. Processor time depends less on
other programs than that of a clock, which is beside it. For Linux. Writes
build/bench/search_costs.md and .json.
"""

import argparse
import contextlib
import ctypes
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import prepare
import report

TRIALS = 8
SEARCH = ["--model_name=MNIST", "--search=hyperband", "--max_iter=300", "--min_iter=11",
          "--confirm=0", "--nb_process=2"]  # fmt: skip
PR_SET_CHILD_SUBREAPER = 36


class Parts:
    """Adds up the processor time of functions, without what others take within them."""

    def __init__(self):
        self.seconds, self.within = {}, [0.0]

    def wrap(self, owner, name, part, when=lambda *arguments: True):
        function = getattr(owner, name)

        def timed(*arguments, **options):
            if not when(*arguments):
                return function(*arguments, **options)
            began = sum(os.times()[:4])
            self.within.append(0.0)
            try:
                return function(*arguments, **options)
            finally:
                took, inner = sum(os.times()[:4]) - began, self.within.pop()
                self.within[-1] += took
                self.seconds[part] = self.seconds.get(part, 0.0) + took - inner

        setattr(owner, name, timed)


def parts_of_a_trial():
    """In a process whose folder is the project: {part: seconds of a new trial}, the mean."""
    sys.path.insert(0, os.getcwd())
    import models  # first, because it imports TensorFlow lazily
    from hpsearch import trial
    from models.basic_model import BasicModel
    from training import checkpoints, events, preparation, provenance, run, steps

    parts = Parts()
    parts.wrap(trial, "run_job", "all else")
    parts.wrap(preparation, "build", "build the graph")
    parts.wrap(preparation, "build_loop", "build the loop")
    parts.wrap(preparation, "operations", "digest of the graph")
    parts.wrap(steps.CompiledLoop, "run", "train", lambda loop, session, rows, fed: len(rows) > 0)
    parts.wrap(steps.CompiledLoop, "run", "compile", lambda loop, session, rows, fed: not len(rows))
    parts.wrap(run.Run, "start", "start the run")
    parts.wrap(provenance, "environment", "say what it runs on")
    parts.wrap(events.Events, "__init__", "TensorBoard's graph")
    parts.wrap(run.Run, "log_evaluation", "TensorBoard's histograms")
    parts.wrap(checkpoints.Checkpoints, "write", "write checkpoints")
    parts.wrap(checkpoints.Checkpoints, "load", "load checkpoints")
    parts.wrap(run.Run, "wait", "commit checkpoints")
    parts.wrap(BasicModel, "evaluate", "evaluate")
    cache, config = trial.ModelCache(), {"model_name": "MNIST", "max_iter": 100, "random_seed": 0}
    config |= {"max_to_keep": 1, "threads": 1}
    if "short" in {s.name: s for s in models.MNIST.settings()}["jit"].choices:
        config["jit"] = "short"  # as a search asks for
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        for number in range(2 + TRIALS):
            if number == 2:  # the first ones bring what the process needs once
                parts.seconds.clear()
            own = {"hidden1": 60 + number, "result_dir": f"{folder}/{number}"}
            outcome = trial.run_job(config | own, 100, cache)
            assert outcome.state == "trained", outcome
    return {part: seconds / TRIALS for part, seconds in parts.seconds.items()}


def whole_search(project):
    """Run the search. Returns (processor time of all its processes, seconds of a clock)."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # so that no process is lost sight of
    with tempfile.TemporaryDirectory() as folder:
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, "main.py", *SEARCH, f"--result_dir={folder}/search"]
        process = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL)
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.wait()
                assert pid != process.pid or status == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert Path(folder, "search", "best.json").exists()
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return processor, time.perf_counter() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("projects", nargs="*", type=Path)
    parser.add_argument("--trial", action="store_true", help="the parts of a trial alone")
    parser.add_argument("--parts", action="store_true", help=argparse.SUPPRESS)  # for a process
    options = parser.parse_args()
    if options.parts:
        print(json.dumps(parts_of_a_trial()))
        return
    prepare.BUILD.mkdir(parents=True, exist_ok=True)
    if not options.projects:
        _, project = prepare.template_and_project()
        options.projects.append(project)
    found = {}
    for number, project in enumerate(options.projects, start=1):
        prepare.real_digits(project)
        command = [sys.executable, __file__, "--parts"]
        answer = subprocess.run(command, cwd=project, check=True, stdout=subprocess.PIPE)
        parts = json.loads(answer.stdout)
        parts["a new trial"] = sum(parts.values())
        if not options.trial:
            parts["the whole search"], parts["its time on a clock"] = whole_search(project)
        found[f"{number}: {project.name}"] = parts
    rows = list(dict.fromkeys(part for parts in found.values() for part in parts))
    cells = [
        [row, *(f"{parts[row]:.3f}" if row in parts else "" for parts in found.values())]
        for row in rows
    ]
    tables = [("Seconds of processors", ["part", *found], cells)]
    report.write("search_costs", "two processes", prepare.machine(2), tables, prepare.BUILD, found)


if __name__ == "__main__":
    main()
