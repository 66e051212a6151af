"""Keras at its best: a whole epoch in one call, bytes in memory, no metric, no progress bar.

--jit compiles with XLA as well. Floats in memory, and a tf.data pipeline, were no faster.
"""

import contest
import keras
import tensorflow as tf
from keras_fit import network


def main():
    options = contest.arguments("jit")
    contest.threads_of_tensorflow(tf, options.threads)
    images, labels = contest.load(options.data, "train")

    inputs = [keras.Input([784], dtype="uint8"), keras.layers.Rescaling(1 / 255)]
    model = keras.Sequential([*inputs, *network()])
    model.compile(
        optimizer=keras.optimizers.SGD(contest.LEARNING_RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=contest.STEPS_PER_EPOCH,
        jit_compile=options.jit,
    )
    epoch_ends = contest.Clock()
    model.fit(
        images,
        labels,
        batch_size=contest.BATCH_SIZE,
        epochs=1 + options.epochs,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=epoch_ends)],
    )
    images, labels = contest.load(options.data, "test")
    digits = model.predict(images, batch_size=1000, verbose=0).argmax(axis=1)
    epoch_ends.report((digits == labels).mean())


if __name__ == "__main__":
    main()
