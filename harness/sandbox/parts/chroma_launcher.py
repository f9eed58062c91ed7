"""ChromaDB's own command line, entered through its compiled module: `chroma_launcher.py FOLDER run --path …`.

Runs by path in an isolated interpreter, so it imports nothing of ours.
"""

import signal
import sys


def main(folder: str, arguments: list[str]) -> None:
    """Run `chroma` with `arguments`; `folder` holds the package `chromadb_rust_bindings`."""
    sys.path.insert(0, folder)
    import chromadb_rust_bindings  # type: ignore[import-not-found]  # it is in `folder`, known only now

    # Python's own handler would wait for the interpreter, which the server never goes back to.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    chromadb_rust_bindings.cli(["chroma", *arguments])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
