"""Keras as it comes: the quickstart's `compile` and `fit`, nothing tuned."""

import contest
import keras
import tensorflow as tf


def dense(fan_in, units, activation=None):
    initializer = keras.initializers.TruncatedNormal(stddev=fan_in**-0.5)
    return keras.layers.Dense(units, activation, kernel_initializer=initializer)


def network():
    """784-128-32-10 on float images."""
    return [dense(784, 128, "relu"), dense(128, 32, "relu"), dense(32, 10)]


def main():
    options = contest.arguments()
    contest.threads_of_tensorflow(tf, options.threads)
    images, labels = contest.load(options.data, "train")
    test_images, test_labels = contest.load(options.data, "test")

    model = keras.Sequential([keras.Input([784]), *network()])
    model.compile(
        optimizer=keras.optimizers.SGD(contest.LEARNING_RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    epoch_ends = contest.Clock()
    model.fit(
        contest.as_floats(images),
        labels,
        batch_size=contest.BATCH_SIZE,
        epochs=1 + options.epochs,
        verbose=2,  # Keras's own advice where there is no terminal
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=epoch_ends)],
    )
    _, reached = model.evaluate(contest.as_floats(test_images), test_labels, verbose=0)
    epoch_ends.report(reached)


if __name__ == "__main__":
    main()
