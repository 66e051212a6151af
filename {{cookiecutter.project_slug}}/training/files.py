"""Files that are complete or missing, even after a power cut."""

import contextlib
import hashlib
import json
import logging
import os
import time
from pathlib import Path

log = logging.getLogger(__name__)
PROJECT = Path(__file__).resolve().parent.parent
PAUSES = 20 * (0.05,) if os.name == "nt" else ()  # seconds between two tries


def expanded(path: str | os.PathLike) -> Path:
    """A path as a shell reads it: ~ is the home folder, and ~name stays if nobody has that name."""
    return Path(os.path.expanduser(path))


def sync(path: str | os.PathLike) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    if os.name == "nt" and os.path.isdir(path):
        return  # Windows has no such call for folders.
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents, and wait until their names are on the disk."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


def replace(path: Path, other: Path) -> None:
    """Put a file in the place of another one.

    Windows refuses that while a process, a scanner for viruses perhaps, reads the other: try again.
    """
    for seconds in (*PAUSES, None):
        try:
            os.replace(path, other)
            return
        except PermissionError:
            if seconds is None:
                raise
            time.sleep(seconds)


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's text by way of a temporary file: readers find the old text or the new one.

    Once its folder is synced, the new text survives a power cut.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        replace(temporary, path)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None


def overwrite(path: Path, text: str) -> None:
    """Replace a file's text in place: on a full disk there is no room for a second file."""
    with open(path, "r+", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.truncate()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file in place of an older one: complete or not at all. A device or pipe stays one."""
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    path = path.resolve()  # a link stays one
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_bytes(content)
        replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise type(error)(error.errno, error.strerror, str(path)) from None


def write_json(path: Path, content: dict) -> None:
    write_atomically(path, json.dumps(content, indent=2) + "\n")


def read_json(path: Path) -> dict:
    """The dictionary in a JSON file; ValueError names the file if it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it does not hold a JSON object")
    return content


def append_json(path: Path, *records: dict) -> None:
    """Add lines to a .jsonl file, in place of an incomplete last one. sync waits for the disk."""
    text = "".join(json.dumps(record) + "\n" for record in records)
    with open(path, "a+b") as file:
        end = file.tell()
        file.seek(max(0, end - 1))
        if end and file.read(1) != b"\n":
            file.truncate(path.read_bytes().rfind(b"\n") + 1)
        file.write(text.encode())


def read_jsonl(path: Path, fields: dict[str, type]) -> list[dict]:
    """The records of a .jsonl file: dictionaries that hold at least fields, {name: type}.

    A last line that a crash cut short is skipped; any other corrupt line is reported and skipped.
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
            log.info(f"{path}: line {number} is corrupt and is skipped: {error!r}")
    return records


def rewrite_jsonl(path: Path, records: list[dict]) -> None:
    """Replace the content of a .jsonl file, if it changes."""
    text = "".join(json.dumps(record) + "\n" for record in records)
    if path.exists() and path.read_bytes() != text.encode():
        write_atomically(path, text)


def sha256(path: Path) -> str | None:
    """SHA-256 of a file, in hexadecimal; None if there is no such file."""
    digest = hashlib.sha256()
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()
    return None
