"""A Docker engine, Compose and the sandbox's images, for a machine that reaches packages but no image registry.

    scripts/docker-offline              all of it, each part only where it is missing
    scripts/docker-offline engine       install the engine with apt (root) and start it
    scripts/docker-offline compose      build Docker Compose with Go
    scripts/docker-offline images       build images of the same software under the official names
    scripts/docker-offline stop         end the engine that `engine` started

Users never need it: they have Docker and a network, and the same compose file pulls the official images. Each image
made here says what it is: its label `gameday.local` names where its software came from, and the label
`org.opencontainers.image.version` the version really held.

Everything goes to $GAMEDAY_DOCKER_DIR (or `docker` in the user's cache folder): the engine's data, its socket, its log,
and Compose. Standard output has the two lines that let a shell use them; progress goes to standard error.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.sandbox.parts import FoundPart, obtain
from harness.sandbox.parts.cache import users_cache
from harness.sandbox.topology import read_topology

HERE = Path(__file__).parent
PACKAGES = ("docker.io", "containerd", "runc", "iptables", "debootstrap", "iproute2")
COMPOSE = "v2.40.3"
TOXIPROXY_CLI = "github.com/Shopify/toxiproxy/v2/cmd/cli@v2.12.0"
BASE, PYTHON = "debian:bookworm-slim", "python:3.12-slim"
RECIPE = "gameday.recipe"  # the label with the checksum of what an image was made of


def folder() -> Path:
    """Where everything goes."""
    chosen = os.environ.get("GAMEDAY_DOCKER_DIR")
    return Path(chosen).absolute() if chosen else users_cache(os.environ).root / "docker"


def say(line: str) -> None:
    sys.stderr.write(f"docker-offline: {line}\n")


def run(*argv: str | Path, **more: str) -> str:
    """Run a command to its end; its output. Its whole output is shown where it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**environment(), **more})
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise SystemExit(f"docker-offline: `{' '.join(map(str, argv))}` fails with status {done.returncode}")
    return done.stdout


def environment() -> dict[str, str]:
    """That of this shell, and the engine and the Compose of our own folder where the shell names none."""
    ours = {"DOCKER_CONFIG": str(folder() / "config")}
    if (folder() / "docker.sock").exists():
        ours["DOCKER_HOST"] = f"unix://{folder() / 'docker.sock'}"
    return {**ours, **os.environ}


