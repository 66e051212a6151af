"""Kill training again and again; what is left must equal a run that was never killed.

    python tests/kills.py --kills=300                   each model of the registry
    python tests/kills.py --model_name=MNIST
    python tests/kills.py --nb_workers=2                one of two workers each time
    python tests/kills.py --kills=20 --spoil=order      must find differences: a negative control

Every kill is a SIGKILL, before a random line of the project's own code or at a random moment, which
may be inside TensorFlow. The other workers of a killed one must end by themselves. The processes
are forked from one that has imported TensorFlow and done nothing else with it, so that a start
takes a moment. For Linux: Windows has no fork, and on macOS no one has tried it.
Exit status 1: there are differences.
"""

import argparse
import functools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import matplotlib.figure  # noqa: E402, F401 - once, before any fork
import tensorflow as tf  # noqa: E402
from defects import DEFECTS, spoil  # noqa: E402
from runs import curves, digests, metrics  # noqa: E402
from toy import Toy  # noqa: E402

from models import MODELS, make_model  # noqa: E402
from training import contract, preparation  # noqa: E402
from training.cluster import WorkerLost  # noqa: E402
from training.files import PROJECT  # noqa: E402
from training.launcher import free_ports  # noqa: E402

MODELS["Toy"] = Toy
VERSION = tf.__version__  # imports TensorFlow, once and before any fork
CONFIG = {
    "random_seed": 3, "max_iter": 120, "save_every": 20, "log_every": 5, "eval_every": 30,
    "max_to_keep": 2, "threads": 1, "worker_timeout": 60,
}  # fmt: skip
VARIANTS = [
    {"optimizer": "momentum", "jit": "off"},
    {"optimizer": "adam", "jit": "loop"},
    {"optimizer": "sgd", "jit": "loop"},
    {"optimizer": "adam", "jit": "off"},
]
LOST = 75  # what a worker that has lost another one exits with
LIMIT = 600  # seconds in which a run, or what is left of it after a kill, must end
EXAMPLES = 500  # of each split, or two batches
WRITERS = {"run", "loop", "checkpoints", "files", "folders", "metrics", "events"}  # of training/
KILLS_A_RUN = 6  # at most; then it may end


def make_fewer_inputs(model_class, config):
    """Let a model use few examples, loaded once for all processes. Returns its batch_size, or the
    next smaller one that its workers can share.
    """
    probe = object.__new__(model_class)
    probe.config = model_class.complete(config)
    size = probe.config["batch_size"] - probe.config["batch_size"] % config["nb_workers"]
    original, few = model_class.inputs, max(EXAMPLES, 2 * size)

    @functools.cache
    def inputs(split):
        return {name: array[:few] for name, array in original(probe, split).items()}

    for split in ("train", "valid", "test"):
        inputs(split)
    model_class.inputs = lambda self, split: inputs(split)
    return size


