"""Keras fit, an epoch a call, on memory maps through tf.data.

An epoch's order is drawn at once; NumPy gathers the rows of a batch, in parallel calls of `map`.
"""

import contest
import keras
import numpy as np
import tensorflow as tf
from keras_fit import network


def batches(images, labels):
    """An endless dataset of (float32 [100, 784], uint8 [100]), in a new order in every epoch."""

    def gather(rows):
        return images[rows], labels[rows]

    def batch(rows):
        pixels, digits = tf.numpy_function(gather, [rows], [tf.uint8, tf.uint8], stateful=False)
        pixels = tf.ensure_shape(pixels, [contest.BATCH_SIZE, 784])
        return tf.cast(pixels, tf.float32) / 255, tf.ensure_shape(digits, [contest.BATCH_SIZE])

    def epoch(_):
        order = tf.random.shuffle(tf.range(len(labels)))
        return tf.data.Dataset.from_tensor_slices(tf.reshape(order, [-1, contest.BATCH_SIZE]))

    rows = tf.data.Dataset.range(1).repeat().flat_map(epoch)
    return rows.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def main():
    options = contest.arguments()
    contest.threads_of_tensorflow(tf, options.threads)
    images, labels = contest.load(options.data, "train", mapped=True)
    model = keras.Sequential([keras.Input([784]), *network()])
    model.compile(
        optimizer=keras.optimizers.SGD(contest.LEARNING_RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=contest.STEPS_PER_EPOCH,
    )
    epoch_ends = contest.Clock()
    model.fit(
        batches(images, labels),
        epochs=1 + options.epochs,
        steps_per_epoch=contest.STEPS_PER_EPOCH,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=epoch_ends)],
    )
    images, labels = contest.load(options.data, "test")
    outputs = model.predict(contest.as_floats(images), batch_size=1000, verbose=0)
    epoch_ends.report(np.mean(outputs.argmax(1) == labels))


if __name__ == "__main__":
    main()
