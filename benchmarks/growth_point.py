"""One point of a growth table: time per step, or time to resume, at one size. See growth.py.

python benchmarks/growth_point.py --project=FOLDER --what=steps --batch_size=1024
"""

import argparse
import json
import sys
import time
from pathlib import Path

WARM_UP = 0.3  # seconds


def time_steps(options):
    """Microseconds for a training step of the project's bare loop."""
    import models.mnist
    from data.fake_digits import fake_digits

    if options.examples:
        # The same examples again and again: what counts is how many there are.
        models.mnist.fake_digits = lambda split: fake_digits(split, options.examples)
    config = {"model_name": "MNIST", "fake_data": bool(options.examples), "random_seed": 0}
    config |= {"threads": options.threads, "batch_size": options.batch_size}
    if options.width:
        config |= {"hidden1": options.width, "hidden2": options.width}

    def train(seconds):
        began, first = time.perf_counter(), model.step
        while time.perf_counter() - began < seconds:
            model.learn_from_epoch(model.step + options.chunk)
        return (time.perf_counter() - began) / (model.step - first)

    with models.make_model(config) as model:
        began = time.perf_counter()
        model.prepare_steps()
        prepared = time.perf_counter() - began
        train(WARM_UP)
        return {"microseconds": 1e6 * train(options.seconds), "seconds_to_prepare": prepared}


def time_products(options):
    """Microseconds for the matrix products of a step, in NumPy."""
    sys.path.insert(0, str(Path(__file__).parent / "contestants"))
    from numpy_matmul import seconds_per_step

    hidden = (options.width, options.width) if options.width else (128, 32)
    layers = (784, *hidden, 10)
    seconds_per_step(options.batch_size, layers, WARM_UP)
    seconds = seconds_per_step(options.batch_size, layers, options.seconds)
    return {"microseconds": 1e6 * seconds}


def time_resume(options):
    """Milliseconds to take up a finished run: all that train() does, without a step to train."""
    from models import make_model

    with make_model({"result_dir": options.result_dir, "threads": options.threads}) as model:
        model.prepare_steps()
        began = time.perf_counter()
        result = model.train()
        milliseconds = 1000 * (time.perf_counter() - began)
    return {"milliseconds": milliseconds, "step": result["step"]}


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--what", choices=("steps", "products", "resume"), required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--examples", type=int, default=0, help="made-up ones; 0: the real digits")
    parser.add_argument("--batch_size", type=int, default=100)
    parser.add_argument("--width", type=int, default=0, help="of both hidden layers; 0: 128, 32")
    parser.add_argument("--chunk", type=int, default=1000, help="most steps in a session call")
    parser.add_argument("--result_dir", help="the finished run to resume")
    options = parser.parse_args()
    sys.path.insert(0, str(options.project))
    measures = {"steps": time_steps, "products": time_products, "resume": time_resume}
    print(json.dumps(measures[options.what](options)), flush=True)


if __name__ == "__main__":
    main()
