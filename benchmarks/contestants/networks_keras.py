"""Keras with the networks of networks.py: `fit` as it comes, --best or --best --jit.

As it comes: floats in memory, a metric, a step a call, XLA where Keras wants it. --best: bytes in
memory, no metric, a chunk of steps a call, the LSTM unrolled, without XLA; --jit: with it.
"""

import contest
import keras
import networks_work
import numpy as np
import tensorflow as tf
from keras import layers


def network(name, unroll):
    """The layers after images from 0 to 1, or after tokens. unroll: the steps of the LSTM."""

    def dense(units, activation="relu"):
        return layers.Dense(units, activation, kernel_initializer="he_normal")

    if name == "conv":
        options = {"padding": "same", "activation": "relu", "kernel_initializer": "he_normal"}
        first = [layers.Conv2D(16, 5, **options), layers.MaxPooling2D()]
        second = [layers.Conv2D(32, 5, **options), layers.MaxPooling2D()]
        hidden = [*first, *second, layers.Flatten(), dense(64), layers.Dropout(0.4)]
    elif name == "recurrent":
        hidden = [layers.LSTM(networks_work.UNITS, unroll=unroll)]
    elif name == "embedding":
        size = networks_work.SIZE
        initializer = keras.initializers.TruncatedNormal(stddev=size**-0.5)
        table = layers.Embedding(networks_work.TOKENS, size, embeddings_initializer=initializer)
        hidden = [table, layers.GlobalAveragePooling1D(), dense(32)]
    else:
        hidden = [dense(2048), dense(2048)]
    return [*hidden, dense(10, None)]


def load(options, work, split):
    """Values and labels; images have channels for convolutions, and are floats if as it comes."""
    values, labels = networks_work.load(options, split)
    if options.network == "conv":
        values = values[..., np.newaxis]
    if values.dtype == np.uint8 and not options.best:
        values = contest.as_floats(values)
    return values, labels


class Chunks(keras.callbacks.Callback):
    """Call the clock at the end of each chunk; end training when it has seen enough."""

    def __init__(self, work, clock):
        super().__init__()
        self.work, self.clock, self.steps = work, clock, 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += self.model.steps_per_execution
        if self.steps % self.work.chunk == 0:
            self.clock()
            self.model.stop_training = networks_work.is_over(self.work, self.clock)


def compiled(options, work, shape):
    """The model, compiled for images or tokens of a shape."""
    is_bytes = options.best and options.network != "embedding"
    dtype = "int32" if options.network == "embedding" else "uint8" if is_bytes else "float32"
    inputs = [keras.Input(shape, dtype=dtype)]
    inputs += [layers.Rescaling(1 / 255)] if is_bytes else []
    model = keras.Sequential([*inputs, *network(options.network, options.best)])
    best = {"steps_per_execution": work.chunk, "jit_compile": options.jit}
    model.compile(
        optimizer=keras.optimizers.SGD(work.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **(best if options.best else {"metrics": ["accuracy"]}),
    )
    return model


def main():
    options = networks_work.arguments("best", "jit")
    contest.threads_of_tensorflow(tf, options.threads)
    work = networks_work.NETWORKS[options.network]
    values, labels = load(options, work, "train")
    whole = len(values) - len(values) % (work.batch_size * work.chunk)  # chunks of an epoch
    model = compiled(options, work, values.shape[1:])

    chunk_ends = contest.Clock(work.chunk)
    model.fit(
        values[:whole],
        labels[:whole],
        batch_size=work.batch_size,
        epochs=work.chunks,  # more than enough
        verbose=0 if options.best else 2,
        callbacks=[Chunks(work, chunk_ends)],
    )
    values, labels = load(options, work, "test")
    classes = model.predict(values, batch_size=1000, verbose=0).argmax(axis=1)
    networks_work.report(work, chunk_ends, (classes == labels).mean())


if __name__ == "__main__":
    main()
