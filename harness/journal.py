"""Journal: promises to undo, on disk before the harm is done."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import HarnessError

NAME = "journal.jsonl"


class Journal:
    """The promises of one sandbox: a file of JSON lines, `{"promise": ID, "undo": {...}}` and later `{"kept": ID}`.

    Only ever appended to. A line that is cut short is a crash while writing: that promise was never given (nobody
    harms anything before `promise` has returned), so it is left out; the next writer says that it saw it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def promise(self, undo: Mapping[str, Any]) -> str:
        """Write down how to undo what is about to be done; returns the promise's id. It is on the disk (fsync of the
        file and of its folder) when this returns. Raises HarnessError where that fails: then do no harm."""
        promise = uuid.uuid4().hex[:12]
        self._append({"promise": promise, "undo": dict(undo)})
        return promise

    def kept(self, promise: str) -> None:
        """Write down that `promise` was kept; safe to call twice. Raises HarnessError."""
        self._append({"kept": promise})

    def open_promises(self) -> dict[str, dict[str, Any]]:
        """The undo of every promise not yet kept, by id, oldest first. No journal: no promises. Raises HarnessError
        where it can't be read, or where a line other than the last is damaged: then nobody knows what is promised."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as odd:
            raise HarnessError(f"the journal {self.path} can't be read: {odd}") from odd
        found: dict[str, dict[str, Any]] = {}
        lines = [line for line in text.split(b"\n") if line]
        for number, line in enumerate(lines):
            entry = _entry(line)
            if entry is None:
                if number == len(lines) - 1 or lines[number + 1] == _TORN:
                    continue
                raise HarnessError(f"the journal {self.path} is damaged at line {number + 1}: {line[:80]!r}")
            if "kept" in entry:
                found.pop(str(entry["kept"]), None)
            elif "promise" in entry:
                found[str(entry["promise"])] = entry["undo"]
        return found

    def _append(self, entry: Mapping[str, Any]) -> None:
        try:
            fresh = not self.path.exists()
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                _write_line(handle, json.dumps(entry).encode())
                os.fsync(handle)
            finally:
                os.close(handle)
            if fresh:
                _sync_folder(self.path.parent)
        except (OSError, TypeError, ValueError) as odd:
            raise HarnessError(
                f"the journal {self.path} can't be written: {odd}", hint="is the disk full, or the sandbox gone?"
            ) from odd


# Stands after a line that was cut short, written by whoever came next: it says that this is known.
_TORN = b'{"torn": true}'


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if isinstance(entry, dict) and ("kept" in entry or "torn" in entry or isinstance(entry.get("undo"), dict)):
        return entry
    return None


def _write_line(handle: int, line: bytes) -> None:
    """Append `line`, on a line of its own even where the one before was cut short."""
    size = os.fstat(handle).st_size
    whole = size == 0 or os.pread(handle, 1, size - 1) == b"\n"
    rest = (b"" if whole else b"\n" + _TORN + b"\n") + line + b"\n"
    while rest:
        rest = rest[os.write(handle, rest) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
