"""The data: what a mirror may do, what is kept on disk, and the made-up digits.

Most tests use a tiny MNIST with digests of its own, so that they need neither a network nor the
real files. Those on the real files run where MNIST_MIRROR names a folder that holds them.
"""

import errno
import gzip
import hashlib
import http.server
import io
import logging
import os
import pickle
import shutil
import socket
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pooch
import pytest

from data import download as download_module
from data import loaders, mirrors
from data.download import download, main
from data.loaders import fake_digits, load_mnist
from data.mirrors import parse_idx

NAMES = list(mirrors.FILES)
REAL_MIRROR = Path(os.environ.get("MNIST_MIRROR") or "not-set")  # before a test changes it
needs_real_files = pytest.mark.skipif(
    not all((REAL_MIRROR / f"{name}.gz").is_file() for name in NAMES),
    reason="the variable MNIST_MIRROR names no folder with the four .gz files of MNIST",
)


def idx(array):
    header = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + header + array.tobytes()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


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
    return tmp_path / "data" / "mnist"


@pytest.fixture
def tiny(monkeypatch):
    """MNIST of 60 + 10 random images, 50 of them to train: {name: decompressed content}."""
    random = np.random.default_rng(0)
    contents = {}
    for prefix, count in (("train", 60), ("t10k", 10)):
        images = random.integers(0, 256, [count, 28, 28], np.uint8)
        contents[f"{prefix}-images-idx3-ubyte"] = idx(images)
        contents[f"{prefix}-labels-idx1-ubyte"] = idx(random.integers(0, 10, [count], np.uint8))
    files = {name: (len(content), sha256(content)) for name, content in contents.items()}
    monkeypatch.setattr(mirrors, "FILES", files)
    splits = {}
    for split, prefix, first, end in (
        ("train", "train", 0, 50),
        ("valid", "train", 50, 60),
        ("test", "t10k", 0, 10),
    ):
        images = contents[f"{prefix}-images-idx3-ubyte"][16 + first * 784 : 16 + end * 784]
        labels = contents[f"{prefix}-labels-idx1-ubyte"][8 + first : 8 + end]
        splits[split] = (prefix, slice(first, end), sha256(images), sha256(labels))
    monkeypatch.setattr(download_module, "SPLITS", splits)
    return contents


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


def assert_complete(folder, tiny):
    for split, (prefix, rows, *_) in download_module.SPLITS.items():
        arrays = load_mnist(split, folder)
        np.testing.assert_array_equal(
            arrays["images"], parse_idx(tiny[f"{prefix}-images-idx3-ubyte"])[rows]
        )
        np.testing.assert_array_equal(
            arrays["labels"], parse_idx(tiny[f"{prefix}-labels-idx1-ubyte"])[rows]
        )


def assert_nothing_left(folder):
    assert list(folder.parent.iterdir()) == []


# ---------------------------------------------------------------- IDX files


def test_parse_idx_gives_back_the_array_that_was_written():
    for array in (np.arange(24, dtype=np.uint8).reshape(2, 3, 4), np.arange(5, dtype=np.uint8)):
        parsed = parse_idx(idx(array))
        assert parsed.dtype == np.uint8
        np.testing.assert_array_equal(parsed, array)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "not an IDX file"),
        (b"<html>", "not an IDX file"),
        (b"\0\0\x08", "not an IDX file"),
        (b"\0\0\x0d\x01" + bytes(8), "not an IDX file"),  # floats
        (b"\0\0\x08\x02" + bytes(12), "not an IDX file"),  # two dimensions
        (b"\0\0\x08\x01\0\0", "inside the header"),
        (b"\0\0\x08\x03" + bytes(8), "inside the header"),
        (b"\0\0\x08\x01\0\0\0\x03ab", "truncated.*promises 11 bytes and there are 10"),
        (b"\0\0\x08\x01\0\0\0\x01ab", "too long.*promises 9 bytes and there are 10"),
        (b"\0\0\x08\x03" + b"\xff" * 12 + b"ab", "truncated"),  # 2**96 bytes
        (b"\0\0\x08\x03" + bytes(12) + b"ab", "too long"),
    ],
)
def test_parse_idx_refuses_a_header_that_lies(content, message):
    with pytest.raises(ValueError, match=message):
        parse_idx(content)


# ---------------------------------------------------------------- mirrors


@pytest.mark.parametrize("compressed", [True, False])
def test_a_folder_is_a_mirror_with_and_without_gz(mirror, folder, tiny, compressed):
    if not compressed:
        for name, content in tiny.items():
            (mirror / f"{name}.gz").unlink()
            (mirror / name).write_bytes(content)
    assert download(mirror, folder) == folder
    assert_complete(folder, tiny)
    assert [path.name for path in folder.parent.iterdir()] == ["mnist"]


