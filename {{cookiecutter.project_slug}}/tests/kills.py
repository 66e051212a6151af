"""Kill training again and again; what is left must equal a run that was never killed.

    python tests/kills.py --kills=300                   each model of the registry
    python tests/kills.py --model_name=MNIST
    python tests/kills.py --kills=20 --spoil=order      must find differences: a negative control

Every kill is a SIGKILL, before a random line of the project's own code or at a random moment, which
may be inside TensorFlow. The processes are forked from one that has imported TensorFlow and done
nothing else with it, so that a start takes a moment. For Linux: Windows has no fork, and on macOS
no one has tried it.
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
from runs import curves, digests, metrics  # noqa: E402
from toy import Toy  # noqa: E402

from models import MODELS, make_model  # noqa: E402
from training import batches, preparation  # noqa: E402
from training.files import PROJECT  # noqa: E402

MODELS["Toy"] = Toy
VERSION = tf.__version__  # imports TensorFlow, once and before any fork
CONFIG = {
    "random_seed": 3, "max_iter": 120, "save_every": 20, "log_every": 5, "eval_every": 30,
    "max_to_keep": 2, "threads": 1,
}  # fmt: skip
VARIANTS = [
    {"optimizer": "momentum", "jit": "off"},
    {"optimizer": "adam", "jit": "loop"},
    {"optimizer": "sgd", "jit": "loop"},
    {"optimizer": "adam", "jit": "off"},
]
EXAMPLES = 500  # of each split, or two batches
WRITERS = {"run", "loop", "checkpoints", "files", "folders", "metrics", "events"}  # of training/
KILLS_A_RUN = 6  # at most; then it may end


def make_fewer_inputs(model_class, config):
    """Let a model use few examples, which are loaded once for all processes."""
    probe = object.__new__(model_class)
    probe.config = model_class.complete(config)
    original, few = model_class.inputs, max(EXAMPLES, 2 * probe.config["batch_size"])

    @functools.cache
    def inputs(split):
        return {name: array[:few] for name, array in original(probe, split).items()}

    for split in ("train", "valid", "test"):
        inputs(split)
    model_class.inputs = lambda self, split: inputs(split)


def carried_order(seed, epoch, examples, random_state=[]):  # noqa: B006 - carried on purpose
    """An order from a generator that continues where it stood, which no checkpoint holds."""
    random_state or random_state.append(batches.random_stream(seed, "carried"))
    return random_state[0].permutation(examples).astype("int32")


def order_from_start(rows, begun=[]):  # noqa: B006
    """Batches counted from the start of the process: a resumed run repeats the first ones."""

    def batch_rows(seed, step, *rest):
        begun or begun.append(step)
        return rows(seed, step - begun[0], *rest)

    return batch_rows


def spoil(how):
    """Add a defect that a campaign must find."""
    if how == "state":
        batches.epoch_order = functools.lru_cache(maxsize=2)(carried_order)
    if how == "order":
        batches.batch_rows = order_from_start(batches.batch_rows)


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
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def train(config, line, how, answer=None):
    """In a child: train, to be killed before a line if one is given."""
    count = [0]
    spoil(how)
    kill_before_line(line, count)
    with make_model(config) as model:
        model.train()
    if answer:
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

    wait(child(compare))
    return json.loads(answer.read_text())


def wait(pid):
    """Wait for a child. Returns whether it was killed; RuntimeError if it failed by itself."""
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError("a run failed, see above")
    return False


def killed_run(config, how, chance, lines, seconds, most):
    """Train, killed `most` times at most and started again, to the end. Returns the kills."""
    kills = 0
    for _ in range(most):
        # A defect that is put in shows after the first checkpoint and before the last.
        first, last = (lines // 3, lines * 2 // 3) if how else (1, lines)
        at_line = how or chance.random() < 0.7
        line = chance.randrange(first, last) if at_line else 0
        pid = child(lambda line=line: train(config, line, how))
        if not at_line:
            time.sleep(chance.uniform(0, seconds))
            os.kill(pid, signal.SIGKILL)
        if not wait(pid):
            return kills
        kills += 1
    wait(child(lambda: train(config, 0, how)))
    return kills


def campaign(model_name, kills, seed, how, folder):
    """Kill until there are enough. Returns {"kills", "runs", "different": [...]}."""
    chance = random.Random(seed)
    config = CONFIG | {"model_name": model_name}
    config |= {"fake_data": True} if MODELS[model_name].has_fake_data else {}
    make_fewer_inputs(MODELS[model_name], config)
    # Otherwise most kills would hit the second build of the graph, before any training.
    preparation.compared.add(MODELS[model_name])
    answer = folder / "answer"
    result = {"kills": 0, "runs": 0, "different": [], "seed": seed, "tensorflow": VERSION}
    while result["kills"] < kills:
        number = result["runs"] % len(VARIANTS)
        straight, run = folder / f"straight-{number}", folder / f"run-{result['runs']}"
        variant = config | VARIANTS[number]
        if not straight.exists():
            began = time.monotonic()
            settings = variant | {"result_dir": str(straight)}
            wait(child(lambda s=settings: train(s, 0, how, answer)))
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
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--spoil", choices=("state", "order"), help="a defect that must be found")
    options = parser.parse_args()
    names = [options.model_name] if options.model_name else [n for n in MODELS if n != "Toy"]
    results = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            results[name] = campaign(name, options.kills, options.seed, options.spoil, Path(folder))
    print(json.dumps(results))
    return 1 if any(result["different"] for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
