"""JAX with the networks of networks.py: a chunk of steps in one compiled lax.scan, weights donated.

But for convolutions, which are more than ten times slower within a scan on a CPU: there, Python
calls one compiled step after the other. Their pools are maxima of a reshaped array: the gradient of
lax.reduce_window took as long again as the rest. The LSTM's own scan is unrolled by 4; 1 and 28
were slower. The table of the embedding is updated where its rows were read, which took two thirds
of the time of a gradient for the whole table.
"""

import contest
import jax
import networks_work
import numpy as np
from jax import lax
from jax import numpy as jnp

STEPS_FROM_PYTHON = ("conv",)
he, glorot = jax.nn.initializers.he_normal(), jax.nn.initializers.glorot_normal()


def layer(key, *shape, initializer=he):
    """Weights of a shape, and biases for its last axis."""
    return {"weights": initializer(key, shape), "biases": jnp.zeros(shape[-1])}


def dense(layer, values):
    return values @ layer["weights"] + layer["biases"]


def conv(layer, values):
    """5x5 with ReLU, then the largest of each 2x2: [b, h, w, c] to [b, h / 2, w / 2, filters]."""
    layout = ("NHWC", "HWIO", "NHWC")
    values = lax.conv_general_dilated(
        values, layer["weights"], (1, 1), "SAME", dimension_numbers=layout
    )
    values = jax.nn.relu(values + layer["biases"])
    batch, height, width, filters = values.shape
    return values.reshape(batch, height // 2, 2, width // 2, 2, filters).max(axis=(2, 4))


def conv_weights(keys):
    first, second = layer(keys[0], 5, 5, 1, 16), layer(keys[1], 5, 5, 16, 32)
    return [first, second, layer(keys[2], 7 * 7 * 32, 64), layer(keys[3], 64, 10)]


def conv_logits(weights, images, key):
    """key: of the dropout; None for the test."""
    values = conv(weights[1], conv(weights[0], images[..., np.newaxis]))
    values = jax.nn.relu(dense(weights[2], values.reshape(len(values), -1)))
    if key is not None:
        values = jnp.where(jax.random.bernoulli(key, 0.6, values.shape), values / 0.6, 0)
    return dense(weights[3], values)


def recurrent_weights(keys):
    units = networks_work.UNITS
    inputs = layer(keys[0], 28, 4 * units, initializer=glorot)
    state = glorot(keys[1], (units, 4 * units))
    return [inputs, state, layer(keys[2], units, 10)]


def recurrent_logits(weights, images, key):
    inputs, state, logits = weights

    def cell(before, values):
        output, memory = before
        i, f, o, new = jnp.split(values + output @ state, 4, axis=1)
        memory = jax.nn.sigmoid(f + 1) * memory + jax.nn.sigmoid(i) * jnp.tanh(new)
        return (jax.nn.sigmoid(o) * jnp.tanh(memory), memory), None

    zeros = jnp.zeros([len(images), networks_work.UNITS])
    rows = dense(inputs, images.transpose(1, 0, 2))
    return dense(logits, lax.scan(cell, (zeros, zeros), rows, unroll=4)[0][0])


def embedding_weights(keys):
    size = networks_work.SIZE
    normal = jax.random.truncated_normal(keys[0], -2, 2, [networks_work.TOKENS, size])
    return [normal * size**-0.5, layer(keys[1], size, 32), layer(keys[2], 32, 10)]


def embedding_logits(weights, tokens, key):
    return logits_of_rows(weights[1:], rows_of(weights[0], tokens))


def rows_of(table, numbers):
    return table.at[numbers].get(mode="promise_in_bounds")


def logits_of_rows(weights, rows):
    """rows: of the table, [batch, tokens, size]."""
    hidden, logits = weights
    return dense(logits, jax.nn.relu(dense(hidden, rows.mean(axis=1))))


def wide_weights(keys):
    shapes = ((784, 2048), (2048, 2048), (2048, 10))
    return [layer(key, *shape) for key, shape in zip(keys, shapes, strict=False)]


def wide_logits(weights, images, key):
    for hidden in weights[:-1]:
        images = jax.nn.relu(dense(hidden, images))
    return dense(weights[-1], images)


# First weights from four keys; logits, float32 [batch, 10], from weights, values and a key.
NETWORKS = {
    "conv": (conv_weights, conv_logits),
    "recurrent": (recurrent_weights, recurrent_logits),
    "embedding": (embedding_weights, embedding_logits),
    "wide": (wide_weights, wide_logits),
}


def as_floats(values):
    return values / 255.0 if values.dtype == jnp.uint8 else values


def cross_entropy(logits, labels):
    found = jax.nn.log_softmax(logits)
    return -jnp.mean(jnp.take_along_axis(found, labels[:, np.newaxis], axis=1))


def descend(weights, gradients, learning_rate):
    return jax.tree.map(lambda w, g: w - learning_rate * g, weights, gradients)


def step(logits, learning_rate, weights, values, labels, key):
    """The weights after a step on a batch."""

    def loss(weights):
        return cross_entropy(logits(weights, as_floats(values), key), labels)

    return descend(weights, jax.grad(loss)(weights), learning_rate)


def embedding_step(logits, learning_rate, weights, tokens, labels, key):
    """The same for the embedding, with an update of those rows that were read."""
    table, *others = weights

    def loss(others, rows):
        return cross_entropy(logits_of_rows(others, rows), labels)

    gradients, of_rows = jax.grad(loss, (0, 1))(others, rows_of(table, tokens))
    table = table.at[tokens].add(-learning_rate * of_rows, mode="promise_in_bounds")
    return [table, *descend(others, gradients, learning_rate)]


def training(name, learning_rate):
    """A function that trains: weights, key, values, labels, order int32 [steps, batch] to weights,
    key.
    """
    logits, make = NETWORKS[name][1], embedding_step if name == "embedding" else step

    def next_state(state, values, labels, rows):
        weights, key = state
        key, own = jax.random.split(key)
        batch = (rows_of(array, rows) for array in (values, labels))
        return make(logits, learning_rate, weights, *batch, own), key

    def chunk(state, values, labels, order):
        return lax.scan(lambda s, rows: (next_state(s, values, labels, rows), None), state, order)[
            0
        ]

    compiled = jax.jit(next_state if name in STEPS_FROM_PYTHON else chunk, donate_argnums=0)

    def step_by_step(state, values, labels, order):
        for rows in order:
            state = compiled(state, values, labels, rows)
        return state

    return step_by_step if name in STEPS_FROM_PYTHON else compiled


def main():
    options = networks_work.arguments()
    work = networks_work.NETWORKS[options.network]
    values, labels = networks_work.load(options, "train")
    values, labels = jax.device_put(values), jax.device_put(labels.astype(np.int32))
    initial_weights, logits = NETWORKS[options.network]
    keys = jax.random.split(jax.random.key(0), 5)
    state = initial_weights(keys[:4]), keys[4]
    train = training(options.network, work.learning_rate)

    chunk_ends = contest.Clock(work.chunk)
    for order in networks_work.chunks(work, len(values), chunk_ends):
        state = jax.block_until_ready(train(state, values, labels, order))
    values, labels = networks_work.load(options, "test")
    infer = jax.jit(lambda part: logits(state[0], as_floats(part), None).argmax(axis=1))
    classes = [infer(part) for part in np.split(values, len(values) // 1000)]
    networks_work.report(work, chunk_ends, (np.concatenate(classes) == labels).mean())


if __name__ == "__main__":
    main()
