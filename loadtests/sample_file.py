"""Sample file: every request as a line, written while the load runs, so that a killed engine leaves what it saw."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import TracebackType

from harness.model.load import SAMPLES_COLUMNS, SAMPLES_HEADER, Sample, sample_line


class SampleFile:
    """The file at `path`, made anew. Whole lines go out on `flush`; `count` and `sha256` cover what has gone out.

    Raises FileExistsError where the file is there already: samples of another run are never written over.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=0)
        self._digest = hashlib.sha256()
        self._waiting: list[str] = [SAMPLES_HEADER, SAMPLES_COLUMNS]
        self.count = 0
        self.flush()

    def write(self, sample: Sample) -> None:
        self._waiting.append(sample_line(sample))
        self.count += 1

    def flush(self) -> None:
        """Hand everything written so far to the operating system."""
        if not self._waiting:
            return
        data = ("\n".join(self._waiting) + "\n").encode()
        self._waiting.clear()
        self._digest.update(data)
        while data:  # an unbuffered file may take less than it is given
            data = data[self._file.write(data) or 0 :]

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def close(self) -> None:
        """Flush, and wait until the disk has it."""
        if not self._file.closed:
            self.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def __enter__(self) -> SampleFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
