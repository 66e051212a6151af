"""The limit of networks.py: what a library takes for the products of one step, and nothing else.

wide, recurrent  the matrix products, in NumPy; those of an LSTM depend on each other, step by step,
                 only the inputs' do not
conv             the convolutions by oneDNN, as PyTorch calls it: both forwards, the gradients of
                 both filters and of the second one's input; channels last, as in networks_torch.py

No data, no activation, no update: it learns nothing. An embedding has no such kernel.
"""

import contest
import networks_work
import numpy as np
import torch
from numpy_matmul import products
from torch.nn import functional


def matrix_products(steps):
    """A function that computes products, [(left, right, out)], in turn."""

    def run():
        for left, right, out in steps:
            np.matmul(left, right, out=out)

    return run


def wide(batch_size):
    return matrix_products(products(batch_size, (784, 2048, 2048, 10)))


def recurrent(batch_size):
    """The inputs of all 28 steps at once, the state's two products 28 times, once the gradient of
    its weights.
    """
    units, gates = networks_work.UNITS, 4 * networks_work.UNITS
    inputs = products(28 * batch_size, (28, gates))
    forwards, _, of_state = products(batch_size, (1, units, gates))[2:5]
    all_steps = products(28 * batch_size, (units, gates))[1:]
    return matrix_products([*inputs, *28 * [forwards], *28 * [of_state], *all_steps])


def conv(batch_size):
    shapes = (((1, 28, 28), 16), ((16, 14, 14), 32))  # channels, height, width; filters

    def tensor(*shape):
        return torch.randn(shape).contiguous(memory_format=torch.channels_last)

    layers = [
        (
            tensor(batch_size, *shape),
            tensor(filters, shape[0], 5, 5),
            tensor(batch_size, filters, *shape[1:]),
        )
        for shape, filters in shapes
    ]

    def run():
        for i, (values, filters, gradient) in enumerate(layers):
            functional.conv2d(values, filters, padding=2)
            wanted = [i > 0, True, False]  # nobody asks for the gradient of the images
            about = ([1, 1], [2, 2], [1, 1], False, [0, 0], 1)
            torch.ops.aten.convolution_backward(gradient, values, filters, None, *about, wanted)

    return run


def main():
    options = networks_work.arguments()
    torch.set_num_threads(options.threads)
    work = networks_work.NETWORKS[options.network]
    step = {"wide": wide, "recurrent": recurrent, "conv": conv}[options.network](work.batch_size)
    chunk_ends = contest.Clock(work.chunk)
    while not networks_work.is_over(work, chunk_ends):
        for _ in range(work.chunk):
            step()
        chunk_ends()
    networks_work.report(work, chunk_ends, None)


if __name__ == "__main__":
    main()
