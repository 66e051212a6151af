"""What the searches share: the space of networks and the Keras model for one of them.

784-hidden1-hidden2-10 with ReLU, both widths powers of two from 16 to 512, learning rate from 1e-4
to 1 on a log scale, one of three optimizers; batches of 100; accuracy on valid counts. At most
MAX_EPOCHS epochs to a trial, and one in ETA goes on.
"""

import keras

MAX_EPOCHS, ETA = 9, 3
WIDTHS, POWERS, RATES = (16, 512), (4, 9), (1e-4, 1.0)
OPTIMIZERS = {
    "sgd": lambda lr: keras.optimizers.SGD(lr),
    "momentum": lambda lr: keras.optimizers.SGD(lr, momentum=0.9),
    "adam": lambda lr: keras.optimizers.Adam(lr),
}


def build(hidden1, hidden2, lr, optimizer, as_it_comes):
    """A compiled model, as it comes or with an epoch in one call, which is Keras' fastest here."""

    def dense(fan_in, units, activation=None):
        initializer = keras.initializers.TruncatedNormal(stddev=fan_in**-0.5)
        return keras.layers.Dense(units, activation, kernel_initializer=initializer)

    hidden = [dense(784, hidden1, "relu"), dense(hidden1, hidden2, "relu")]
    model = keras.Sequential([keras.Input([784]), *hidden, dense(hidden2, 10)])
    model.compile(
        optimizer=OPTIMIZERS[optimizer](lr),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        # Compiling each of the shapes with XLA takes longer than it saves.
        **({} if as_it_comes else {"steps_per_execution": 550, "jit_compile": False}),
    )
    return model
