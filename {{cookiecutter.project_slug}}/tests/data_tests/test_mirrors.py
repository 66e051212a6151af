"""What a mirror may do: hold the files in several ways, fail, be absent, and lie."""

import gzip
import io
import logging
import shutil
import sys
import tracemalloc

import numpy as np
import pooch
import pytest

from data import mirrors
from data.download import download
from data.mirrors import parse_idx

NAMES = list(mirrors.FILES)


def test_parse_idx_gives_back_the_array_that_was_written():
    labels = parse_idx(b"\0\0\x08\x01\0\0\0\x05" + bytes(range(5)))
    images = parse_idx(b"\0\0\x08\x03\0\0\0\x02\0\0\0\x03\0\0\0\x04" + bytes(range(24)))
    assert labels.dtype == images.dtype == np.uint8
    np.testing.assert_array_equal(labels, np.arange(5))
    np.testing.assert_array_equal(images, np.arange(24).reshape(2, 3, 4))


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "not an IDX file"),
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


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("address", ["folder", "URL", "URL/"])
def test_a_folder_or_url_is_a_mirror_with_and_without_gz(
    web, mirror, folder, tiny, assert_complete, address, compressed
):
    if not compressed:
        for name, content in tiny.items():
            (mirror / f"{name}.gz").unlink()
            (mirror / name).write_bytes(content)
    source = mirror if address == "folder" else address.replace("URL", web.url)
    assert download(source, folder) == folder
    assert_complete(folder)


def test_each_file_is_fetched_once_and_reported_in_one_line(web, folder, monkeypatch, capsys):
    # As in a fresh process; pooch has bound its handler to the stderr of its import.
    monkeypatch.setattr(pooch.get_logger(), "handlers", [logging.StreamHandler(sys.stderr)])
    pooch.get_logger().setLevel(logging.NOTSET)
    download(web.url, folder)
    assert web.requests == [f"/{name}.gz" for name in NAMES]
    assert capsys.readouterr().err.splitlines() == [f"Fetched {web.url}/{n}.gz" for n in NAMES]


def test_on_a_terminal_a_bar_stands_in_for_the_lines(web, folder, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    download(web.url, folder)
    assert "Fetched" not in terminal.getvalue()
    assert "━" in terminal.getvalue()


@pytest.mark.parametrize("trouble", [500, 503, "cut"])
def test_a_transfer_that_fails_is_tried_again(web, folder, assert_complete, trouble):
    web.plan[:] = [trouble, trouble]
    download(web.url, folder)
    assert_complete(folder)
    assert web.requests.count(f"/{NAMES[0]}.gz") == 3


def test_a_transfer_that_keeps_failing_is_given_up(web, folder):
    web.plan[:] = [500] * 100
    with pytest.raises(ConnectionError, match="HTTP status 500"):
        download(web.url, folder)
    assert len(web.requests) == 1 + mirrors.RETRIES
    assert not list(folder.parent.iterdir())


def test_a_file_that_the_server_does_not_have_is_not_asked_for_again(web, mirror, folder):
    (mirror / f"{NAMES[0]}.gz").unlink()
    with pytest.raises(ValueError, match=f"{web.url}/{NAMES[0]}.gz: HTTP status 404"):
        download(web.url, folder)
    assert web.requests == [f"/{NAMES[0]}.gz", f"/{NAMES[0]}"]
    assert not list(folder.parent.iterdir())


def test_a_transfer_without_end_is_stopped_at_once(web, mirror, folder):
    (mirror / f"{NAMES[1]}.gz").write_bytes(bytes(2_000_000))
    with pytest.raises(ValueError, match="too long, stopped after"):
        download(web.url, folder)
    assert web.requests.count(f"/{NAMES[1]}.gz") == 1
    assert not list(folder.parent.iterdir())


def test_without_a_network_the_message_names_urls_and_ways_out(dead_url, folder, monkeypatch):
    monkeypatch.setattr(mirrors, "MIRRORS", (f"{dead_url}/one/", f"{dead_url}/two/"))
    with pytest.raises(ConnectionError) as caught:
        download(folder=folder)
    message = str(caught.value)
    for part in (f"{dead_url}/one/", f"{dead_url}/two/", "--mirror", "--fake_data"):
        assert part in message
    assert "\n" not in message
    assert not list(folder.parent.iterdir())


def test_a_mirror_that_fails_hands_over_to_the_next(
    web, mirror, folder, assert_complete, monkeypatch
):
    broken = mirror.parent / "broken"
    shutil.copytree(mirror, broken)
    (broken / f"{NAMES[2]}.gz").write_bytes(b"<html>")
    monkeypatch.setattr(mirrors, "MIRRORS", (str(broken), web.url))
    download(folder=folder)
    assert_complete(folder)
    # What the first one had is not fetched again.
    assert web.requests == [f"/{name}.gz" for name in NAMES[2:]]


def test_the_variable_names_a_mirror_and_the_argument_wins(
    mirror, folder, assert_complete, monkeypatch
):
    monkeypatch.setenv("MNIST_MIRROR", "no-such-folder")
    with pytest.raises(ValueError, match="no-such-folder"):
        download(folder=folder)
    download(mirror, folder)
    assert_complete(folder)


@pytest.mark.parametrize("wrong", ["no/such/folder", "ftp://example.org/mnist", "file:///mnist"])
def test_a_mirror_that_is_neither_url_nor_folder_is_refused(wrong, folder):
    with pytest.raises(ValueError, match="neither an http"):
        download(wrong, folder)
    assert not list(folder.parent.iterdir())


def flip(content, position):
    changed = bytearray(content)
    changed[position] ^= 1
    return bytes(changed)


DAMAGES = {
    "without its last byte": lambda content: gzip.compress(content)[:-1],
    "byte flipped in the .gz": lambda content: flip(gzip.compress(content), -12),
    "byte flipped in the content": lambda content: gzip.compress(flip(content, -1)),
    "content one byte shorter": lambda content: gzip.compress(content[:-1]),
    "content one byte longer": lambda content: gzip.compress(content + b"\0"),
    "empty": lambda content: b"",
    "empty .gz": lambda content: gzip.compress(b""),
    "a page of HTML": lambda content: b"<!DOCTYPE html><title>Log in</title>",
    "more items than there are": lambda content: gzip.compress(flip(content, 6)),
    "missing": None,
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_one_clear_line_and_leaves_nothing(
    mirror, folder, tiny, assert_complete, name, damage
):
    path = mirror / f"{name}.gz"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(DAMAGES[damage](tiny[name]))
    with pytest.raises(ValueError) as caught:
        download(mirror, folder)
    message = str(caught.value)
    assert str(path) in message and "--mirror" in message and "\n" not in message
    assert not list(folder.parent.iterdir())
    # The control: the same mirror, repaired, is good.
    path.write_bytes(gzip.compress(tiny[name]))
    download(mirror, folder)
    assert_complete(folder)


def test_a_bomb_is_not_decompressed(mirror, folder, tiny):
    name = NAMES[1]
    (mirror / f"{name}.gz").write_bytes(gzip.compress(tiny[name] + bytes(100_000_000)))
    tracemalloc.start()
    with pytest.raises(ValueError, match="too long"):
        download(mirror, folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
