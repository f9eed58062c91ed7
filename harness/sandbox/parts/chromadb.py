"""ChromaDB: its server is one compiled module of its wheel, started without the 80 packages of its client."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.sandbox.parts.base import Part
from harness.sandbox.parts.cache import Cache
from harness.sandbox.parts.wheel import Wheel

LAUNCHER = Path(__file__).with_name("chroma_launcher.py")


def _command(module: Path) -> tuple[str, ...]:
    # Isolated (-I), so that neither PYTHONPATH nor the launcher's own folder is searched; without site (-S), which it
    # does not need and which would cost a third of its start.
    return (sys.executable, "-I", "-S", str(LAUNCHER), str(module.parent.parent))


def chromadb(cache: Cache) -> Part:
    return Part(
        name="chromadb",
        commands=("chroma",),
        version_flag="--version",
        at_least="1.0",
        because="the API under /api/v2",
        ways=(
            Wheel(
                part="chromadb",
                distribution="chromadb",
                pattern="chromadb_rust_bindings/*.so",
                cache=cache,
                command=_command,
                exact=True,
            ),
        ),
        elsewhere="`pip install chromadb` in an environment of its own",
    )
