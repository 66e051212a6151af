"""What the tests of the data share: a tiny MNIST with digests of its own, and mirrors of it.

Few tests need the real files. They run where MNIST_MIRROR names a folder that holds them.
"""

import gzip
import hashlib
import http.server
import os
import socket
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data import download, loaders, mirrors


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path):
    """No proxy, no waiting between retries, and no mirror or folder but those of the test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("MNIST_MIRROR", raising=False)
    monkeypatch.setattr(mirrors, "MIRRORS", ())
    monkeypatch.setattr(loaders, "FOLDER", tmp_path / "data" / "mnist")
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=lambda seconds: None))
    (tmp_path / "data").mkdir()


@pytest.fixture
def folder(tmp_path):
    """Where MNIST shall be. Its parent is empty, so that whatever is left behind shows."""
    return tmp_path / "data" / "mnist"


@pytest.fixture
def tiny(monkeypatch):
    """MNIST of 60 + 10 random images, 50 of them to train: {name: decompressed content}."""
    random = np.random.default_rng(0)
    splits = {"train": ("train", 0, 50), "valid": ("train", 50, 60), "test": ("t10k", 0, 10)}
    arrays = {
        "train-images-idx3-ubyte": random.integers(0, 256, [60, 28, 28], np.uint8),
        "train-labels-idx1-ubyte": random.integers(0, 10, [60], np.uint8),
        "t10k-images-idx3-ubyte": random.integers(0, 256, [10, 28, 28], np.uint8),
        "t10k-labels-idx1-ubyte": random.integers(0, 10, [10], np.uint8),
    }
    for split, (source, first, end) in splits.items():
        kinds = [
            arrays[f"{source}-{kind}-ubyte"][first:end] for kind in ("images-idx3", "labels-idx1")
        ]
        digests = [hashlib.sha256(array).hexdigest() for array in kinds]
        splits[split] = (source, slice(first, end), *digests)
    contents = {name: idx(array) for name, array in arrays.items()}
    files = {name: (len(c), hashlib.sha256(c).hexdigest()) for name, c in contents.items()}
    monkeypatch.setattr(download, "SPLITS", splits)
    monkeypatch.setattr(mirrors, "FILES", files)
    return contents


def idx(array):
    """The array as an IDX file."""
    lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + lengths + array.tobytes()


@pytest.fixture
def assert_complete(tiny):
    """assert_complete(folder): it holds the three splits, with what the four files have."""

    def call(folder):
        for split, (source, rows, *_) in download.SPLITS.items():
            arrays = loaders.load_mnist(split, folder)
            images = np.frombuffer(tiny[f"{source}-images-idx3-ubyte"][16:], np.uint8)
            labels = np.frombuffer(tiny[f"{source}-labels-idx1-ubyte"][8:], np.uint8)
            np.testing.assert_array_equal(arrays["images"], images.reshape(-1, 28, 28)[rows])
            np.testing.assert_array_equal(arrays["labels"], labels[rows])
        assert [path.name for path in folder.parent.iterdir()] == [folder.name]

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
    """A web server of that folder. `plan` says what goes wrong with the first requests."""
    state = SimpleNamespace(plan=[], requests=[])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802 (the name is http.server's)
            state.requests.append(self.path)
            trouble = state.plan.pop(0) if state.plan else None
            path = mirror / self.path.lstrip("/")
            if isinstance(trouble, int) or not path.is_file():
                self.send_error(trouble or 404)
                return
            content = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if trouble == "cut" else content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def dead_url():
    """A URL at which connections are refused."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def real_mirror():
    """The folder with the four real files; whatever needs it is skipped where there is none."""
    path = Path(os.environ.get("MNIST_MIRROR", ""))
    if not all((path / f"{name}.gz").is_file() for name in mirrors.FILES):
        pytest.skip("the variable MNIST_MIRROR names no folder with the four .gz files of MNIST")
    return path


@pytest.fixture(scope="session")
def real_folder(real_mirror, tmp_path_factory):
    """The real MNIST, downloaded. Look, do not touch."""
    return download.download(real_mirror, tmp_path_factory.mktemp("real") / "mnist")
