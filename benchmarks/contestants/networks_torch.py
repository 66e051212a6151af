"""PyTorch with the networks of networks.py: eager, or with --compile a step in one C++ function.

Eager, convolutions were faster with channels last than with channels first, and an embedding with
sparse gradients (which torch.compile has not) than with dense ones. nn.LSTM is oneDNN's; for
torch.compile, which cannot differentiate it, the cells are written out, and compile for half a
minute. The small steps of the embedding are compiled ten at a time, as in torch_compile.py.
"""

import contest
import networks_work
import torch
from torch import nn
from torch.nn import functional


class Lstm(nn.Module):
    """nn.LSTM, then a linear layer on its last output."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(28, networks_work.UNITS, batch_first=True)
        self.logits = nn.Linear(networks_work.UNITS, 10)
        nn.init.xavier_normal_(self.lstm.weight_ih_l0)
        nn.init.xavier_normal_(self.lstm.weight_hh_l0)
        nn.init.ones_(self.lstm.bias_hh_l0[networks_work.UNITS : 2 * networks_work.UNITS])

    def forward(self, images):
        return self.logits(self.lstm(images)[0][:, -1])


class Cells(nn.Module):
    """The same in operations that torch.compile fuses: it cannot differentiate nn.LSTM."""

    def __init__(self):
        super().__init__()
        self.inputs = nn.Linear(28, 4 * networks_work.UNITS)
        self.state = nn.Linear(networks_work.UNITS, 4 * networks_work.UNITS, bias=False)
        self.logits = nn.Linear(networks_work.UNITS, 10)
        nn.init.xavier_normal_(self.inputs.weight)
        nn.init.xavier_normal_(self.state.weight)

    def forward(self, images):
        output = memory = images.new_zeros(len(images), networks_work.UNITS)
        for inputs in self.inputs(images.transpose(0, 1)).unbind():
            i, f, o, new = (inputs + self.state(output)).chunk(4, 1)
            memory = torch.sigmoid(f + 1) * memory + torch.sigmoid(i) * torch.tanh(new)
            output = torch.sigmoid(o) * torch.tanh(memory)
        return self.logits(output)


def initialize(layer):
    """He et al., 2015, as the others have it; PyTorch's own first weights learn more slowly."""
    if isinstance(layer, nn.Linear | nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)


def network(name, is_compiled):
    """From float32 images, [b, 1, 28, 28] for convolutions, or tokens to logits [b, 10]."""
    if name == "recurrent":
        return Cells() if is_compiled else Lstm()
    if name == "conv":
        first = [nn.Conv2d(1, 16, 5, padding="same"), nn.ReLU(), nn.MaxPool2d(2)]
        second = [nn.Conv2d(16, 32, 5, padding="same"), nn.ReLU(), nn.MaxPool2d(2)]
        hidden = [nn.Flatten(), nn.Linear(7 * 7 * 32, 64), nn.ReLU(), nn.Dropout(0.4)]
        layers = [*first, *second, *hidden, nn.Linear(64, 10)]
    elif name == "embedding":
        size = networks_work.SIZE
        table = nn.EmbeddingBag(networks_work.TOKENS, size, mode="mean", sparse=not is_compiled)
        nn.init.trunc_normal_(table.weight, std=size**-0.5)
        layers = [table, nn.Linear(size, 32), nn.ReLU(), nn.Linear(32, 10)]
    else:
        hidden = [nn.Linear(784, 2048), nn.ReLU(), nn.Linear(2048, 2048), nn.ReLU()]
        layers = [*hidden, nn.Linear(2048, 10)]
    model = nn.Sequential(*layers)
    model.apply(initialize)
    return model.to(memory_format=torch.channels_last) if name == "conv" else model


def load(options, split):
    """Values, float32 from 0 to 1 or tokens int32, and labels int64."""
    values, labels = networks_work.load(options, split)
    if options.network != "embedding":
        values = contest.as_floats(values)
    values = torch.from_numpy(values)
    if options.network == "conv":
        values = values[:, None].contiguous(memory_format=torch.channels_last)
    return values, torch.from_numpy(labels).long()


def eager_steps(model, loss, learning_rate):
    """A function that trains on rows, int32 [steps, batch], step by step."""
    parameters = list(model.parameters())

    def train_steps(rows):
        for batch_rows in rows.unbind():
            loss(model, batch_rows).backward()
            with torch.no_grad():
                for parameter in parameters:
                    parameter.sub_(parameter.grad, alpha=learning_rate)
                    parameter.grad = None

    return train_steps


def compiled_steps(model, loss, learning_rate):
    """The same in one C++ function; see torch_compile.py."""
    weights = {name: value.detach() for name, value in model.named_parameters()}

    def loss_of(weights, rows):
        return loss(lambda batch: torch.func.functional_call(model, weights, (batch,)), rows)

    @torch.compile(fullgraph=True, dynamic=False, options={"cpp_wrapper": True})
    def train_steps(rows):
        for batch_rows in rows.unbind():
            gradients = torch.func.grad(loss_of)(weights, batch_rows)
            for name, weight in weights.items():
                weight.sub_(gradients[name], alpha=learning_rate)

    return torch.no_grad()(train_steps)


def main():
    options = networks_work.arguments("compile")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    work = networks_work.NETWORKS[options.network]
    values, labels = load(options, "train")
    model = network(options.network, options.compile)

    def loss(inference, rows):
        outputs = inference(values.index_select(0, rows))
        return functional.cross_entropy(outputs, labels.index_select(0, rows))

    make = compiled_steps if options.compile else eager_steps
    train_steps = make(model, loss, work.learning_rate)
    steps = 10 if options.network == "embedding" else 1  # in one call

    chunk_ends = contest.Clock(work.chunk)
    for order in networks_work.chunks(work, len(values), chunk_ends):
        for rows in torch.from_numpy(order).split(steps):
            train_steps(rows)
    values, labels = load(options, "test")
    model.eval()
    with torch.inference_mode():
        classes = torch.cat([model(part).argmax(1) for part in values.split(1000)])
    networks_work.report(work, chunk_ends, (classes == labels).float().mean())


if __name__ == "__main__":
    main()
