"""PyTorch's DistributedDataParallel over gloo; else the loop of torch_eager.py."""

import os

import contest
import torch
from torch.nn import functional
from torch_eager import load, network


def main():
    options = contest.arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    index, workers = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    images, labels = load(options.data, "train")
    model = network()
    if workers > 1:
        torch.distributed.init_process_group("gloo")
        model = torch.nn.parallel.DistributedDataParallel(model)
    parameters, size = list(model.parameters()), contest.BATCH_SIZE // workers
    epoch_ends, sent = contest.Clock(), contest.Sent()
    for _ in range(1 + options.epochs):
        order = torch.randperm(len(images)).reshape(-1, contest.BATCH_SIZE)
        for rows in order[:, index * size : (index + 1) * size]:
            outputs = model(images.index_select(0, rows))
            functional.cross_entropy(outputs, labels.index_select(0, rows)).backward()
            with torch.no_grad():
                for parameter in parameters:
                    parameter.sub_(parameter.grad, alpha=contest.LEARNING_RATE)
                    parameter.grad.zero_()
        epoch_ends()
        sent()
    if index == 0:
        weights = [parameter.detach().numpy().T for parameter in parameters]
        images, labels = contest.load(options.data, "test")
        epoch_ends.report(contest.accuracy(weights, images, labels), bytes_per_step=sent.per_step())
    if workers > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
