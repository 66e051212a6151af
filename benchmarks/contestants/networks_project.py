"""This project's loop alone, with the networks of networks.py as models of a user.

--jit as the project's; without it, the project chooses. Without XLA, an embedding needs
--deterministic for several threads: the project refuses to train what no run could repeat.
"""

import sys

import contest
import networks_work


def model_classes():
    """The models, {name of the network: class}."""
    import tensorflow as tf

    from models.mnist import CLASSES, MNIST

    def floats(batch):
        return tf.cast(batch["images"], tf.float32) / 255

    class Conv(MNIST):
        def inference(self, batch, training):
            values = floats(batch)[..., tf.newaxis]
            for name, filters in (("conv1", 16), ("conv2", 32)):
                values = self.max_pool(tf.nn.relu(self.conv(name, values, filters, 5)))
            values = tf.reshape(values, [-1, 7 * 7 * 32])
            values = tf.nn.relu(self.dense("hidden", values, 64))
            if training:
                values = self.dropout(values, 0.4, "hidden")
            return self.dense("logits", values, CLASSES)

    class Recurrent(MNIST):
        def inference(self, batch, training):
            outputs = self.recurrent("lstm", floats(batch), networks_work.UNITS, "lstm")
            return self.dense("logits", outputs[:, -1], CLASSES)

    class Embedding(MNIST):
        def inputs(self, split):
            tokens, labels = networks_work.sequences(split)
            return {"tokens": tokens, "labels": labels}

        def summaries(self, batch, outputs, loss):
            return []  # there are no images

        def inference(self, batch, training):
            shape = networks_work.TOKENS, networks_work.SIZE
            values = tf.reduce_mean(self.embedding("tokens", batch["tokens"], *shape), 1)
            values = tf.nn.relu(self.dense("hidden", values, 32))
            return self.dense("logits", values, CLASSES)

    class Wide(MNIST):
        def inference(self, batch, training):
            values = tf.reshape(floats(batch), [-1, 28 * 28])
            for name in ("hidden1", "hidden2"):
                values = tf.nn.relu(self.dense(name, values, 2048))
            return self.dense("logits", values, CLASSES)

    return {"conv": Conv, "recurrent": Recurrent, "embedding": Embedding, "wide": Wide}


def main():
    options = networks_work.arguments(jit=("loop", "step", "off"))
    sys.path.insert(0, str(options.project))
    import models
    from training.loop import advance

    work = networks_work.NETWORKS[options.network]
    models.MODELS |= model_classes()
    config = {"model_name": options.network, "lr": work.learning_rate, "random_seed": 0}
    config |= {"batch_size": work.batch_size, "threads": options.threads, "jit": options.jit}
    config["deterministic"] = options.network == "embedding" and options.jit == "off"

    chunk_ends = contest.Clock(work.chunk)
    with models.make_model(config) as model:
        model.prepare_steps()
        while not networks_work.is_over(work, chunk_ends):
            for _ in advance(model, model.step + work.chunk):
                pass
            chunk_ends()
        reached, jit = model.evaluate("test")["accuracy"], model.config["jit"]
    networks_work.report(work, chunk_ends, reached, jit=jit)


if __name__ == "__main__":
    main()
