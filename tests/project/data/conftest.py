"""A tiny MNIST with digests of its own, and mirrors of it in a folder and on the web."""

import functools
import gzip
import hashlib
import http.server
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data import download, loaders


@pytest.fixture(autouse=True)
def isolated(monkeypatch):
    """No proxy, no mirrors but the test's own, no waiting before another try."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("MNIST_MIRROR", raising=False)
    monkeypatch.setattr(download, "MIRRORS", ())
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=lambda seconds: None))


@pytest.fixture
def folder(tmp_path):
    """Where MNIST is written: alone in its parent folder, so that whatever is left behind shows."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "mnist"


@pytest.fixture
def tiny(monkeypatch):
    """{name: decompressed content} of an MNIST with 60 + 10 random images."""
    random = np.random.default_rng(0)
    splits = {"train": ("train", 0, 50), "valid": ("train", 50, 60), "test": ("t10k", 0, 10)}
    contents, digests = {}, {}
    for source, count in {"train": 60, "t10k": 10}.items():
        images = random.integers(0, 256, [count, 28, 28], np.uint8)
        labels = random.integers(0, 10, count, np.uint8)
        contents[f"{source}-images-idx3-ubyte"] = bytes(16) + images.tobytes()
        contents[f"{source}-labels-idx1-ubyte"] = bytes(8) + labels.tobytes()
        for split, (of, start, end) in splits.items():
            if of == source:
                digests[f"{split}/images"] = sha256(images[start:end])
                digests[f"{split}/labels"] = sha256(labels[start:end])
    monkeypatch.setattr(download, "FILES", {name: sha256(c) for name, c in contents.items()})
    monkeypatch.setattr(download, "SPLITS", splits)
    monkeypatch.setattr(download, "MAX_BYTES", 100_000)
    monkeypatch.setattr(loaders, "DIGESTS", digests)
    return contents


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def assert_complete(tiny):
    """assert_complete(folder): it holds the tiny MNIST in .npy files, its parent nothing else."""

    def call(folder):
        for name, digest in loaders.DIGESTS.items():
            assert sha256(np.load(folder / f"{name}.npy")) == digest
        assert os.listdir(folder.parent) == [folder.name]

    return call


@pytest.fixture
def mirror(tiny, tmp_path):
    """A folder with the tiny MNIST, compressed."""
    path = tmp_path / "mirror"
    path.mkdir()
    for name, content in tiny.items():
        (path / f"{name}.gz").write_bytes(gzip.compress(content))
    return path


@pytest.fixture
def web(mirror):
    """A web server of that folder. `troubles` says what goes wrong with the first requests."""
    state = SimpleNamespace(troubles=[], requests=[])

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):  # noqa: N802 (the name is http.server's)
            state.requests.append(self.path)
            trouble = state.troubles.pop(0) if state.troubles else None
            if trouble == "cut":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"half")
            elif trouble:
                self.send_error(trouble)
            else:
                super().do_GET()

        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=mirror)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_port}"
        yield state
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def real_mirror():
    """The folder with the four real files. Skips the test if MNIST_MIRROR does not name one."""
    path = Path(os.environ.get("MNIST_MIRROR", ""))
    if not all((path / f"{name}.gz").is_file() for name in download.FILES):
        pytest.skip("the variable MNIST_MIRROR names no folder with the four .gz files of MNIST")
    return path
