"""Pictures as examples of a model whose input is an image."""

from pathlib import Path

import numpy as np

PICTURES = (".png", ".jpg", ".jpeg")
FORMATS = ("PNG", "JPEG")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # of Pillow, by the number of channels


def read_pictures(model, wanted, source):
    """The pictures of a file or folder: ({input: array [examples, ...]}, names, notes).

    source: a path, or a binary file. The model's `picture` says how one becomes an example; without
    it, a picture is resized to the input, which must be uint8. ValueError says what is wrong.
    """
    shapes = {name: about for name, about in wanted.items() if len(about.shape) in (2, 3)}
    if len(wanted) != 1 or len(shapes) != 1:
        inputs = ", ".join(f"{name} {about}" for name, about in wanted.items())
        raise ValueError(f"{type(model).__name__} takes {inputs}, and no pictures")
    ((name, about),) = shapes.items()
    is_folder = isinstance(source, Path) and source.is_dir()
    paths = pictures_in(source) if is_folder else [source]
    notes, examples = [], []
    for path in paths:
        label = f"{path.name}: " if is_folder else ""
        try:
            image, described = open_picture(path)
            example, done = model.picture(image) or resized(image, name, about)
        except (OSError, ValueError) as error:
            raise ValueError(f"{label}{error}") from None
        if example.shape != about.shape or example.dtype != about.dtype:
            found = f"{example.dtype.name} {list(example.shape)}"
            raise ValueError(f"{type(model).__name__}.picture gives {found}, not {about}")
        notes.append(f"{label}{described}: {done}")
        examples.append(example)
    return (
        {name: np.stack(examples)},
        [path.name for path in paths if isinstance(path, Path)],
        notes,
    )


def pictures_in(folder):
    """The pictures in a folder, by name, without hidden ones; ValueError if there are none."""
    named = (path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
    paths = sorted(path for path in named if path.is_file() and not path.name.startswith("."))
    if not paths:
        raise ValueError(f"the folder holds no {', '.join(PICTURES)}")
    return paths


def open_picture(source):
    """A picture, upright, in 8 bits, on white where it is transparent, and what it was in words.

    ValueError if it is none.
    """
    from PIL import Image, ImageOps  # slow to import, and only needed here

    try:
        with Image.open(source, formats=FORMATS) as image:
            image.load()
            image = ImageOps.exif_transpose(image)
    except FileNotFoundError:
        raise ValueError("there is no such file") from None
    except Exception as error:  # a damaged file raises nearly anything
        reason = "it is neither PNG nor JPEG" if "identify" in str(error) else error
        raise ValueError(f"it cannot be read as a picture: {reason}") from None
    described = f"{image.width} x {image.height} {image.mode}"
    if image.mode.startswith("I"):  # 16 bits
        levels = np.clip(np.asarray(image, np.float32) / 257, 0, 255)
        return Image.fromarray(np.uint8(levels)), described
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image, described


def resized(image, name, about):
    """A picture as uint8 of the input's height, width and channels: (array, what was done)."""
    height, width, *channels = about.shape
    mode = MODES.get(channels[0] if channels else 1)
    if about.dtype != np.uint8 or mode is None:
        raise ValueError(f"{name} is {about}: write the model's method picture, which makes an "
                         "example of a picture")  # fmt: skip
    array = np.asarray(image.convert(mode).resize((width, height)), np.uint8)
    return array.reshape(about.shape), f"resized to {width} x {height} {mode}"
