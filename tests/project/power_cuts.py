"""A disk that can lose its power: what a run folder looks like after any cut.

While a run trains, every fsync, rename and removal is a moment at which the power may go. For each,
the disk knows two states: what is certain (names of synced folders, bytes of synced files), and
what is there as long as the power stays on. After a cut, any file may be in either state, or hold
the beginning of its new bytes, and any name may be there or not; `image` makes such folders.
TensorFlow's own writes are not watched, only seen when the next moment comes: all that it wrote
since is uncertain until it is synced.
"""

import contextlib
import os
import random
from pathlib import Path
from unittest import mock


class Disk:
    """Watches a folder: `with Disk(folder) as disk`; disk.cuts are the moments."""

    def __init__(self, folder):
        self.folder = folder
        self.bytes = {}  # {inode: bytes}, of synced files
        self.names = {}  # {inode of a folder: {name: inode}}, of synced folders
        self.folders, self.open = set(), {}  # inodes; descriptors, so that none is used again
        self.cuts = []

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        self.sync_folder(self.folder)
        for name in ("fsync", "replace", "unlink"):
            original = getattr(os, name)
            watched = self.watched(name, original)
            self.stack.enter_context(mock.patch.object(os, name, watched))
        return self

    def __exit__(self, *error):
        self.stack.close()
        self.cut("end")
        for descriptor in self.open.values():
            os.close(descriptor)

    def watched(self, name, original):
        def call(target, *rest, **options):
            self.cut(name)
            answer = original(target, *rest, **options)
            if name == "fsync":
                path = Path(f"/proc/self/fd/{target}").resolve()
                if path.is_relative_to(self.folder):
                    self.sync(path)
            return answer

        return call

    def sync(self, path):
        if path.is_dir():
            self.sync_folder(path)
        else:
            self.bytes[path.stat().st_ino] = path.read_bytes()

    def sync_folder(self, path):
        self.names[self.seen(path)] = {p.name: self.seen(p) for p in path.iterdir()}

    def seen(self, path):
        """The inode of a path, which from now on is no other file's."""
        inode = path.stat().st_ino
        if inode not in self.open:
            self.open[inode] = os.open(path, os.O_RDONLY)
        if path.is_dir():
            self.folders.add(inode)
        return inode

    def cut(self, label):
        """Remember what is certain now, and what is there."""
        bytes_now, names_now = {}, {}
        for folder, _, files in os.walk(self.folder):
            entries = {}
            for path in Path(folder).iterdir():
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile by another thread
                    entries[path.name] = self.seen(path)
            names_now[self.seen(Path(folder))] = entries
            for name in files:
                with contextlib.suppress(FileNotFoundError, KeyError):
                    bytes_now[entries[name]] = Path(folder, name).read_bytes()
        root = self.seen(self.folder)
        self.cuts.append((label, root, dict(self.bytes), dict(self.names), bytes_now, names_now))

    def image(self, cut, folder, choice):
        """Write what may be left after a cut. choice: "certain", "latest" or a random.Random."""
        _, root, *states = self.cuts[cut]
        self.write_folder(root, folder, states, choice)

    def write_folder(self, inode, folder, states, choice):
        certain_bytes, certain_names, bytes_now, names_now = states
        folder.mkdir()
        old, new = certain_names.get(inode, {}), names_now.get(inode, {})
        for name in sorted(old.keys() | new.keys()):
            entry = pick(choice, old.get(name), new.get(name))
            if entry is None:
                continue
            if entry in self.folders:
                self.write_folder(entry, folder / name, states, choice)
                continue
            was = certain_bytes.get(entry, b"")
            content = pick(choice, was, bytes_now.get(entry, was))
            if isinstance(choice, random.Random) and content.startswith(was):
                content = content[: choice.randint(len(was), len(content))]
            (folder / name).write_bytes(content)


def pick(choice, certain, latest):
    if isinstance(choice, random.Random):
        return choice.choice([certain, latest])
    return certain if choice == "certain" else latest
