"""The limit: the matrix products of one training step and nothing else, in NumPy.

Three layers forwards, the gradients of three weights and of two hidden layers backwards, float32,
into arrays that are there already. No data, no activation, no update: it learns nothing.
"""

import time

import contest
import numpy as np


def products(batch_size, layers):
    """The eight products of a step, as [(left, right, out)]."""
    rng = np.random.default_rng(0)

    def array(*shape):
        return rng.standard_normal(shape, np.float32)

    values = [array(batch_size, units) for units in layers]
    gradients = [array(batch_size, units) for units in layers]
    found = []
    for i, (fan_in, units) in enumerate(zip(layers, layers[1:], strict=False)):
        weights = array(fan_in, units)
        found.append((values[i], weights, array(batch_size, units)))
        found.append((values[i].T, gradients[i + 1], array(fan_in, units)))
        if i:  # nobody asks for the gradient of the images
            found.append((gradients[i + 1], weights.T, array(batch_size, fan_in)))
    return found


def seconds_per_step(batch_size, layers, seconds):
    """The time that the products of one step take, measured for about so many seconds."""
    step = products(batch_size, layers)
    steps, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        for left, right, out in step:
            np.matmul(left, right, out=out)
        steps += 1
    return (time.perf_counter() - began) / steps


def main():
    options = contest.arguments()
    step = products(contest.BATCH_SIZE, contest.LAYERS)
    epoch_ends = contest.Clock()
    for _ in range(1 + options.epochs):
        for _ in range(contest.STEPS_PER_EPOCH):
            for left, right, out in step:
                np.matmul(left, right, out=out)
        epoch_ends()
    epoch_ends.report()


if __name__ == "__main__":
    main()
