"""Turn: runs share a machine, but for one that needs it to itself."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from harness.sandbox.state import state_root


@contextmanager
def turn(*, alone: bool) -> Iterator[None]:
    """Wait until this user's other runs leave room for this one: all of them where it has to be `alone`, else those
    that have to be. The kernel gives the place back when the process ends, however it does (flock(2)).

    Raises UsageError where the state folder can't be used.
    """
    handle = os.open(state_root(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)
