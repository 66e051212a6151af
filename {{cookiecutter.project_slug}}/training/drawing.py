"""How pictures are drawn: without a screen, in one style, with a caption that stays in the file.

    with picture(path, "What it shows", 5.6, 4) as figure:
        figure.subplots().plot(x, y)

Matplotlib is slow to import, so that only drawing imports it.
"""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

WIDTH = 5.6  # inches: fills a telephone's screen, and its texts can be read there
DOTS = 150  # per inch
STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "font.size": 11,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "text.parse_math": False,  # a $ in a name is a $
}


@contextlib.contextmanager
def picture(path: Path | io.BytesIO, caption: str, width: float, height: float) -> Iterator:
    """A figure of so many inches to draw in; it is written as a PNG in the end."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        yield figure
        figure.savefig(path, format="png", dpi=DOTS, metadata={"Title": caption})


def show_steps(axis) -> None:
    """Whole numbers, with commas, on an axis of steps."""
    from matplotlib import ticker

    axis.set_major_locator(ticker.MaxNLocator(nbins=5, integer=True))
    axis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))


def scale(axes, axis: str, values: list[float], wide: float = 10) -> None:
    """Make an axis, "x" or "y", logarithmic if its values are positive and far apart.

    wide: how many times the smallest value the largest one is, at least.
    """
    from matplotlib import ticker

    low, high = min(values), max(values)
    if low <= 0 or high <= wide * low:
        return
    axes.set(**{f"{axis}scale": "log"})
    axis = getattr(axes, f"{axis}axis")
    axis.set_major_locator(ticker.LogLocator(subs=(1,) if high / low > 200 else (1, 2, 5)))
    axis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(ticker.NullLocator())
