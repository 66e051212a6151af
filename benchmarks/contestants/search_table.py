"""A table of features and a label: features-hidden1-hidden2-classes with ReLU."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from models.basic_model import BasicModel
from settings import Setting, optimization

CLASSES = 5


class Table(BasicModel):
    """Two hidden layers against sparse softmax cross-entropy."""

    hyperparameters = (
        *optimization(lr=0.1, batch_size=100, decay_steps=5400),
        Setting("hidden1", int, 64, "units in the first hidden layer", 1, 65536,
                search=(16, 512), scale="log", step=2),
        Setting("hidden2", int, 32, "units in the second hidden layer", 1, 65536,
                search=(16, 512), scale="log", step=2),
    )  # fmt: skip
    max_iter = 5400
    objective = ("accuracy", "max")

    def inputs(self, split):
        """{"features": float32 [n, features], "labels": uint8 [n]}; of test, those of valid."""
        folder = Path(FOLDER) / ("train" if split == "train" else "valid")  # noqa: F821
        return {name: np.load(folder / f"{name}.npy") for name in ("features", "labels")}

    def inference(self, batch, training):
        """Logits, float32 [batch, CLASSES]."""
        hidden1 = self.dense("hidden1", batch["features"], self.config["hidden1"], "lecun")
        hidden2 = self.dense("hidden2", tf.nn.relu(hidden1), self.config["hidden2"], "lecun")
        return self.dense("softmax_linear", tf.nn.relu(hidden2), CLASSES, "lecun")

    def loss(self, outputs, batch):
        """Sparse softmax cross-entropy, averaged over the batch."""
        labels = tf.cast(batch["labels"], tf.int32)
        return tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=outputs)
        )

    def evaluation(self, outputs, batch):
        """Whether the greatest logit is the label's."""
        correct = tf.math.in_top_k(tf.cast(batch["labels"], tf.int32), outputs, k=1)
        return {"accuracy": tf.cast(correct, tf.float32)}

    def predictions(self, outputs):
        return {"label": tf.argmax(outputs, axis=1)}
