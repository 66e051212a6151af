"""Takes the pictures in docs/images/: make screenshots

In a rendered project it trains some runs of MNIST, starts --board, and opens its pages in Chromium,
which it tells what to do by the DevTools protocol: JSON texts through two pipes.
"""

import base64
import contextlib
import io
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

IMAGES = Path(__file__).parent / "images"
MAIN = [sys.executable, "main.py", "--model_name=MNIST"]
DATA = [] if os.environ.get("MNIST_MIRROR") else ["--fake_data"]
COMMON = [*DATA, "--max_iter=2000", "--eval_every=100", "--random_seed=1"]
RUNS = {
    "sgd": "--trace_every=1000",
    "momentum": "--optimizer=momentum --lr=0.05",
    "adam": "--optimizer=adam --lr=0.003 --hidden1=64",
    "small": "--lr=0.1 --hidden1=16",
}
# Of each page: height, address, and what is clicked there, as a kind of element and a text in it.
PAGES = {
    "scalars": (640, "?runFilter=valid&tagFilter=^(loss|accuracy)$#timeseries",
                ["button Settings"]),
    "images": (830, "?runFilter=sgd/valid&tagFilter=images#timeseries", []),
    "graph": (800, "#graphs", ["paper-item sgd/train", "paper-item step 2000",
                               "paper-radio-button Profile", "paper-radio-button Compute time"]),
    "hparams": (500, "#hparams", ["paper-checkbox batch_size", "paper-checkbox beta1"]),
}  # fmt: skip
# Clicks on the first element with a text, also within the shadow trees of other elements.
CLICK = """
    const find = root => [...root.querySelectorAll(KIND), ...[...root.querySelectorAll('*')]
        .flatMap(element => element.shadowRoot ? find(element.shadowRoot) : [])];
    find(document).find(element => element.textContent.includes(TEXT)).click(); """
FLAGS = "--headless=new --no-sandbox --disable-gpu --hide-scrollbars --remote-debugging-pipe"


@contextlib.contextmanager
def browser():
    """Within it, `call(method, session, **parameters)` returns what Chromium answers."""
    (heard, to_browser), (from_browser, said) = os.pipe(), os.pipe()
    numbers, answers = itertools.count(1), os.fdopen(from_browser, "rb")

    def call(method, session=None, **parameters):
        about = {"id": next(numbers), "method": method, "params": parameters}
        about |= {"sessionId": session} if session else {}
        os.write(to_browser, json.dumps(about).encode() + b"\0")
        while True:  # events come in between
            answer = json.loads(b"".join(iter(lambda: answers.read(1), b"\0")))
            if answer.get("id") == about["id"]:
                return answer["result"]

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        chromium = os.environ.get("CHROMIUM", "chromium")
        line = f'exec "{chromium}" {FLAGS} --user-data-dir={profile} 3<&{heard} 4>&{said} 2>&-'
        with subprocess.Popen(["bash", "-c", line], pass_fds=(heard, said)):
            try:
                yield call
            finally:
                call("Browser.close")


def take(call, url, height, clicks):
    """Open a page, click, and return its picture."""
    target = call("Target.createTarget", url=url)["targetId"]
    session = call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    size = {"width": 1300, "height": height, "deviceScaleFactor": 1, "mobile": False}
    call("Emulation.setDeviceMetricsOverride", session, **size)
    time.sleep(6)
    for click in clicks:
        kind, text = map(json.dumps, click.split(" ", 1))
        script = f"{{ {CLICK.replace('KIND', kind).replace('TEXT', text)} }}"
        answer = call("Runtime.evaluate", session, expression=script)
        if "exceptionDetails" in answer:
            raise ValueError(f"{url}: there is no {click!r} to click on")
        time.sleep(4)
    png = base64.b64decode(call("Page.captureScreenshot", session, format="png")["data"])
    return Image.open(io.BytesIO(png))


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    for name, flags in RUNS.items():
        about = [*COMMON, *flags.split(), f"--result_dir=results/MNIST/{name}"]
        subprocess.run([*MAIN, *about], check=True)
    board = subprocess.Popen([*MAIN, "--board", "--port=0"], stdout=subprocess.PIPE, text=True)
    address = re.search(r"http://\S+", board.stdout.readline())[0]
    try:
        with browser() as call:
            for name, (height, page, clicks) in PAGES.items():
                picture = take(call, address + page, height, clicks).convert("RGB")
                colours = picture.quantize(64, dither=Image.Dither.NONE)
                colours.save(IMAGES / f"{name}.png", optimize=True)
    finally:
        board.terminate()