def kill_before_line(number, count):
    """Kill this process before it runs that line of the files that write; counts them."""
    files = {str(PROJECT / "training" / f"{name}.py") for name in WRITERS}

    def trace(frame, event, argument):
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            count[0] += 1
            if count[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    threading.settrace(trace)
    sys.settrace(trace)


def child(function):
    """Call a function in a forked process; returns its pid. What it prints is dropped."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        function()
        status = 0
    except WorkerLost as error:
        print(error, file=sys.stderr)
        status = LOST
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def start(config, line, how, answer=None):
    """Train in a child for each worker, the chief first; it is killed before a line if one is
    given. Returns their pids.
    """
    count = config["nb_workers"]
    hosts = [f"localhost:{port}" for port in free_ports(count)]
    return [child(lambda i=i: train(config, hosts, i, line, how, answer)) for i in range(count)]


def train(config, hosts, index, line, how, answer):
    """In a child: train as that worker."""
    task = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
    os.environ["TF_CONFIG"] = json.dumps(task)
    count = [0]
    spoil(how)
    if index == 0:
        kill_before_line(line, count)
    with make_model(config) as model:
        model.train()
    if answer and index == 0:
        answer.write_text(str(count[0]))


def left_by(folder):
    """What must be equal: weights digests, records, and TensorBoard's curves."""
    return {
        "digests": digests(folder),
        "metrics": metrics(folder),
        "curves": {" ".join(name): points for name, points in curves(folder).items()},
    }


def difference(folder, straight, answer):
    """What differs between two runs: compared in a child, as it needs TensorFlow."""

    def compare():
        found, expected = left_by(folder), left_by(straight)
        answer.write_text(json.dumps([name for name in found if found[name] != expected[name]]))

    wait([child(compare)])
    return json.loads(answer.read_text())


def wait(pids):
    """Wait for children. Returns whether one was killed; RuntimeError if one failed or hangs."""
    found, end = [], time.monotonic() + LIMIT
    for pid in pids:
        while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
            if time.monotonic() > end:
                for left in pids[len(found) :]:
                    os.kill(left, signal.SIGKILL)
                raise RuntimeError(f"a run did not end within {LIMIT} seconds")
            time.sleep(0.01)
        found.append(os.waitstatus_to_exitcode(ended[1]))
    killed = min(found) < 0
    if set(found) - ({0, LOST, -signal.SIGKILL} if killed else {0}):
        raise RuntimeError("a run failed, see above")
    return killed


def killed_run(config, how, chance, lines, seconds, most):
    """Train, killed `most` times at most and started again, to the end. Returns the kills."""
    kills = 0
    for _ in range(most):
        # A defect that is put in shows after the first checkpoint and before the last.
        first, last = (lines // 3, lines * 2 // 3) if how else (1, lines)
        at_line = how or chance.random() < 0.7 / config["nb_workers"]  # a line of the chief's
        line = chance.randrange(first, last) if at_line else 0
        pids = start(config, line, how)
        if not at_line:
            time.sleep(chance.uniform(0, seconds))
            os.kill(chance.choice(pids), signal.SIGKILL)
        if not wait(pids):
            return kills
        kills += 1
    wait(start(config, 0, how))
    return kills


def campaign(model_name, options, folder):
    """Kill until there are enough. Returns {"kills", "runs", "different": [...]}."""
    chance, kills, how = random.Random(options.seed), options.kills, options.spoil
    config = CONFIG | {"model_name": model_name, "nb_workers": options.nb_workers}
    config |= {"fake_data": True} if MODELS[model_name].has_fake_data else {}
    config["batch_size"] = make_fewer_inputs(MODELS[model_name], config)
    # Otherwise most kills would hit the second build of the graph, before any training.
    preparation.compared.add(MODELS[model_name])
    answer, probe = folder / "answer", object.__new__(MODELS[model_name])
    result = {"kills": 0, "runs": 0, "different": [], "seed": options.seed, "tensorflow": VERSION}
    while result["kills"] < kills:
        number = result["runs"] % len(VARIANTS)
        straight, run = folder / f"straight-{number}", folder / f"run-{result['runs']}"
        variant = config | VARIANTS[number]
        if variant["nb_workers"] > 1 and variant["jit"] == "loop":
            # They meet between steps, and an update of the model's own meets within them.
            variant["jit"] = "off" if contract.has_own_update(probe) else "step"
        if not straight.exists():
            began = time.monotonic()
            wait(start(variant | {"result_dir": str(straight)}, 0, how, answer))
            lines, seconds = int(answer.read_text()), time.monotonic() - began
        settings = variant | {"result_dir": str(run)}
        most = min(KILLS_A_RUN, kills - result["kills"])
        result["kills"] += killed_run(settings, how, chance, lines, seconds, most)
        result["runs"] += 1
        differs = difference(run, straight, answer)
        if differs:
            result["different"].append({"run": run.name, **VARIANTS[number], "in": differs})
        shutil.rmtree(run)
    return result


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False, description="Kill training at random.")
    parser.add_argument("--model_name", choices=tuple(MODELS), help="default: each but the toy")
    parser.add_argument("--nb_workers", type=int, default=1)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--spoil", choices=DEFECTS, help="a defect that must be found")
    options = parser.parse_args()
    names = [options.model_name] if options.model_name else [n for n in MODELS if n != "Toy"]
    if options.nb_workers > 1:  # they cannot share an epoch of the model's own
        names = [n for n in names if "learn_from_epoch" not in vars(MODELS[n])]
    results = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            results[name] = campaign(name, options, Path(folder))
    print(json.dumps(results))
    return 1 if any(result["different"] for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
