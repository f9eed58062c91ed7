"""A small stack of standard-library services, as somebody else might have it: what the runtimes are tried on."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from harness.sandbox.base import Sandbox
from harness.sandbox.topology import Topology, read_topology

SERVER = '''
import http.server, json, os, signal, subprocess, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = {"pid": os.getpid(), "env": dict(os.environ), "argv": sys.argv, "cwd": os.getcwd()}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        print("asked for", self.path, flush=True)

def escape(files):
    """Leave a grandchild that left our session, has no environment of ours and no parent but init, and, if `files`,
    none of our open files either."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            if files:
                os.closerange(0, 200)
            os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(60)"], {})
        os._exit(0)
    os.wait()

signal.signal(signal.SIGTERM, lambda *_: (print("asked to end", flush=True), time.sleep(0.2), os._exit(0)))
for word in sys.argv[2:]:
    if word in ("--escape", "--vanish"):
        escape(files=word == "--vanish")
    if word == "--stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if word == "--child":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("hello from", sys.argv[0], flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
'''

COMPOSE: Mapping[str, Any] = {
    "name": "tiny",
    "services": {
        "seed": {
            "image": "seed",
            "volumes": ["shared:/data"],
            "x-process": {
                "command": ["{python}", "-c", "open('/data/seed.txt', 'w').write('seeded')"],
                "oneshot": True,
            },
        },
        "back": {
            "image": "back",
            "restart": "unless-stopped",
            "expose": ["9000"],
            "environment": {"ROLE": "back"},
            "x-process": {
                "command": ["{python}", "server.py", "{port:9000}", "--child"],
                "ready": {"http": "/health", "port": 9000},
            },
        },
        "front": {
            "image": "front",
            "depends_on": {
                "seed": {"condition": "service_completed_successfully"},
                "back": {"condition": "service_healthy"},
            },
            "environment": {
                "PEER": "http://back:9000/api",
                "LISTEN": "0.0.0.0:8000",
                "DATABASE": "sqlite:////data/front.db",
                "VERSION": "back:9000.1",
            },
            "volumes": ["./conf.txt:/etc/front/conf.txt:ro", "shared:/data"],
            "ports": ["8000:8000"],
            "x-process": {
                "command": ["{python}", "server.py", "{port:8000}", "/etc/front/conf.txt", "{dir}"],
                "ready": {"http": "/health", "port": 8000},
            },
        },
    },
    "volumes": {"shared": {}},
}


def write_stack(folder: Path, change: Callable[[dict[str, Any]], None] = lambda services: None) -> Topology:
    """Write the stack into `folder`, its services changed by `change`, and read it."""
    folder.mkdir(parents=True, exist_ok=True)
    document = json.loads(json.dumps(COMPOSE))
    change(document["services"])
    (folder / "docker-compose.yml").write_text(yaml.safe_dump(document))
    (folder / "server.py").write_text(SERVER)
    (folder / "conf.txt").write_text("peer back:9000, me localhost:8000, data in /data/x\n")
    return read_topology(folder / "docker-compose.yml", {})


def ask(sandbox: Sandbox, service: str, port: int) -> dict[str, Any]:
    """What the service says of itself."""
    address = sandbox.address(service, port)
    with urllib.request.urlopen(f"http://{address}/who", timeout=5) as answer:
        said: dict[str, Any] = json.load(answer)
    return said


def eventually(true: Callable[[], object], within: float) -> bool:
    """Whether `true()` becomes true in `within` seconds."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.02)
    return bool(true())
