"""A page that is one file and opens anywhere, without a network: texts, tables and pictures.

    write_page(path, "Title", [heading("Result"), table([("loss", 0.1)]), picture(png)])

The parts of a page are HTML. What is given to the functions here is plain text, which they escape;
the page itself forbids scripts, and anything that it would have to ask a network for.
"""

import base64
import html
import io
import string
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from training.files import write_bytes

PAGE = string.Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
$again<title>$title</title>
<style>
:root { --page: #fff; --text: #1c1e21; --faint: #5c6370; --line: #d9dce1; --box: #f3f4f6 }
@media (prefers-color-scheme: dark) {
  :root { --page: #15171a; --text: #e4e6ea; --faint: #a0a6b1; --line: #3a3e45; --box: #21242a }
}
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif }
main { max-width: 72rem; margin: auto; padding: 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0.5rem 0 }
h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem }
p { margin: 0.5rem 0 }
.scroll { overflow-x: auto; max-width: 100% }
table { border-collapse: collapse; font-size: 0.9rem; width: max-content }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 1rem 0.25rem 0;
  border-bottom: 1px solid var(--line); min-width: 3rem; overflow-wrap: break-word }
th { font-weight: 600; white-space: nowrap }
td { max-width: 34rem; font-variant-numeric: tabular-nums }
thead th { color: var(--faint) }
summary { cursor: pointer; margin: 0.5rem 0 }
pre { background: var(--box); padding: 0.6rem 0.8rem; border-radius: 6px; margin: 0.25rem 0 1rem;
  font: 0.85rem/1.5 ui-monospace, monospace; white-space: pre-wrap }
pre span { display: inline-block; max-width: 100% }
.pictures { columns: 34rem; column-gap: 1rem; margin-bottom: 0.5rem }
figure { margin: 0 0 1rem; width: fit-content; max-width: 100%; overflow-x: auto;
  box-sizing: border-box; break-inside: avoid; background: #fff; border-radius: 6px;
  border: 1px solid var(--line) }
img { display: block; max-width: 100%; height: auto }
figure.wide { column-span: all }
figure.wide img { max-width: none; width: max(100%, 45rem) }
footer { color: var(--faint); font-size: 0.85rem; margin: 2rem 0 1rem }
</style>
</head>
<body>
<main>
<h1>$title</h1>
$parts
</main>
</body>
</html>
""")
WIDE = 620  # pixels of CSS: a picture beyond it is scrolled on a telephone, instead of made tiny


def write_page(path: Path, title: str, parts: Iterable[str], refresh: int = 0) -> None:
    """Write a page, complete or not at all; refresh as in page."""
    write_bytes(path, page(title, parts, refresh))


def page(title: str, parts: Iterable[str], refresh: int = 0) -> bytes:
    """A whole page of parts, in UTF-8; refresh: seconds after which a browser reads it again."""
    again = f'<meta http-equiv="refresh" content="{refresh}">\n' if refresh else ""
    text = PAGE.substitute(title=escaped(title), parts="\n".join(parts), again=again)
    return text.encode()


def escaped(value: Any) -> str:
    """Text in which a browser finds nothing to interpret."""
    text = "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in str(value))
    return html.escape(text)


def heading(text: str) -> str:
    return f"<h2>{escaped(text)}</h2>"


def paragraph(text: str) -> str:
    return f"<p>{escaped(text)}</p>"


def footer(text: str) -> str:
    return f"<footer>{escaped(text)}</footer>"


def command(text: str, line: str) -> str:
    """A line to paste, below what it does."""
    words = " ".join(f"<span>{escaped(word)}</span>" for word in line.split(" "))  # kept whole
    return f"{paragraph(text)}\n<pre>{words}</pre>"


def table(rows: Iterable[Iterable], head: Iterable[str] = ()) -> str:
    """A table, which scrolls by itself where it is too wide; the first cell of a row names it."""
    above = [f"<thead><tr>{cells('th', head)}</tr></thead>"] if head else []
    lines = [f"<tr>{cells('th', [name])}{cells('td', values)}</tr>" for name, *values in rows]
    lines = "\n".join([*above, "<tbody>", *lines, "</tbody>"])
    return f'<div class="scroll" tabindex="0"><table>\n{lines}\n</table></div>'


def cells(tag, values):
    """The cells of one row."""
    return "".join(f"<{tag}>{escaped(value)}</{tag}>" for value in values)


def details(summary: str, *parts: str) -> str:
    """Parts that are shown when one asks for them."""
    return f"<details><summary>{escaped(summary)}</summary>\n{''.join(parts)}</details>"


def pictures(contents: Iterable[bytes]) -> str:
    """PNGs beside each other where there is room; their captions are what a screen reader says.

    ValueError if one is no picture.
    """
    return '<div class="pictures">\n{}\n</div>'.format("\n".join(map(figure, contents)))


def figure(content):
    """One picture, as large as it is in print."""
    from PIL import Image

    try:
        opened = Image.open(io.BytesIO(content))
    except OSError:
        raise ValueError("one of the pictures is none") from None
    with opened as image:
        dots = image.info.get("dpi", (96, 96))[0]
        width, height = (round(96 * size / dots) for size in image.size)
        caption = image.info.get("Title", "a picture")
    data = base64.b64encode(content).decode()
    look = ' class="wide"' if width > WIDE else ""
    return (
        f'<figure tabindex="0"{look}><img width="{width}" height="{height}" '
        f'alt="{escaped(caption)}" src="data:image/png;base64,{data}"></figure>'
    )
