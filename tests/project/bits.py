"""Train networks of several shapes for a moment, in one process, and print what came out.

    python tests/project/bits.py --threads=2 --run=FOLDER

Prints {name: digest}: of each network's graph, weights, values on valid, predictions and summaries
after a few steps. What must not matter is for the caller to vary: processors, neighbours, variables
of the shell, the order. Beside them stand controls, which must differ where their names say so.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "{{cookiecutter.project_slug}}"
sys.path.insert(0, str(PROJECT))

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from models import make_model  # noqa: E402
from models.mnist import MNIST  # noqa: E402
from serving.inputs import read_inputs  # noqa: E402
from training import batches  # noqa: E402
from training.digests import weights_sha256  # noqa: E402
from training.loop import advance  # noqa: E402

STEPS = 5
SHAPES = 20
RUN = {
    "model_name": "MNIST", "fake_data": True, "random_seed": 3, "optimizer": "adam", "lr": 0.01,
    "batch_size": 1000, "max_iter": 40, "save_every": 20, "eval_every": 20, "log_every": 5,
}  # fmt: skip


class WithDropout(MNIST):
    """MNIST's network with dropout behind its first hidden layer."""

    def inference(self, batch, training):
        images = tf.reshape(tf.cast(batch["images"], tf.float32) / 255, [-1, 784])
        hidden1 = tf.nn.relu(self.dense("hidden1", images, self.config["hidden1"]))
        if training:
            hidden1 = self.dropout(hidden1, rate=0.3, salt="hidden1")
        hidden2 = tf.nn.relu(self.dense("hidden2", hidden1, self.config["hidden2"]))
        return self.dense("softmax_linear", hidden2, 10)


class Keras(MNIST):
    """A stack of Keras's layers, some of which draw random numbers."""

    def inference(self, batch, training):
        if not hasattr(self, "stack"):
            layers = tf.keras.layers
            self.stack = [layers.Embedding(256, 16), layers.LSTM(64, dropout=0.2)]
            self.stack += [layers.BatchNormalization(), layers.Dropout(0.3), layers.Dense(10)]
        values = tf.cast(tf.reshape(batch["images"], [-1, 784])[:, ::98], tf.int32)
        for layer in self.stack:
            plain = isinstance(layer, (tf.keras.layers.Embedding, tf.keras.layers.Dense))
            values = layer(values) if plain else layer(values, training=training)
        return values


class Convolution(MNIST):
    """Two convolutions, of which one is separable, and pooling."""

    def inference(self, batch, training):
        values = tf.cast(batch["images"], tf.float32)[..., tf.newaxis] / 255
        values = tf.nn.relu(self.filtered("conv", values, tf.nn.conv2d))
        values = tf.nn.max_pool2d(values, 2, 2, "SAME")
        values = tf.nn.relu(self.filtered("depthwise", values, tf.nn.depthwise_conv2d))
        values = tf.nn.avg_pool2d(values, 2, 2, "SAME")
        return self.dense("logits", tf.reshape(values, [-1, 7 * 7 * 16]), 10)

    def filtered(self, name, values, operation):
        channels = int(values.shape[-1])
        shape = [5, 5, channels, 16 // channels]
        kernel = self.truncated_normal(name, shape, (25 * channels) ** -0.5)
        return operation(values, kernel, [1, 1, 1, 1], "SAME")


class ByThreads(MNIST):
    """A loss that depends on the number of threads, on any processor."""

    def loss(self, outputs, batch):
        return super().loss(outputs, batch) * self.config["threads"]


class ByHash(MNIST):
    """Weights that depend on Python's hashes, which differ between processes."""

    def inference(self, batch, training):
        noise = tf.random.stateless_normal([10], [hash("salt") % 1000, 1])
        return super().inference(batch, training) + noise


def networks():
    """{name: (class, configuration)}.

    Large batches compiled by XLA: their bits depend on the number of threads on most processors.
    """
    random = np.random.Generator(np.random.Philox(key=1))
    found = {}
    for number in range(SHAPES):
        model_class = (MNIST, WithDropout)[number % 2]
        optimizer = ("sgd", "momentum", "adam")[number % 3]
        hidden = np.exp(random.uniform(np.log(16), np.log(512), size=2)).astype(int).tolist()
        shape = {"hidden1": hidden[0], "hidden2": hidden[1], "optimizer": optimizer, "lr": 0.01}
        found[f"{model_class.__name__} {shape}"] = model_class, shape | {"batch_size": 1000}
    small = {"hidden1": 16, "hidden2": 16, "batch_size": 100, "jit": "off"}
    found |= {model.__name__: (model, small) for model in (ByThreads, ByHash)}
    found |= {f"convolution, {jit}": (Convolution, small | {"jit": jit}) for jit in ("step", "off")}
    found["Keras"] = Keras, small | {"jit": "loop"}  # without XLA, its lookups add in any order
    return found | {"batches in another order": (MNIST, small), "batches in order": (MNIST, small)}


def train(model):
    """Train a model for a few steps and close it. Returns the digest of all that came out."""
    with model:
        model.prepare_steps()
        for _ in advance(model, STEPS):
            pass
        images = {model.batch[n]: a[:10] for n, a in model.load("valid").items()}
        found = {f"weights/{name}": array for name, array in model.weights().items()}
        found |= {f"valid/{name}": value for name, value in model.evaluate("valid").items()}
        found |= {f"infer/{n}": a for n, a in model.infer(read_inputs(model, "").arrays).items()}
        found["summary"] = np.frombuffer(model.session.run(model.summary, images), np.uint8)
        return [model.graph_sha256, weights_sha256(found)]


def begin_or_go_on(folder, threads):
    """Train the run in a folder to its end. A new one is copied half-way, to a folder `copy`."""
    if not folder.exists():
        with make_model(RUN | {"result_dir": str(folder), "threads": threads}) as model:
            model.train(until=20)
        shutil.copytree(folder, folder.parent / "copy")
    with make_model({"result_dir": str(folder)}) as model:
        model.train()


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--run", help="folder: resume its run, or train one and leave a copy")
    parser.add_argument("--reverse", action="store_true", help="the last network first")
    parser.add_argument("--only", help="the only network to train")
    options = parser.parse_args()
    if options.run:
        begin_or_go_on(Path(options.run), options.threads)
    found, order = {}, batches.epoch_order
    for name, (model_class, shape) in list(networks().items())[:: -1 if options.reverse else 1]:
        if options.only not in (None, name):
            continue
        if name == "batches in another order":
            batches.epoch_order = lambda *arguments: np.roll(order(*arguments), 1)
        config = {"fake_data": True, "random_seed": 5, "threads": options.threads} | shape
        found[name] = train(model_class(config))
        batches.epoch_order = order
    print(json.dumps(found))


if __name__ == "__main__":
    main()
