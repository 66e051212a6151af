"""What the contestants of networks.py share: four networks' work, their data and their chunks.

All are float32 and trained by plain SGD against sparse softmax cross-entropy, in batches whose
order is drawn anew in each epoch. See ../networks.py.

conv       digits: 5x5x16, ReLU, pool, 5x5x32, ReLU, pool, dense 64, ReLU, dropout 0.4, dense 10
recurrent  digits, row by row in 28 steps: an LSTM of 128 units, its last output, dense 10
embedding  100 tokens of 20,000: a row of 32 numbers each, their mean, dense 32, ReLU, dense 10
wide       digits: 784-2048-2048-10 with ReLU
"""

from typing import NamedTuple

import contest
import numpy as np

LIMIT = 15  # seconds, after which a contestant ends with the chunk that it is at
TOKENS, LENGTH = 20_000, 100  # in the vocabulary; in a sequence
OWN = 20  # tokens that a class prefers
UNITS, SIZE = 128, 32  # of the LSTM; of a row of the embedding
EXAMPLES = {"train": 50_000, "valid": 1_000, "test": 5_000}  # of sequences of tokens


class Work(NamedTuple):
    """How a network is trained: the first chunk, of so many steps, warms up and compiles."""

    batch_size: int
    learning_rate: float
    chunk: int
    chunks: int


NETWORKS = {
    "conv": Work(100, 0.1, 55, 10),
    "recurrent": Work(100, 0.5, 55, 6),
    "embedding": Work(100, 1.0, 100, 15),
    "wide": Work(1024, 0.1, 10, 5),
}


def arguments(*own, **choices):
    """The command line: that of a contestant, and --network."""
    return contest.arguments(*own, network=NETWORKS, **choices)


def load(options, split):
    """Values and labels of one split: images uint8 [n, 28, 28], or flat for the wide network, or
    tokens int32 [n, 100]; labels uint8 [n].
    """
    if options.network == "embedding":
        return sequences(split)
    images, labels = contest.load(options.data, split)
    return (images if options.network == "wide" else images.reshape(-1, 28, 28)), labels


def sequences(split):
    """Made-up texts: tokens int32 [n, 100] and labels uint8 [n], the same ones at each call.

    Each class has 20 tokens of its own. One token in ten is drawn from those, the others are any.
    """
    rng = np.random.default_rng(list(EXAMPLES).index(split))
    shape = EXAMPLES[split], LENGTH
    labels = rng.integers(0, 10, shape[0], np.uint8)
    tokens = rng.integers(0, TOKENS, shape, np.int32)
    own = OWN * np.int32(labels)[:, np.newaxis] + rng.integers(0, OWN, shape, np.int32)
    return np.where(rng.random(shape, np.float32) < 0.1, own, tokens), labels


def chunks(work, examples, clock):
    """Yield what a chunk trains on, int32 [chunk, batch]; the clock is called at its end.

    An epoch leaves out what fills no chunk, others each time.
    """
    rng, size = np.random.default_rng(0), work.batch_size * work.chunk
    while True:
        order = rng.permutation(examples).astype(np.int32)
        for first in range(0, examples - size + 1, size):
            yield order[first : first + size].reshape(work.chunk, work.batch_size)
            clock()
            if is_over(work, clock):
                return


def is_over(work, clock):
    """Whether all chunks are trained, or those there are took too long."""
    times = clock.times
    is_late = len(times) > 1 and times[-1] - times[0] > LIMIT
    return len(times) == work.chunks or is_late


def report(work, clock, accuracy, **about):
    """Print what came out; trained: the steps before the accuracy, the first chunk included."""
    clock.report(accuracy, trained=work.chunk * len(clock.times), **about)
