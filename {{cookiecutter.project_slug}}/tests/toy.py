"""A model for the tests of the machinery: it compiles in a moment and uses what models may use."""

import numpy as np
import tensorflow as tf

from models.basic_model import BasicModel
from settings import Setting, optimization
from training.batches import random_stream


class Toy(BasicModel):
    """Is a point left or right of a curve? A hidden layer with dropout, on 60 points."""

    hyperparameters = (
        *optimization(lr=0.3, batch_size=16, decay_steps=100),
        Setting("units", int, 4, "units in the hidden layer", 1, 64, search=(2, 16), scale="log"),
    )
    max_iter = 120
    objective = ("accuracy", "max")

    def inputs(self, split):
        """{"points": float32 [60, 2], "labels": uint8 [60]}."""
        random = random_stream(self.config["random_seed"], f"points of {split}")
        points = random.uniform(-1, 1, [60, 2]).astype(np.float32)
        return {"points": points, "labels": (points[:, 0] > points[:, 1] ** 2).astype(np.uint8)}

    def inference(self, batch, training):
        """Logits, float32 [batch, 2]."""
        hidden = tf.nn.relu(self.dense("hidden", batch["points"], self.config["units"]))
        if training:
            hidden = self.dropout(hidden, 0.1, "hidden")
        return self.dense("logits", hidden, 2)

    def dense(self, name, inputs, units):
        with tf.compat.v1.variable_scope(name):
            weights = self.truncated_normal("weights", [int(inputs.shape[1]), units], stddev=0.5)
            zeros = tf.zeros_initializer()
            return inputs @ weights + tf.compat.v1.get_variable(
                "biases", [units], initializer=zeros
            )

    def loss(self, outputs, batch):
        labels = tf.cast(batch["labels"], tf.int32)
        return tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=outputs)
        )

    def evaluation(self, outputs, batch):
        correct = tf.equal(tf.argmax(outputs, axis=1), tf.cast(batch["labels"], tf.int64))
        return {"accuracy": tf.cast(correct, tf.float32)}

    def summaries(self, batch, outputs, loss):
        return [
            tf.compat.v1.summary.histogram("points", batch["points"]),
            tf.compat.v1.summary.scalar("twice_the_loss", 2 * loss),
        ]

    def predictions(self, outputs):
        return {"label": tf.argmax(outputs, axis=1)}
