"""Made-up digits, drawn with a shaky pen: to learn offline, for tests and first trials.

    from data.fake_digits import fake_digits

    fake_digits("test", 100)["images"]   # uint8 [100, 28, 28], the same ones every time

With the default 5,000 to train on, the network of models/mnist.py reaches 91 to 95 % after 20
epochs, and with 55,000 about 98 %.
"""

import functools

import numpy as np

# How many examples each split has where the caller does not say.
EXAMPLES = {"train": 5_000, "valid": 1_000, "test": 1_000}

# The pen's path for each digit: its corners, as "xy" on a grid 4 wide and 6 high.
STROKES = (
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
HANDS = 64  # ways to write each digit
SHIFTS = 5  # positions in each direction: 2 pixels up to 2 pixels down
CANVAS = 28 + SHIFTS - 1
BLOCK = 1_000  # examples made at once: their temporaries fit the processor's cache
KEYS = {"hands": 0, "train": 1, "valid": 2, "test": 3}  # of the random bits, one for each use


def fake_digits(split, examples=None):
    """Digits of one split, `train`, `valid` or `test`, no two of which share an example.

    {"images": uint8 [examples, 28, 28], "labels": uint8 [examples]}, read-only. The first n of a
    larger set are the set of n; any multiple of 1,000 has equally many of each digit. ValueError if
    there is no such split or examples is below 1.
    """
    if split not in EXAMPLES:
        raise ValueError(f"there is no split {split!r}; the splits are {', '.join(EXAMPLES)}.")
    examples = EXAMPLES[split] if examples is None else examples
    if examples < 1:
        raise ValueError(f"examples is {examples}; it must be 1 or more.")
    blocks = [draw_block(split, block) for block in range(-(-examples // BLOCK))]
    images, labels = (np.concatenate(parts)[:examples] for parts in zip(*blocks, strict=True))
    for array in (images, labels):
        array.setflags(write=False)
    return {"images": images, "labels": labels}


def draw_block(split, block):
    """The examples from block * BLOCK on: images uint8 [BLOCK, 28, 28], labels uint8 [BLOCK].

    Each is a digit in one of its hands, moved by up to two pixels, bright or dim, under noise.
    """
    bits = random_bits(split, block, [BLOCK, 2 + 28 * 28 // 8])
    # Ranks of random numbers are a permutation: each digit comes equally often.
    labels = (np.argsort(bits[:, 0], kind="stable") % 10).astype(np.uint8)
    choice = random_bytes(bits[:, 1], [BLOCK, 8])
    windows = np.lib.stride_tricks.sliding_window_view(handwriting(), (28, 28), axis=(2, 3))
    down, right = choice[:, 1] % SHIFTS, choice[:, 2] % SHIFTS
    images = windows[labels, choice[:, 0] % HANDS, down, right].astype(np.int16)
    brightness = 96 + (choice[:, 3].astype(np.int16) >> 1)
    images = (images >> 1) * brightness[:, None, None] >> 7
    noise = random_bytes(bits[:, 2:], [BLOCK, 28, 28]).astype(np.int16) - 128
    images += noise * 3 >> 2
    return np.clip(images, 0, 255).astype(np.uint8), labels


@functools.lru_cache(maxsize=1)
def handwriting():
    """Every digit in every hand: uint8 [10, HANDS, CANVAS, CANVAS], read-only.

    A hand shakes the corners of the path, slants and stretches it, and has a pen thick or thin.
    """
    paths = [stroke.split() for stroke in STROKES]
    corners = max(map(len, paths))
    # Standing still at the last corner draws nothing, so all paths can be equally long.
    paths = [path + path[-1:] * (corners - len(path)) for path in paths]
    paths = np.array([[[int(x), int(y)] for x, y in path] for path in paths], np.float32)
    shake = (uniform(0, [10, HANDS, corners, 2]) - 0.5).astype(np.float32)
    points = paths[:, None] + 0.9 * shake - np.array([2, 3], np.float32)

    habits = uniform(1, [5, 10, HANDS, 1]).astype(np.float32)
    width, height, slant, lean, thickness = habits
    x = points[..., 0] * (2.2 + 1.4 * width) - points[..., 1] * (1.8 * slant - 0.5)
    y = points[..., 1] * (2.4 + 0.9 * height) + points[..., 0] * (0.8 * lean - 0.4)
    centre = (CANVAS - 1) / 2
    distance = distance_to_path(x + centre, y + centre)
    radius = 0.7 + 0.9 * thickness[..., None]
    ink = np.clip(radius + 0.5 - distance, 0, 1)
    glyphs = np.rint(255 * ink).astype(np.uint8)
    glyphs.setflags(write=False)
    return glyphs


def distance_to_path(x, y):
    """Pixels from each point of the canvas to the nearest piece of a path.

    float32 [digits, hands, corners] twice, to float32 [digits, hands, CANVAS, CANVAS].
    """
    grid = np.arange(CANVAS, dtype=np.float32)
    column, row = grid[None, :], grid[:, None]
    squared = np.full([*x.shape[:2], CANVAS, CANVAS], np.inf, np.float32)
    for corner in range(x.shape[2] - 1):
        x0, x1 = x[..., corner, None, None], x[..., corner + 1, None, None]
        y0, y1 = y[..., corner, None, None], y[..., corner + 1, None, None]
        dx, dy = x1 - x0, y1 - y0
        length = np.maximum(dx * dx + dy * dy, np.float32(1e-6))  # squared, never zero
        along = np.clip(((column - x0) * dx + (row - y0) * dy) / length, 0, 1)
        to_piece = (column - x0 - along * dx) ** 2 + (row - y0 - along * dy) ** 2
        squared = np.minimum(squared, to_piece)
    return np.sqrt(squared)


def random_bits(use, block, shape):
    """Uniform uint64 of this shape, a pure function of the arguments.

    NumPy may change its random streams between versions, so that only the raw bits of Philox are
    used (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
    """
    generator = np.random.Philox(key=np.array([KEYS[use], block], np.uint64))
    return generator.random_raw(int(np.prod(shape))).reshape(shape)


def random_bytes(bits, shape):
    """The same random bits as uint8, in the same order on every machine."""
    return bits.astype("<u8").view(np.uint8).reshape(shape)


def uniform(block, shape):
    """Random float64 of this shape between 0 and 1, for the hands."""
    return random_bits("hands", block, shape) / 2.0**64
