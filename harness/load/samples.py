"""Samples: the requests that the load engine wrote down, read whole at the end or followed while they come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.errors import EvidenceMissing
from harness.model.load import SAMPLES_COLUMNS, SAMPLES_HEADER, Sample, parse_sample


def read_samples(path: Path) -> tuple[Sample, ...]:
    """Every sample in `path`, in the file's order.

    Raises EvidenceMissing, naming the line, for a file that is missing, of another format, torn or odd anywhere: what
    can't be read whole is no evidence. The last line of an engine that was killed is cut off by the driver first.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as cause:
        raise EvidenceMissing(f"there are no samples: {path} does not exist") from cause
    except (OSError, UnicodeDecodeError) as cause:
        raise EvidenceMissing(f"{path} can't be read: {cause}") from cause
    lines = text.split("\n")
    if lines[:2] != [SAMPLES_HEADER, SAMPLES_COLUMNS]:
        raise EvidenceMissing(f"{path} is not a samples file of this version: it begins with {lines[0][:60]!r}")
    if lines.pop():
        raise EvidenceMissing(f"{path}:{len(lines) + 1}: the last line is torn")
    return tuple(_parsed(path, number, line) for number, line in enumerate(lines[2:], start=3))


def _parsed(path: Path, number: int, line: str) -> Sample:
    try:
        return parse_sample(line)
    except ValueError as cause:
        raise EvidenceMissing(f"{path}:{number}: not a sample: {cause}") from cause


def cut_torn_end(path: Path) -> int:
    """Cut off what stands behind the last line end of `path`; how many bytes that were."""
    with path.open("r+b") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        file.truncate(whole)
        return len(content) - whole


class SampleTail:
    """What has been added to a samples file since one last looked. It never complains: the reader at the end does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_to = 0
        self._part = b""

    def new(self) -> Iterator[Sample]:
        """The samples whose lines have become complete since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read_to)
                data = file.read()
        except OSError:
            return
        self._read_to += len(data)
        *lines, self._part = (self._part + data).split(b"\n")
        for line in lines:
            try:
                yield parse_sample(line.decode("utf-8"))
            except ValueError:
                continue  # the two lines of the header, or a line that `read_samples` will name
