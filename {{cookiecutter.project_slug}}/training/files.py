"""Files that are whole or not there at all, whenever the power goes."""

import contextlib
import hashlib
import json
import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def sync(path):
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    if os.name == "nt" and os.path.isdir(path):
        return  # Windows has no such call for folders.
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path):
    """Make a folder and those above it, where they are missing; their names are on the disk."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


def write_atomically(path, text):
    """Replace a file by a temporary one, so that a reader finds the old text or the new.

    Which of the two is there after a power cut is certain once its folder was synced.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None


def overwrite(path, text):
    """Replace a file's text where it stands: on a full disk there is no room for another."""
    with open(path, "r+", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.truncate()


def write_json(path, content):
    write_atomically(path, json.dumps(content, indent=2) + "\n")


def read_json(path):
    """The dictionary in a JSON file; ValueError names the file if it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it does not hold a JSON object")
    return content


def append_json(path, *records):
    """Add lines to a .jsonl file, in place of a torn last one; sync(path) makes them durable."""
    text = "".join(json.dumps(record) + "\n" for record in records)
    with open(path, "a+b") as file:
        end = file.tell()
        file.seek(max(0, end - 1))
        if end and file.read(1) != b"\n":
            file.truncate(path.read_bytes().rfind(b"\n") + 1)
        file.write(text.encode())


def read_jsonl(path, fields):
    """The records of a .jsonl file: dictionaries that hold at least fields, {name: type}.

    A last line that was torn by a crash is left out. So is any other damaged one, which is said.
    """
    if not path.exists():
        return []
    *lines, _ = path.read_bytes().split(b"\n")
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            for name, kind in fields.items():
                if type(record[name]) is not kind:
                    raise ValueError(f"{name} is not of type {kind.__name__}")
            records.append(record)
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            print(f"{path} is damaged in line {number}, which is left out: {error!r}")
    return records


def rewrite_jsonl(path, records):
    """Replace the content of a .jsonl file, if it is another one."""
    text = "".join(json.dumps(record) + "\n" for record in records)
    if path.exists() and path.read_bytes() != text.encode():
        write_atomically(path, text)


def sha256(path):
    """SHA-256 of a file, in hexadecimal; None if it is not there."""
    digest = hashlib.sha256()
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()
    return None
