"""What Chromium makes of a page: used by the tests of report.html."""

import json
import os
import re
import shutil
import subprocess

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason=f"none of {', '.join(NAMES)} is here")
hostile_names = pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
# A window is at least 500 pixels wide, a frame in it is not. Its page is not changed.
FRAME = """<!doctype html><html><head><meta charset="utf-8">
<meta name="color-scheme" content="light dark"></head>
<body style="margin: 0"><iframe id="page" style="border: 0" width="{width}" height="{height}">
</iframe><pre id="seen"></pre><script>
const frame = document.getElementById("page");
frame.onload = () => {{
  const page = frame.contentDocument, root = page.documentElement;
  page.querySelectorAll("details").forEach((part) => part.open = true);
  const images = [...page.images];
  const boxes = [...page.querySelectorAll(".scroll, figure, pre")];
  document.getElementById("seen").textContent = JSON.stringify({{
    width: frame.contentWindow.innerWidth,
    needs: Math.max(root.scrollWidth, page.body.scrollWidth),
    beyond: [...page.querySelectorAll("h1, h2, p, .scroll, figure, pre, footer, summary")]
      .filter((part) => part.getBoundingClientRect().right > root.clientWidth + 1)
      .map((part) => part.outerHTML.slice(0, 200)),
    scrolled: boxes.filter((box) => box.scrollWidth > box.clientWidth).length,
    images: images.map((image) => [image.naturalWidth, image.clientWidth, image.alt]),
    requests: frame.contentWindow.performance.getEntriesByType("resource").map((e) => e.name),
    background: frame.contentWindow.getComputedStyle(page.body).backgroundColor,
    title: page.title,
    text: page.body.innerText,
    hacked: Boolean(frame.contentWindow.hacked),
  }});
}};
frame.srcdoc = {page};
</script></body></html>"""


def look(text, folder, width=1280, height=900, dark=False):
    """Open a page, given as text, in a window of so many pixels. Returns what is there, a dict."""
    content = json.dumps(text).replace("</", "<\\/")
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(width=width, height=height, page=content), encoding="utf-8")
    command = [
        CHROMIUM,
        *FLAGS,
        "--virtual-time-budget=10000",
        f"--user-data-dir={folder / 'user'}",
    ]
    command += ["--force-dark-mode"] if dark else []
    command += [f"--window-size={max(500, width)},{height}", "--dump-dom", frame.as_uri()]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120)
    seen = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert seen and seen[1], done.stderr[-2000:]
    plain = seen[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return json.loads(plain)