def answers(*argv: str) -> str:
    """What a command prints; empty where it fails or does not exist."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20, env=environment())
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


# -- the engine --------------------------------------------------------------------------------------------------


def engine() -> None:
    """One that answers is used as it is."""
    if version := answers("docker", "version", "--format", "{{.Server.Version}}"):
        say(f"engine {version} answers")
        return
    if any(shutil.which(program) is None for program in ("dockerd", "containerd", "runc", "iptables", "debootstrap")):
        say(f"installing {' '.join(PACKAGES)}")
        run("apt-get", "update", "-q")
        run("apt-get", "install", "-qy", "--no-install-recommends", *PACKAGES, DEBIAN_FRONTEND="noninteractive")
    root = folder()
    root.mkdir(parents=True, exist_ok=True)
    places = {"data-root": "data", "exec-root": "exec", "pidfile": "dockerd.pid"}
    options = [f"--{option}={root / place}" for option, place in places.items()]
    with (root / "dockerd.log").open("ab") as log:
        process = subprocess.Popen(
            ["dockerd", *options, f"--host=unix://{root / 'docker.sock'}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + 60
    while not (version := answers("docker", "version", "--format", "{{.Server.Version}}")):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"docker-offline: the engine does not start; see {root / 'dockerd.log'}")
        time.sleep(0.2)
    say(f"engine {version} is up, process {process.pid}")


def stop() -> None:
    """End the engine that `engine` started, by its pid; its images stay."""
    written = folder() / "dockerd.pid"
    if not written.exists():
        say("no engine of ours runs")
        return
    pid = int(written.read_text(encoding="ascii"))
    if b"dockerd" not in Path(f"/proc/{pid}/cmdline").read_bytes():
        raise SystemExit(f"docker-offline: process {pid} is no engine; remove {written}")
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    say(f"the engine, process {pid}, has ended")


def compose() -> None:
    if version := answers("docker", "compose", "version", "--short"):
        say(f"compose {version} is there")
        return
    say(f"building compose {COMPOSE} with Go, about three minutes")
    target = folder() / "config" / "cli-plugins" / "docker-compose"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        # `go install` refuses a module with exclude directives: it is built from a module of ours that needs it.
        (Path(work) / "go.mod").write_text("module ours\n\ngo 1.24\n", encoding="utf-8")
        stamp = f"-ldflags=-s -w -X github.com/docker/compose/v2/internal.Version={COMPOSE}"
        package = "github.com/docker/compose/v2/cmd"
        run("go", "get", "-C", work, f"{package}@{COMPOSE}")
        run("go", "build", "-C", work, "-trimpath", stamp, "-o", target, package, CGO_ENABLED="0")


# -- images ------------------------------------------------------------------------------------------------------


def images(jobs: int = 2) -> None:
    """The base image first, then all that stand on it, side by side."""
    if not answers("docker", "version"):
        raise SystemExit("docker-offline: no engine answers; `scripts/docker-offline engine` starts one")
    base()
    build("python", PYTHON, BASE, {}, candidate("python3"), "Debian package python3")
    topology = read_topology(HERE.parent / "docker-compose.yml", os.environ)
    parts = obtain(topology.parts, say=say)
    wanted = {service.process.part: service.image for service in topology.active if service.process}
    with ThreadPoolExecutor(max_workers=jobs) as side_by_side:
        for _ in side_by_side.map(lambda part: image_of(parts[part], wanted[part]), filter(None, wanted)):
            pass


def base() -> None:
    """Debian, from the package archive that this machine itself uses."""
    if answers("docker", "image", "inspect", "--format", "{{.Id}}", BASE):
        return
    uri = run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Codename: bookworm", "Created-By: Packages")
    say(f"making {BASE} with debootstrap")
    with tempfile.TemporaryDirectory() as work:
        root = Path(work) / "root"
        run("debootstrap", "--variant=minbase", "--include=ca-certificates,busybox", "bookworm", root, uri.split()[0])
        # This machine's certificates, so that packages can be had where it needs one more than Debian has.
        shutil.copyfile("/etc/ssl/certs/ca-certificates.crt", root / "etc/ssl/certs/ca-certificates.crt")
        shutil.rmtree(root / "var/lib/apt/lists")
        (root / "var/lib/apt/lists/partial").mkdir(parents=True)
        archive = Path(work) / "root.tar"
        run("tar", "--numeric-owner", "-C", root, "-cf", archive, ".")
        change = 'CMD ["bash"]'
        run("docker", "import", "--change", change, "--change", "LABEL gameday.local=debootstrap", archive, BASE)


def image_of(part: FoundPart, tag: str) -> None:
    """The image of one part, of the very program that the process runtime uses where that can run in a container."""
    files: dict[str, Path] = {"program": Path(part.argv[0])}
    version, how = part.version, part.how
    if part.name == "redis":
        files, version, how = {}, candidate("redis-server"), "Debian package redis-server"
    elif part.name == "chromadb":
        *_, launcher, package = part.argv
        files = {"chroma_launcher.py": Path(launcher), "package": Path(package)}
    elif part.name == "toxiproxy":
        files["tool"] = toxiproxy_cli()
    build(part.name, tag, PYTHON if part.name == "chromadb" else BASE, files, version, how)


def candidate(package: str) -> str:
    """The version of a Debian package that will be installed: `5:7.0.15-1` is 7.0.15."""
    found = run("apt-cache", "show", "--no-all-versions", package)
    version = next(line for line in found.splitlines() if line.startswith("Version:")).split()[1]
    return version.rpartition(":")[2].partition("-")[0]


def toxiproxy_cli() -> Path:
    """Its command-line tool, which its health check calls; no part of ours, since processes do without."""
    made = folder() / "go" / "cli"
    if not made.exists():
        run("go", "install", TOXIPROXY_CLI, GOBIN=str(made.parent), CGO_ENABLED="0")
    return made


def build(name: str, tag: str, base: str, files: dict[str, Path], version: str, how: str) -> None:
    """Build the image `tag` from `images/NAME` and `files`, unless one made of the very same is there."""
    dockerfile = HERE / "images" / name / "Dockerfile"
    parent = answers("docker", "image", "inspect", "--format", "{{.Id}}", base)
    recipe = checksum([dockerfile, *files.values()], parent + version)
    if answers("docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{RECIPE}"}}}}', tag) == recipe:
        return
    say(f"building {tag} ({version}, {how})")
    with tempfile.TemporaryDirectory() as work:
        shutil.copyfile(dockerfile, Path(work) / "Dockerfile")
        for inside, source in files.items():
            (shutil.copytree if source.is_dir() else shutil.copy)(source, Path(work) / inside)
        labels = {RECIPE: recipe, "gameday.local": how, "org.opencontainers.image.version": version}
        options = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
        # The engine's own builder: BuildKit would be one more thing to have.
        run("docker", "build", "-q", "--build-arg", f"BASE={base}", *options, "-t", tag, work, DOCKER_BUILDKIT="0")


def checksum(paths: list[Path], rest: str) -> str:
    """Of the contents of files and folders."""
    found = hashlib.sha256(rest.encode())
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                found.update(file.read_bytes())
    return found.hexdigest()[:32]


def main(arguments: list[str]) -> int:
    known = {"engine": engine, "compose": compose, "images": images, "stop": stop}
    if unknown := [word for word in arguments if word not in known]:
        sys.stderr.write(f"docker-offline: no such step: {', '.join(unknown)}\n{__doc__}")
        return 2
    for word in arguments or ["engine", "compose", "images"]:
        known[word]()
    ours = {name: value for name, value in environment().items() if name in ("DOCKER_HOST", "DOCKER_CONFIG")}
    for name, value in ours.items():
        sys.stdout.write(f"export {name}={value}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