def test_a_url_is_a_mirror_and_each_file_is_fetched_once(web, folder, tiny, monkeypatch, capsys):
    # As in a fresh process; pooch has bound its handler to the stderr of its import.
    monkeypatch.setattr(pooch.get_logger(), "handlers", [logging.StreamHandler(sys.stderr)])
    pooch.get_logger().setLevel(logging.NOTSET)
    download(web.url, folder)
    assert_complete(folder, tiny)
    assert web.requests == [f"/{name}.gz" for name in NAMES]
    # One line for each file, and not a word of pooch's.
    assert capsys.readouterr().err.splitlines() == [f"Fetched {web.url}/{n}.gz" for n in NAMES]


def test_a_url_may_hold_decompressed_files_and_end_in_a_slash(web, mirror, folder, tiny):
    for name, content in tiny.items():
        (mirror / f"{name}.gz").unlink()
        (mirror / name).write_bytes(content)
    download(f"{web.url}/", folder)
    assert_complete(folder, tiny)


def test_on_a_terminal_a_bar_stands_in_for_the_lines(web, folder, tiny, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    download(web.url, folder)
    assert_complete(folder, tiny)
    assert "Fetched" not in terminal.getvalue()
    assert "━" in terminal.getvalue()


@pytest.mark.parametrize("trouble", [500, 503, "cut"])
def test_a_transfer_that_fails_is_tried_again(web, folder, tiny, trouble):
    web.plan[:] = [trouble, trouble]
    download(web.url, folder)
    assert_complete(folder, tiny)
    assert web.requests.count(f"/{NAMES[0]}.gz") == 3


def test_a_transfer_that_keeps_failing_is_given_up(web, folder):
    web.plan[:] = [500] * 100
    with pytest.raises(ConnectionError, match="HTTP status 500"):
        download(web.url, folder)
    assert len(web.requests) == 1 + mirrors.RETRIES
    assert_nothing_left(folder)


def test_a_file_that_the_server_does_not_have_is_not_asked_for_again(web, mirror, folder):
    (mirror / f"{NAMES[0]}.gz").unlink()
    with pytest.raises(ValueError, match=f"{web.url}/{NAMES[0]}.gz: HTTP status 404"):
        download(web.url, folder)
    assert web.requests == [f"/{NAMES[0]}.gz", f"/{NAMES[0]}"]
    assert_nothing_left(folder)


def test_a_transfer_without_end_is_stopped_at_once(web, mirror, folder):
    (mirror / f"{NAMES[1]}.gz").write_bytes(bytes(2_000_000))
    with pytest.raises(ValueError, match="too long, stopped after"):
        download(web.url, folder)
    assert web.requests.count(f"/{NAMES[1]}.gz") == 1
    assert_nothing_left(folder)


def test_without_a_network_the_message_names_urls_and_ways_out(dead_url, folder, monkeypatch):
    monkeypatch.setattr(mirrors, "MIRRORS", (f"{dead_url}/one/", f"{dead_url}/two/"))
    with pytest.raises(ConnectionError) as caught:
        load_mnist("train", folder)
    message = str(caught.value)
    for part in (f"{dead_url}/one/", f"{dead_url}/two/", "--mirror", "--fake_data"):
        assert part in message
    assert "\n" not in message
    assert_nothing_left(folder)


def test_a_mirror_that_fails_hands_over_to_the_next(web, mirror, folder, tiny, monkeypatch):
    broken = mirror.parent / "broken"
    shutil.copytree(mirror, broken)
    (broken / f"{NAMES[2]}.gz").write_bytes(b"<html>")
    monkeypatch.setattr(mirrors, "MIRRORS", (str(broken), web.url))
    download(folder=folder)
    assert_complete(folder, tiny)
    # What the first one had is not fetched again.
    assert web.requests == [f"/{name}.gz" for name in NAMES[2:]]


def test_the_variable_names_a_mirror_and_the_argument_wins(mirror, folder, tiny, monkeypatch):
    monkeypatch.setenv("MNIST_MIRROR", "no-such-folder")
    with pytest.raises(ValueError, match="no-such-folder"):
        download(folder=folder)
    download(mirror, folder)
    assert_complete(folder, tiny)


@pytest.mark.parametrize("wrong", ["no/such/folder", "ftp://example.org/mnist", "file:///mnist"])
def test_a_mirror_that_is_neither_url_nor_folder_is_refused(wrong, folder):
    with pytest.raises(ValueError, match="neither an http"):
        download(wrong, folder)
    assert_nothing_left(folder)


DAMAGES = {
    "truncated": lambda content: gzip.compress(content)[:-20],
    "without its last byte": lambda content: gzip.compress(content)[:-1],
    "byte flipped in the .gz": lambda content: flip(gzip.compress(content), -12),
    "byte flipped in the content": lambda content: gzip.compress(flip(content, -1)),
    "content truncated": lambda content: gzip.compress(content[:-1]),
    "content one byte longer": lambda content: gzip.compress(content + b"\0"),
    "bomb": lambda content: gzip.compress(content + bytes(5_000_000)),
    "empty": lambda content: b"",
    "empty .gz": lambda content: gzip.compress(b""),
    "a page of HTML": lambda content: b"<!DOCTYPE html><title>Log in</title>",
    "wrong magic": lambda content: gzip.compress(b"\0\0\x0d" + content[3:]),
    "more items than there are": lambda content: gzip.compress(flip(content, 6)),
    "missing": None,
}


def flip(content, position):
    changed = bytearray(content)
    changed[position] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_one_clear_line_and_leaves_nothing(mirror, folder, tiny, name, damage):
    path = mirror / f"{name}.gz"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(DAMAGES[damage](tiny[name]))
    with pytest.raises(ValueError) as caught:
        download(mirror, folder)
    message = str(caught.value)
    assert str(path) in message and "--mirror" in message and "\n" not in message
    assert_nothing_left(folder)
    # The control: the same mirror, repaired, is good.
    path.write_bytes(gzip.compress(tiny[name]))
    download(mirror, folder)
    assert_complete(folder, tiny)


def test_a_bomb_is_not_decompressed(mirror, folder, tiny):
    name = NAMES[1]
    (mirror / f"{name}.gz").write_bytes(gzip.compress(tiny[name] + bytes(100_000_000)))
    tracemalloc.start()
    with pytest.raises(ValueError, match="too long"):
        download(mirror, folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


# ---------------------------------------------------------------- the folder


def test_data_that_is_there_is_not_fetched_again(mirror, folder, tiny, dead_url, capsys):
    download(mirror, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    download(dead_url, folder)
    assert "nothing to fetch" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    with pytest.raises(ConnectionError):  # the control
        download(dead_url, folder.parent / "mnist-other")


def test_a_damaged_folder_is_neither_repaired_nor_removed(mirror, folder, tiny):
    download(mirror, folder)
    path = folder / "valid" / "labels.npy"
    path.unlink()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="Delete the folder"):
        download(mirror, folder)
    assert (folder / "notes.txt").read_text() == "mine"
    shutil.rmtree(folder)  # what the message says
    download(mirror, folder)
    assert_complete(folder, tiny)


@pytest.mark.parametrize("call", [1, 4, 6])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_a_failure_in_the_middle_leaves_nothing(mirror, folder, tiny, monkeypatch, call, error):
    save, calls = np.save, []

    def failing_save(path, array):
        save(path, array)
        calls.append(path)
        if len(calls) == call:
            raise error

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", failing_save)
        with pytest.raises(type(error)) as caught:
            download(mirror, folder)
    if isinstance(error, OSError):
        assert "No space left" in str(caught.value) and str(folder) in str(caught.value)
    assert len(calls) == call
    assert_nothing_left(folder)
    download(mirror, folder)
    assert_complete(folder, tiny)


def test_a_folder_that_cannot_be_written_is_named(mirror, tmp_path):
    with pytest.raises(OSError, match="cannot be written"):
        download(mirror, tmp_path / "no" / "such" / "mnist")
    (tmp_path / "file").write_text("a file")
    with pytest.raises(OSError, match="cannot be written"):
        download(mirror, tmp_path / "file" / "mnist")


def test_whoever_comes_second_takes_what_the_first_has_written(mirror, folder, tiny, monkeypatch):
    fetch = mirrors.fetch

    def fetch_while_another_finishes(sources, temporary):
        with monkeypatch.context() as patch:
            patch.setattr(mirrors, "fetch", fetch)
            download(mirror, folder)
        return fetch(sources, temporary)

    monkeypatch.setattr(mirrors, "fetch", fetch_while_another_finishes)
    assert download(mirror, folder) == folder
    assert_complete(folder, tiny)
    assert [path.name for path in folder.parent.iterdir()] == ["mnist"]


# ---------------------------------------------------------------- load_mnist


def test_the_first_load_downloads(mirror, folder, tiny, monkeypatch):
    monkeypatch.setenv("MNIST_MIRROR", str(mirror))
    assert load_mnist("valid")["images"].shape == (10, 28, 28)
    assert_complete(folder, tiny)


def test_arrays_are_memory_mapped_and_read_only(mirror, folder):
    download(mirror, folder)
    for array in load_mnist("train", folder).values():
        assert isinstance(array, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize("load", [load_mnist, fake_digits])
def test_an_unknown_split_is_refused_with_the_known_ones(load, folder):
    with pytest.raises(ValueError, match="'validation'.*train, valid, test"):
        load("validation")
    assert_nothing_left(folder)


def write_objects(path):
    np.save(path, np.array([print, None], dtype=object), allow_pickle=True)


SPOILERS = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "without its header": lambda path: path.write_bytes(path.read_bytes()[128:]),
    "altered in one bit": lambda path: path.write_bytes(flip(path.read_bytes(), -1)),
    "text": lambda path: path.write_text("not an array"),
    "of objects": write_objects,
    "of another type": lambda path: np.save(path, np.load(path).astype(np.int8)),
    "of another shape": lambda path: np.save(path, np.load(path)[None]),
    "an archive": lambda path: path.write_bytes(archive()),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


def archive():
    file = io.BytesIO()
    np.savez(file, labels=np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize("name", ["images", "labels"])
@pytest.mark.parametrize("spoiler", SPOILERS)
def test_a_damaged_array_is_named_with_the_remedy(mirror, folder, tiny, name, spoiler):
    download(mirror, folder)
    path = folder / "train" / f"{name}.npy"
    SPOILERS[spoiler](path)
    with pytest.raises(ValueError) as caught:
        load_mnist("train", folder)
    message = str(caught.value)
    assert message.startswith(f"{path} is ") and "\n" not in message
    assert f"Delete the folder {folder} and run 'python data/download.py'" in message
    # The control, and the promise that a split touches no other's files.
    assert len(load_mnist("valid", folder)["labels"]) == 10


def test_no_code_in_a_file_is_run(mirror, folder, tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "hacked"),)

    download(mirror, folder)
    (folder / "test" / "labels.npy").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ValueError, match="labels.npy is damaged"):
        load_mnist("test", folder)
    assert not (tmp_path / "hacked").exists()
    pickle.loads(pickle.dumps(Hostile()))  # the control
    assert (tmp_path / "hacked").exists()


def test_no_bit_of_a_header_can_change_what_is_loaded(mirror, folder):
    download(mirror, folder)
    path = folder / "test" / "labels.npy"
    good, labels = path.read_bytes(), np.array(load_mnist("test", folder)["labels"])
    refused = 0
    for position in range(len(good) - len(labels)):
        for bit in (1, 16, 128):
            content = bytearray(good)
            content[position] ^= bit
            path.write_bytes(content)
            try:
                np.testing.assert_array_equal(load_mnist("test", folder)["labels"], labels)
            except ValueError:
                refused += 1
    assert refused > 200


# ---------------------------------------------------------------- the command


def test_the_command_says_where_the_data_is(mirror, folder, tiny, monkeypatch, capsys):
    monkeypatch.setattr(download, "__defaults__", (None, folder))
    assert main([f"--mirror={mirror}"]) == 0
    assert capsys.readouterr().out == (
        f"MNIST is ready in {folder}: train 50, valid 10, test 10.\n"
    )
    assert_complete(folder, tiny)


def test_the_command_fails_with_one_line_and_a_status(folder, dead_url, monkeypatch, capsys):
    monkeypatch.setattr(download, "__defaults__", (None, folder))
    assert main([f"--mirror={dead_url}"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert len(output.err.splitlines()) == 1 and output.err.startswith("Error: MNIST could not")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(mirrors, "fetch", interrupted)
    assert main([f"--mirror={dead_url}"]) == 130
    assert_nothing_left(folder)


@pytest.mark.parametrize(
    "wrong", [["--mirrors=x"], ["--mir=x"], ["stray"], ["--mirror="], ["--mirror"]]
)
def test_wrong_usage_is_status_2(wrong, folder):
    with pytest.raises(SystemExit) as caught:
        main(wrong)
    assert caught.value.code == 2
    assert_nothing_left(folder)


@pytest.fixture
def project(tmp_path):
    """A copy of the code, so that a process can run it without touching this project's data."""
    source = Path(download_module.__file__).parent
    (tmp_path / "project" / "data").mkdir(parents=True)
    for path in source.glob("*.py"):
        shutil.copy(path, tmp_path / "project" / "data")
    return tmp_path / "project"


def start(project, *arguments):
    command = [sys.executable, str(project / "data" / "download.py"), *arguments]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def test_the_script_runs_from_any_folder_and_shows_no_traceback(project, mirror):
    process = start(project, f"--mirror={mirror}")  # whose digests are not those of the script
    output, errors = process.communicate()
    assert process.returncode == 1
    assert output == "" and len(errors.splitlines()) == 1
    assert errors.startswith("Error: MNIST could not be fetched")
    assert not list(project.glob("data/mnist*"))


# ---------------------------------------------------------------- the real files


@pytest.fixture(scope="module")
def real_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real") / "mnist"
    return download(REAL_MIRROR, folder)


@needs_real_files
def test_the_real_files_give_the_three_splits(real_folder):
    examples = {split: len(load_mnist(split, real_folder)["labels"]) for split in loaders.SPLITS}
    assert examples == {"train": 55_000, "valid": 5_000, "test": 10_000}
    assert load_mnist("train", real_folder)["labels"][:5].tolist() == [5, 0, 4, 1, 9]
    counts = np.bincount(load_mnist("test", real_folder)["labels"])
    assert counts.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@needs_real_files
def test_valid_is_the_end_of_the_real_training_file(real_folder):
    images = parse_idx(gzip.decompress((REAL_MIRROR / f"{NAMES[0]}.gz").read_bytes()))
    np.testing.assert_array_equal(load_mnist("valid", real_folder)["images"], images[55_000:])
    np.testing.assert_array_equal(load_mnist("train", real_folder)["images"], images[:55_000])


@needs_real_files
def test_one_bit_of_the_real_images_is_noticed(real_folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(real_folder, copy)
    with open(copy / "train" / "images.npy", "r+b") as file:
        file.seek(20_000_000)
        byte = file.read(1)[0]
        file.seek(20_000_000)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(ValueError, match="altered"):
        load_mnist("train", copy)
    load_mnist("train", real_folder)


@needs_real_files
def test_two_processes_at_once_both_end_well(project):
    processes = [start(project, f"--mirror={REAL_MIRROR}") for _ in range(2)]
    for process in processes:
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        assert "train 55,000, valid 5,000, test 10,000" in output
    assert [path.name for path in project.glob("data/mnist*")] == ["mnist"]
    load_mnist("train", project / "data" / "mnist")


# ---------------------------------------------------------------- made-up digits


def test_fake_digits_are_the_same_every_time_and_differ_between_splits():
    sets = {split: fake_digits(split) for split in ("train", "valid", "test")}
    for split, count in (("train", 5_000), ("valid", 1_000), ("test", 1_000)):
        images, labels = sets[split]["images"], sets[split]["labels"]
        assert (images.shape, images.dtype) == ((count, 28, 28), np.uint8)
        assert (labels.shape, labels.dtype) == ((count,), np.uint8)
        np.testing.assert_array_equal(images, fake_digits(split)["images"])
        np.testing.assert_array_equal(labels, fake_digits(split)["labels"])
    everything = np.concatenate([arrays["images"] for arrays in sets.values()])
    assert len({image.tobytes() for image in everything}) == 7_000


@pytest.mark.parametrize("examples", [1, 999, 1_001])
def test_fewer_fake_digits_are_the_first_of_more(examples):
    few, many = fake_digits("train", examples), fake_digits("train", 3_000)
    np.testing.assert_array_equal(few["images"], many["images"][:examples])
    np.testing.assert_array_equal(few["labels"], many["labels"][:examples])


def test_fake_digits_are_balanced_and_shuffled():
    labels = fake_digits("train")["labels"]
    assert np.bincount(labels).tolist() == [500] * 10
    assert 350 < np.count_nonzero(labels[1:] == labels[:-1]) < 650


def test_fake_digits_can_be_learnt():
    train, test = fake_digits("train"), fake_digits("test")
    pixels = train["images"].reshape(-1, 784).astype(np.float32)
    means = np.stack([pixels[train["labels"] == digit].mean(0) for digit in range(10)])

    def accuracy(labels):
        images = test["images"].reshape(-1, 1, 784).astype(np.float32)
        nearest = np.square(images - means).sum(-1).argmin(1)
        return np.mean(nearest == labels)

    assert 0.6 < accuracy(test["labels"]) < 0.9  # a network must do better than this
    assert accuracy(np.roll(test["labels"], 1)) < 0.2  # the control: chance is 0.1


def test_fake_digits_cannot_be_written():
    for array in fake_digits("valid", 10).values():
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize("examples", [0, -1])
def test_no_fake_digits_at_all_is_an_error(examples):
    with pytest.raises(ValueError, match="1 or more"):
        fake_digits("train", examples)
