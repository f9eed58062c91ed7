"""`python -m harness.sandbox.parts [--check] [NAME…]`: have the parts, all by default; `--check` only looks."""

from __future__ import annotations

import signal
import sys
import threading
import time
from types import FrameType

from harness.errors import HarnessError
from harness.sandbox.parts import NAMES, find_all, obtain


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Exit status 0, or that of the error. Progress and errors go to stderr."""
    began = time.monotonic()
    one_line = threading.Lock()

    def say(line: str) -> None:
        with one_line:
            sys.stderr.write(f"{time.monotonic() - began:6.1f} s  {line}\n")
            sys.stderr.flush()

    signal.signal(signal.SIGTERM, _terminated)  # so that builds end with us
    try:
        names = [each for each in arguments if each != "--check"] or NAMES
        found = find_all(names) if "--check" in arguments else obtain(names, say=say)
    except HarnessError as problem:
        sys.stderr.write(f"{problem}\n")
        return problem.exit_code
    except KeyboardInterrupt:
        return 130
    for each in found.values():
        say(str(each))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
