"""What all contestants share: the work, the clock and the line of JSON that each one prints.

A contestant is a program: python project_bare.py --project=FOLDER --data=FOLDER --epochs=10
It trains 784-128-32-10 with ReLU on 55,000 real digits, in batches of 100, by plain SGD with the
learning rate 0.1, shuffled in every epoch. The first epoch warms up and compiles; the others are
timed. The accuracy on the test split comes last, so that a fast wrong answer is seen.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

LAYERS = (784, 128, 32, 10)
BATCH_SIZE = 100
LEARNING_RATE = 0.1
STEPS_PER_EPOCH = 55_000 // BATCH_SIZE


def arguments(*own, **choices):
    """The command line; own are names of further switches, off by default, and choices those of
    further options, with their values.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--data", type=Path, help="folder with train and test of MNIST")
    parser.add_argument("--project", type=Path, help="folder of a rendered project")
    parser.add_argument("--epochs", type=int, default=10, help="epochs to time")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of a search")
    for name in own:
        parser.add_argument(f"--{name}", action="store_true")
    for name, values in choices.items():
        parser.add_argument(f"--{name}", choices=values)
    return parser.parse_args()


def load(folder, split, mapped=False):
    """One split: images uint8 [n, 784] and labels uint8 [n], in memory or as memory maps."""
    files = [folder / split / f"{name}.npy" for name in ("images", "labels")]
    images, labels = (np.load(file, mmap_mode="r" if mapped else None) for file in files)
    return images.reshape(len(images), -1), labels


def as_floats(images):
    """Bytes as float32 from 0 to 1."""
    return np.float32(images) / 255


def threads_of_tensorflow(tf, count):
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(count)


class Clock:
    """Call it at the end of each epoch, or of so many steps; the first call starts it."""

    def __init__(self, steps=STEPS_PER_EPOCH):
        self.steps, self.times = steps, []

    def __call__(self, *ignored):
        self.times.append(time.perf_counter())

    def report(self, accuracy=None, **about):
        """Print what came out as one line of JSON, the last that a contestant prints."""
        seconds = self.times[-1] - self.times[0]
        steps = self.steps * (len(self.times) - 1)
        result = {
            "name": Path(sys.argv[0]).stem,
            "steps": steps,
            "seconds": seconds,
            "steps_per_second": steps / seconds,
            "accuracy": accuracy if accuracy is None else float(accuracy),
            "peak_memory_mb": peak_memory_mb(),
        }
        print(json.dumps(result | about), flush=True)


class Sent:
    """Call it when Clock is called: how much went over this machine's own network in between."""

    def __init__(self):
        self.counts = []

    def __call__(self):
        file = Path("/proc/net/dev")  # of Linux
        if file.exists():
            line = next(line for line in file.read_text().splitlines() if "lo:" in line)
            self.counts.append(int(line.split()[1]))

    def per_step(self):
        """Bytes a step, of all workers together; None where the system does not tell."""
        if len(self.counts) < 2:
            return None
        return (self.counts[-1] - self.counts[0]) / (STEPS_PER_EPOCH * (len(self.counts) - 1))


def accuracy(weights, images, labels):
    """How much of the test split is right: weights are matrices [in, out] and biases in turn."""
    values = as_floats(images)
    for number in range(0, len(weights), 2):
        values = values @ weights[number] + weights[number + 1]
        if number + 2 < len(weights):
            values = np.maximum(values, 0)
    return np.mean(values.argmax(axis=1) == labels)


def peak_memory_mb():
    """The most memory that this process ever held, in MiB.

    Linux tells it in /proc; getrusage would count what the parent held before it started us.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if "VmHWM" in line)
        return int(line.split()[1]) / 1024
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024
