"""Made-up digits, the same ones every time: train without a download, in tests and first trials.

    from data.fake_digits import fake_digits

    fake_digits("test", 100)["images"]  # uint8 [100, 28, 28]

After 20 epochs the network of models/mnist.py reaches 91 to 95 %, and about 98 % with 55,000
training examples.
"""

import functools
import itertools

import numpy as np

EXAMPLES = {"train": 5_000, "valid": 1_000, "test": 1_000}  # by default
BLOCK = 1_000  # examples made at once
STYLES = 64  # ways to write each digit
POINTS = 16  # of the line that draws a digit: its last point is repeated until there are 16
LINES = (  # through points "xy" on a grid 4 wide and 6 high, one line for each digit
    "10 30 41 45 36 16 05 01 10",
    "11 20 26",
    "01 10 30 41 42 06 46",
    "01 10 30 41 42 33 23 33 44 45 36 16 05",
    "36 30 04 44",
    "40 00 02 32 43 45 36 16 05",
    "40 20 02 05 16 36 45 44 33 13 04",
    "00 40 16",
    "13 02 01 10 30 41 42 33 13 04 05 16 36 45 44 33",
    "41 30 10 01 02 13 33 42 41 44 26",
)


def fake_digits(split: str, examples: int | None = None) -> dict[str, np.ndarray]:
    """{"images": uint8 [examples, 28, 28], "labels": uint8 [examples]}, read-only.

    The splits `train`, `valid` and `test` share no example. Fewer examples are the first of more;
    each 1,000 hold 100 of each digit. ValueError if the split is unknown or examples is below 1.
    """
    if split not in EXAMPLES:
        raise ValueError(f"there is no split {split!r}; the splits are {', '.join(EXAMPLES)}.")
    examples = EXAMPLES[split] if examples is None else examples
    if examples < 1:
        raise ValueError(f"examples is {examples}; it must be 1 or more.")
    key = 1 + list(EXAMPLES).index(split)
    blocks = [make_block(key, block) for block in range(-(-examples // BLOCK))]
    images, labels = (np.concatenate(parts)[:examples] for parts in zip(*blocks, strict=True))
    images.setflags(write=False)
    labels.setflags(write=False)
    return {"images": images, "labels": labels}


def make_block(key, block):
    """Images uint8 [BLOCK, 28, 28] and labels uint8 [BLOCK]: drawings, moved, dimmed and noisy."""
    numbers = random_numbers(key, block, [BLOCK, 2 + 28 * 28 // 8])
    # The order of random numbers is a random permutation.
    labels = (np.argsort(numbers[:, 0], kind="stable") % 10).astype(np.uint8)
    random_bytes = numbers.astype("<u8").view(np.uint8)  # the same bytes on every machine
    style, down, right, brightness = random_bytes[:, 8:12].T
    crops = np.lib.stride_tricks.sliding_window_view(drawings(), (28, 28), axis=(2, 3))
    images = crops[labels, style % STYLES, down % 5, right % 5].astype(np.int16) // 2
    images = images * (96 + brightness.astype(np.int16) // 2)[:, None, None] // 128
    noise = random_bytes[:, 16:].reshape(BLOCK, 28, 28).astype(np.int16) - 128
    return np.clip(images + noise * 3 // 4, 0, 255).astype(np.uint8), labels


@functools.cache
def drawings():
    """Every digit in every style: uint8 [10, STYLES, 32, 32].

    A style moves the points of a line, stretches and slants it, and has a thickness.
    """
    points = [(line.split() + [line[-2:]] * POINTS)[:POINTS] for line in LINES]
    x, y = np.divmod(np.array(points, np.float32)[:, None], 10)
    moves = (random_numbers(0, 0, [10, STYLES, POINTS, 2]) / 2.0**64 - 0.5).astype(np.float32)
    x, y = x + 0.9 * moves[..., 0] - 2, y + 0.9 * moves[..., 1] - 3
    style = (random_numbers(0, 1, [5, 10, STYLES, 1]) / 2.0**64).astype(np.float32)
    width, height, slant, rise, thickness = style
    x_of_line = x * (2.2 + 1.4 * width) - y * (1.8 * slant - 0.5) + 15.5
    y_of_line = y * (2.4 + 0.9 * height) + x * (0.8 * rise - 0.4) + 15.5

    # The square of each pixel's distance to the nearest segment of the line.
    pixels = np.indices([32, 32], np.float32)[::-1, None, None]  # x and y: [2, 1, 1, 32, 32]
    line = np.stack([x_of_line, y_of_line])  # [2, 10, STYLES, POINTS]
    squared = np.inf
    for start, end in itertools.pairwise(np.moveaxis(line, -1, 0)[..., None, None]):
        segment, offset = end - start, pixels - start
        along = (offset * segment).sum(0) / np.maximum((segment * segment).sum(0), 1e-6)
        distance = offset - np.clip(along, 0, 1) * segment
        squared = np.minimum(squared, (distance * distance).sum(0))
    ink = np.clip(0.7 + 0.9 * thickness[..., None] + 0.5 - np.sqrt(squared), 0, 1)
    return np.rint(255 * ink).astype(np.uint8)


def random_numbers(key, block, shape):
    """Uniform uint64 that depend on the arguments alone.

    Only the raw bits of Philox (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011)
    are used: NumPy may change everything above them between versions.
    """
    philox = np.random.Philox(key=np.array([key, block], np.uint64))
    return philox.random_raw(int(np.prod(shape))).reshape(shape)
