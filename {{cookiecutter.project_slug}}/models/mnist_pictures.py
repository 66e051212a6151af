"""What MNIST draws at the end of a run, from its answers on the test split and its weights.

confusion.png   which digit is taken for which
mistakes.png    the wrong answers that it was most sure of
weights.png     what each unit of the first layer looks for
"""

from pathlib import Path

import numpy as np

from training.drawing import WIDTH, picture

CLASSES = 10
SIDE, GAP = 28, 4  # pixels of an image, and between two
MISTAKES, COLUMNS = 24, 4
UNITS = 64  # of the first layer


def confusion(labels: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """How often each digit was given each answer: int [digit, answer]."""
    pairs = labels.astype(int) * CLASSES + digits.astype(int)
    return np.bincount(pairs, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def most_confident_mistakes(labels, digits, probability, count: int = MISTAKES) -> np.ndarray:
    """The rows of the wrong answers with the highest probabilities, the highest first."""
    wrong = np.flatnonzero(labels != digits)
    return wrong[np.argsort(-probability[wrong], kind="stable")][:count]


def draw_confusion(path: Path, counts: np.ndarray) -> None:
    """Draw a confusion matrix, int [10, 10]; colours compare the mistakes only."""
    mistakes = counts * (1 - np.eye(CLASSES, dtype=int))
    right, total = counts.trace(), counts.sum()
    caption = f"Confusion matrix of the test split: {total - right:,} mistakes of {total:,}"
    with picture(path, caption, WIDTH, 5.2) as figure:
        figure.subplots_adjust(0.1, 0.1, 0.98, 0.92)
        axes = figure.subplots()
        axes.imshow(mistakes, cmap="Reds", vmin=0, vmax=max(1, 1.6 * mistakes.max()), aspect="auto")
        for (digit, answer), count in np.ndenumerate(counts):
            look = {"weight": "bold", "color": "tab:green"} if digit == answer else {}
            text = f"{count:,}" if count else "·"
            axes.text(answer, digit, text, ha="center", va="center", fontsize=10, **look)
        axes.set(xlabel="answer", ylabel="digit", xticks=range(CLASSES), yticks=range(CLASSES))
        axes.set_title(f"Test split: {total - right:,} mistakes of {total:,}", fontsize=12)
        axes.grid(False)


def draw_mistakes(path: Path, images, labels, digits, probability) -> None:
    """Draw images, uint8 [n, 28, 28], with their wrong answers and what they are."""
    count, above = len(images), 9  # pixels for two lines
    title = f"The {count} surest mistakes on the test split" if count else "No mistakes"
    shown = wall(images, COLUMNS, above)
    height = WIDTH * shown.shape[0] / shown.shape[1] + 0.4
    with picture(path, title, WIDTH, height) as figure:
        figure.subplots_adjust(0, 0, 1, 1 - 0.4 / height)
        axes = figure.subplots()
        axes.imshow(shown, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(title, fontsize=12, x=0.02)
        axes.set_axis_off()
        for i, (label, digit, p) in enumerate(zip(labels, digits, probability, strict=True)):
            row, column = divmod(i, COLUMNS)
            x, y = column * (SIDE + GAP) + SIDE / 2, row * (SIDE + GAP + above) + above - 1
            text = f"is {label}, says {digit}\n{100 * p:.1f} % sure"
            axes.text(x, y, text, ha="center", va="bottom", fontsize=10)


def draw_weights(path: Path, weights: np.ndarray) -> None:
    """Draw the first layer, float32 [784, units], an image for each unit, at most 64."""
    images = weights[:, :UNITS].T.reshape(-1, SIDE, SIDE)
    limit = float(np.quantile(np.abs(images), 0.999)) or 1.0  # a few pixels stand out far
    title = f"First layer: {len(images)} of {weights.shape[1]} units"
    with picture(path, f"{title}, the weight of each pixel", WIDTH, 5.2) as figure:
        figure.subplots_adjust(0.02, 0.02, 0.86, 0.92)
        axes = figure.subplots()
        shown = wall(images, int(np.ceil(len(images) ** 0.5)))
        image = axes.imshow(shown, cmap="RdBu_r", vmin=-limit, vmax=limit,
                            interpolation="nearest")  # fmt: skip
        axes.set_title(title, fontsize=12)
        axes.set_axis_off()
        figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02, extend="both",
                        label="weight of a pixel")  # fmt: skip


def wall(images: np.ndarray, columns: int, above: int = 0) -> np.ndarray:
    """Images [n, 28, 28] side by side in rows, with gaps of NaN between and above them."""
    rows = max(1, -(-len(images) // columns))
    tiles = np.full([rows, above + SIDE + GAP, columns, SIDE + GAP], np.nan, np.float32)
    for i, image in enumerate(images):
        tiles[i // columns, above : above + SIDE, i % columns, :SIDE] = image
    return tiles.reshape(rows * (above + SIDE + GAP), -1)
