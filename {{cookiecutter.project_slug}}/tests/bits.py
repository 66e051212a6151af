"""Train networks of random shapes for a moment and print a digest of all that came out.

    python tests/bits.py --threads=2 --shapes=20
    python tests/bits.py --threads=2 --shapes=3 --spoil     other bits: a negative control

Of each shape: the weights, the values on valid, predictions, and the summaries for TensorBoard, in
one digest, after a few steps. What must not matter is for the caller to vary: processors,
neighbours, variables of the shell. With --built_before, other models are built and trained before.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from models import make_model  # noqa: E402
from models.mnist import MNIST  # noqa: E402
from training import batches  # noqa: E402
from training.checkpoints import weights_sha256  # noqa: E402

STEPS = 5


class WithDropout(MNIST):
    """MNIST's network with dropout behind its first hidden layer."""

    def inference(self, batch, training):
        images = tf.reshape(tf.cast(batch["images"], tf.float32) / 255, [-1, 784])
        hidden1 = tf.nn.relu(self.dense("hidden1", images, self.config["hidden1"]))
        if training:
            hidden1 = self.dropout(hidden1, rate=0.3, salt="hidden1")
        hidden2 = tf.nn.relu(self.dense("hidden2", hidden1, self.config["hidden2"]))
        return self.dense("softmax_linear", hidden2, 10)


def shapes(count):
    """So many configurations, each after the other from the same random numbers."""
    random = np.random.Generator(np.random.Philox(key=1))
    for number in range(count):
        hidden1, hidden2 = np.exp(random.uniform(0, np.log(512), size=2)).round().astype(int)
        yield {
            "hidden1": int(hidden1),
            "hidden2": int(hidden2),
            "batch_size": int(random.choice([7, 100, 1000])),
            "optimizer": ("sgd", "momentum", "adam")[number % 3],
            "lr": 0.01,
        }


def train(model):
    """Train a model for a few steps and close it. Returns the digest of all that came out."""
    with model:
        model.prepare_steps()
        while model.step < STEPS:
            model.learn_from_epoch(STEPS)
        images = {model.batch[n]: a[:10] for n, a in model.load("valid").items()}
        found = {f"weights/{name}": array for name, array in model.weights().items()}
        found |= {f"valid/{name}": value for name, value in model.evaluate("valid").items()}
        found |= {f"infer/{n}": a for n, a in model.infer(model.parse_input("")).items()}
        found["summary"] = np.frombuffer(model.session.run(model.summary, images), np.uint8)
        return weights_sha256(found)


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--shapes", type=int, default=20)
    parser.add_argument("--built_before", action="store_true")
    parser.add_argument("--spoil", action="store_true", help="batches in another order")
    options = parser.parse_args()
    common = {"fake_data": True, "random_seed": 5, "threads": options.threads}
    if options.spoil:
        order = batches.epoch_order
        batches.epoch_order = lambda *arguments: np.roll(order(*arguments), 1)
    if options.built_before:
        with make_model({"threads": options.threads}) as line:
            line.prepare_steps()
            line.learn_from_epoch(STEPS)
        train(MNIST(common | {"hidden1": 300, "random_seed": 6}))
    found = {}
    for number, shape in enumerate(shapes(options.shapes)):
        model_class = (MNIST, WithDropout)[number % 2]
        found[json.dumps(shape)] = train(model_class(common | shape))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
