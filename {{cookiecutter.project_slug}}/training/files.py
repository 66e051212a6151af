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


def write_atomically(path, text):
    """Replace a file by a temporary one, so that a reader finds the old text or the new."""
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync(path.parent)


def write_json(path, content):
    write_atomically(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path):
    """The dictionary in a JSON file; ValueError names the file if it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it does not hold a JSON object")
    return content


def append_json(path, *records):
    """Add lines to a .jsonl file, in place of a torn last one; sync(path) makes them durable."""
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    with open(path, "a+b") as file:
        end = file.tell()
        file.seek(max(0, end - 1))
        if end and file.read(1) != b"\n":
            file.truncate(path.read_bytes().rfind(b"\n") + 1)
        file.write(text.encode())


def read_jsonl(path):
    """The records of a .jsonl file. A last line that was torn by a crash is left out.

    ValueError names the file and the line if any other is damaged.
    """
    if not path.exists():
        return []
    *lines, rest = path.read_bytes().split(b"\n")
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            if not isinstance(record, dict) or type(record.get("step")) is not int:
                raise ValueError("not a record with a step")
        except ValueError as error:
            raise ValueError(f"{path} is damaged in line {number}: {error}") from None
        records.append(record)
    return records


def cut_jsonl(path, last_step):
    """Drop the records after last_step, and a torn last line, from a .jsonl file."""
    kept = [record for record in read_jsonl(path) if record["step"] <= last_step]
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in kept)
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
