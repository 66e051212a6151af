"""An ordinary picture of one digit, made to look like those of MNIST."""

import numpy as np

SIDE, DIGIT = 28, 20  # pixels of an image, and of the longer side of its digit
FAINT = 0.2  # of the strongest pixel: what is weaker is no part of the digit
LEAST_CONTRAST = 16  # grey levels between the background and the digit


def digit_image(picture) -> tuple[np.ndarray, str]:
    """One digit in a picture, a PIL image of any size, dark on light or the reverse.

    Returns uint8 [28, 28] and what was done, in words. As in MNIST, the digit is light on black,
    its longer side has 20 pixels, and its centre of mass is in the middle (LeCun et al., 1998). A
    dark picture of 28 x 28 is taken as it is. ValueError if there is nothing to see.
    """
    grey, done = np.asarray(picture.convert("L"), np.float32), []
    background = np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]))
    if grey.shape == (SIDE, SIDE) and background < 128:
        return grey.astype(np.uint8), "taken as it is"
    ink = grey - background
    if -ink.min() > ink.max():
        ink = -ink
        done.append("inverted, as it is dark on light")
    ink = np.maximum(ink, 0)
    if ink.max() < LEAST_CONTRAST:
        raise ValueError("there is no digit to see: all pixels are nearly alike")
    ink /= ink.max()
    rows, columns = np.nonzero(ink > FAINT)
    top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
    scale = DIGIT / max(bottom - top, right - left)
    size = [max(1, round(scale * length)) for length in (bottom - top, right - left)]
    digit = scaled(ink[top:bottom, left:right], *size)
    digit /= digit.max()
    done += [
        f"cut to {right - left} x {bottom - top}",
        f"scaled to {size[1]} x {size[0]}",
        "centred",
    ]
    return centred(digit), ", ".join(done)


def scaled(ink, height, width):
    """A digit in another size: float32 [height, width]."""
    from PIL import Image  # slow to import, and only needed here

    return np.array(Image.fromarray(ink).resize((width, height), Image.Resampling.BOX))


def centred(digit):
    """A digit, float32 from 0 to 1, with its centre of mass in the middle of uint8 [28, 28]."""
    image = np.zeros([SIDE, SIDE], np.float32)
    weights = digit / digit.sum()
    corner = []
    for axis, length in enumerate(digit.shape):
        centre = (weights.sum(axis=1 - axis) * np.arange(length)).sum()
        # Row and column 14, counted from 0: there it is in MNIST, within a third of a pixel.
        corner.append(int(np.clip(round(SIDE / 2 - centre), 0, SIDE - length)))
    top, left = corner
    image[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)
