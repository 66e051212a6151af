"""PyTorch, compiled: ten whole steps, gradients and updates included, in one C++ function.

Needs a C++ compiler. Compiling only the loss, or the loss and the optimizer, was slower than eager;
one step to a function took 40 microseconds longer a step; fifty were no faster than ten and took
over a minute to compile, and `max_autotune` changed nothing.
"""

import contest
import torch
from torch.nn import functional
from torch_eager import network

STEPS = 10  # in one call


def main():
    options = contest.arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    images, labels = (torch.from_numpy(array) for array in contest.load(options.data, "train"))
    labels = labels.long()
    model = network()
    weights = {name: value.detach() for name, value in model.named_parameters()}

    def loss(weights, rows):
        batch = images.index_select(0, rows).float() / 255
        outputs = torch.func.functional_call(model, weights, (batch,))
        return functional.cross_entropy(outputs, labels.index_select(0, rows))

    @torch.compile(fullgraph=True, dynamic=False, options={"cpp_wrapper": True})
    def train_steps(rows):
        for batch_rows in rows.unbind():
            gradients = torch.func.grad(loss)(weights, batch_rows)
            for name, weight in weights.items():
                weight.sub_(gradients[name], alpha=contest.LEARNING_RATE)

    epoch_ends = contest.Clock()
    with torch.no_grad():
        for _ in range(1 + options.epochs):
            order = torch.randperm(len(images))
            for rows in order.reshape(-1, STEPS, contest.BATCH_SIZE):
                train_steps(rows)
            epoch_ends()
        images, labels = (torch.from_numpy(array) for array in contest.load(options.data, "test"))
        digits = model(images.float() / 255).argmax(1)  # shares its memory with weights
    epoch_ends.report((digits == labels).float().mean())


if __name__ == "__main__":
    main()
