"""A harness in a process of its own, to be killed: `python harness_script.py COMPOSE_FILE LOGS [SECONDS]`."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from harness.journal import Journal
from harness.sandbox.base import Limits
from harness.sandbox.processes import open_sandbox
from harness.sandbox.topology import read_topology


def main() -> None:
    # As at a terminal: tests that were started in the background may have handed us these signals ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    compose, logs = Path(sys.argv[1]), Path(sys.argv[2])
    print("begun", flush=True)  # noqa: T201 - what its parent waits for
    with open_sandbox(read_topology(compose, {}), parts={}, render={}, logs=logs) as sandbox:
        Journal(sandbox.folder).promise({"kind": "a fault of no known kind"})
        sandbox.spawn("helper", ["/bin/sleep", "60"], environment={}, directory=logs, log=logs / "helper.log")
        sandbox.limit("back", Limits(open_files=200, memory=2**28))
        print(f"up {sandbox.name}", flush=True)  # noqa: T201 - as above
        time.sleep(60)


if __name__ == "__main__":
    main()
