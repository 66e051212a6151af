"""What the searches share: two problems, the space of networks, and the Keras model for one.

inputs-hidden1-hidden2-classes with ReLU, both widths powers of two from 16 to 512, learning rate
from 1e-4 to 1 on a log scale, one of three optimizers; batches of 100; accuracy on valid counts. A
search trains at most so many epochs a trial, and one in ETA goes on. It says what it found after
each epoch, as a line of JSON, and its referee ends it.
"""

import functools
import json
import os
from typing import NamedTuple

import contest
import numpy as np

ETA = 3
WIDTHS, POWERS, RATES = (16, 512), (4, 9), (1e-4, 1.0)
# So few that this project does not compile its networks for a search of a minute.
MOST = 150  # trials, for a search that wants a number: more than any has time for


class Problem(NamedTuple):
    """What a search is about. steps: of one epoch, with batches of 100; first: the epochs after
    which a trial may end early.
    """

    inputs: int
    classes: int
    first: int
    epochs: int
    steps: int


# 200 steps of the table take less time than the start of a trial, so three epochs come first.
PROBLEMS = {"digits": Problem(784, 10, 1, 9, 550), "table": Problem(40, 5, 3, 27, 200)}
OPTIMIZERS = ["sgd", "momentum", "adam"]
KNOWN = {  # among the best of searches of some minutes, and soon good
    "digits": {"hidden1": 512, "hidden2": 128, "lr": 0.5, "optimizer": "sgd"},
    "table": {"hidden1": 32, "hidden2": 32, "lr": 0.005, "optimizer": "adam"},
}


def arguments(*own):
    """The command line of a search."""
    return contest.arguments(*own, problem=list(PROBLEMS))


def load(options, split):
    """Inputs float32 [n, inputs] and labels of one split."""
    if options.problem == "digits":
        images, labels = contest.load(options.data, split)
        return contest.as_floats(images), labels
    return (np.load(options.data / split / f"{name}.npy") for name in ("features", "labels"))


def tell(score):
    """Tell the referee what a trial reached after an epoch.

    In one piece: lines of two processes would run into each other.
    """
    os.write(1, json.dumps({"score": float(score)}).encode() + b"\n")


def build(problem, hidden1, hidden2, lr, optimizer):
    """A compiled model, with an epoch in one call, which is Keras' fastest here."""

    import keras  # takes seconds, and not every search needs it

    def dense(fan_in, units, activation=None):
        initializer = keras.initializers.TruncatedNormal(stddev=fan_in**-0.5)
        return keras.layers.Dense(units, activation, kernel_initializer=initializer)

    optimizers = {
        "sgd": keras.optimizers.SGD,
        "momentum": functools.partial(keras.optimizers.SGD, momentum=0.9),
        "adam": keras.optimizers.Adam,
    }
    inputs, classes, _, _, steps = PROBLEMS[problem]
    hidden = [dense(inputs, hidden1, "relu"), dense(hidden1, hidden2, "relu")]
    model = keras.Sequential([keras.Input([inputs]), *hidden, dense(hidden2, classes)])
    model.compile(
        optimizer=optimizers[optimizer](lr),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=steps,
        jit_compile=False,  # compiling each of the shapes with XLA takes longer than it saves
    )
    return model


def fit(model, data, valid, after, callbacks=(), **options):
    """Train, and tell the referee of every epoch; then call `after(epoch, score)`, epochs from 1.

    data and valid: (inputs, labels).
    """
    import keras

    def end_of_epoch(epoch, logs):
        tell(logs["val_accuracy"])
        after(epoch + 1, logs["val_accuracy"])

    report = keras.callbacks.LambdaCallback(on_epoch_end=end_of_epoch)
    options |= {"batch_size": contest.BATCH_SIZE, "verbose": 0, "validation_data": valid}
    return model.fit(*data, callbacks=[*callbacks, report], **options)
