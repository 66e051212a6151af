"""PyTorch, eager, on memory maps through a DataLoader, which gathers whole batches.

With --workers=N, processes read ahead; with 0, training itself reads.
"""

import contest
import torch
from torch.nn import functional
from torch_eager import load, network


class Rows(torch.utils.data.Dataset):
    """Examples in memory maps; a batch is read at once."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.labels)

    def __getitems__(self, rows):
        return torch.from_numpy(self.images[rows]), torch.from_numpy(self.labels[rows])


def main():
    options = contest.arguments(workers=("0", "1", "2"))
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    workers = int(options.workers)
    batches = torch.utils.data.DataLoader(
        Rows(*contest.load(options.data, "train", mapped=True)),
        batch_size=contest.BATCH_SIZE,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=lambda batch: batch,
    )
    model = network()
    parameters = list(model.parameters())

    epoch_ends = contest.Clock()
    for _ in range(1 + options.epochs):
        for images, labels in batches:
            outputs = model(images.float() / 255)
            functional.cross_entropy(outputs, labels.long()).backward()
            with torch.no_grad():
                for parameter in parameters:
                    parameter.sub_(parameter.grad, alpha=contest.LEARNING_RATE)
                    parameter.grad = None
        epoch_ends()

    images, labels = load(options.data, "test")
    with torch.inference_mode():
        epoch_ends.report((model(images).argmax(1) == labels).float().mean())


if __name__ == "__main__":
    main()
