"""Fleet: the containers of one sandbox, looked at and acted on by the names of their services."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import NotReady, SandboxError, Unsupported
from harness.sandbox.base import Process, ServiceStatus, State
from harness.sandbox.cgroups import Cgroup
from harness.sandbox.engine import Container, Engine, Whereabouts, cli_environment, docker_cli
from harness.sandbox.identity import Identity, families
from harness.sandbox.layout import Layout
from harness.sandbox.plan import Readiness
from harness.sandbox.processes import ProcessSandbox
from harness.sandbox.readiness import answers
from harness.sandbox.staging import Facts, read_facts, write_compose
from harness.sandbox.supervised import say_status
from harness.sandbox.usage import look

_LOOK = 0.1  # wall seconds between looks at a service that starts
_TAIL = 12  # log lines in a complaint
_OVER = "environment.json"  # in the sandbox's folder: what is laid over the services' own environment
_BROUGHT_BACK = ("always", "unless-stopped", "on-failure")


@dataclass(slots=True)
class _Starts:
    """How often a service was started: by us, and by its restart policy as the engine counts for each container."""

    ours: int = 1
    counted: dict[str, int] = field(default_factory=dict)

    @property
    def all(self) -> int:
        return self.ours + sum(self.counted.values())


class Fleet:
    """The containers of the sandbox whose layout this is. Safe to use from many threads; every call opens a
    connection of its own, so nothing needs closing. Every call raises SandboxError where the engine is gone."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        where = Whereabouts.load(layout.folder)
        if where is None:
            raise SandboxError(f"the sandbox {layout.folder.name} has no containers", hint="`gameday rollback`")
        self.where = where
        self.facts: Mapping[str, Facts] = read_facts(layout.folder)
        self._helpers = ProcessSandbox(layout)
        self._starts = {name: _Starts() for name in self.facts}
        self._stopped: set[str] = set()
        self._answered: dict[str, str] = {}  # services that have answered us, to the instant of that start
        self._held_down: set[str] = set()
        self._count = 0

    def engine(self) -> Engine:
        return Engine(self.where.host, api_version=self.where.api_version)

    # -- looking -----------------------------------------------------------------------------------------------------

    def containers(self) -> dict[str, Container]:
        """Each service's container. While Compose makes one anew there are two of it: the older is left out."""
        with self.engine() as engine:
            return {one.service: one for one in reversed(engine.containers(self._layout.folder))}

    def of(self, service: str) -> Container:
        """The container of `service`. Raises SandboxError where it has none."""
        found = self.containers().get(service)
        if found is None:
            raise SandboxError(f"{service} has no container", hint="somebody removed it: end this sandbox")
        return found

    def main(self, service: str) -> int:
        """The pid, on this machine, of its main process; 0 where it does not run."""
        with self.engine() as engine:
            state = engine.inspect(self.of(service).id)["State"]
        return int(state.get("Pid") or 0) if state.get("Running") else 0

    def processes(self, service: str) -> list[Process]:
        """Its main process and that one's descendants: a health check runs beside them, and is none of them."""
        main = self.main(service)
        if not main:
            return []
        pids = families([main])[main]
        found = sorted((one for pid in pids if (one := Identity.of(pid))), key=lambda one: (one.pid != main, one.pid))
        return [process for one in found if (process := look(one))]

    def cgroup(self, service: str) -> Cgroup | None:
        """The cgroup of its container; None where it does not run."""
        main = self.main(service)
        return Cgroup.of(main) if main else None

    def statuses(self) -> list[ServiceStatus]:
        there = self.containers()
        with self.engine() as engine, ThreadPoolExecutor(max_workers=4) as side_by_side:
            seen = dict(zip(there, side_by_side.map(lambda one: engine.inspect(one.id), there.values()), strict=True))
        return [self._status(name, there.get(name), seen.get(name, {})) for name in self.facts]

    def _status(self, name: str, container: Container | None, seen: Mapping[str, Any]) -> ServiceStatus:
        state, detail = self._state(name, container, seen)
        if container is not None:
            self._starts[name].counted[container.id] = int(seen.get("RestartCount") or 0)
        running = container is not None and container.state in ("running", "paused")
        return ServiceStatus(
            name=name,
            state=state,
            addresses=self._layout.addresses(name),
            identity=container.id[:12] if container and running else "",
            unit=self._layout.units.get(name, ""),
            version=self._layout.version_of.get(name, ""),
            detail=detail,
            starts=self._starts[name].all,
        )

    def _state(self, name: str, container: Container | None, seen: Mapping[str, Any]) -> tuple[State, str]:
        """The engine's words for it in ours."""
        if container is None:
            return "failed", "its container is gone"
        if container.state in ("running", "paused"):
            if container.state == "paused":
                return "paused", ""
            if container.health in ("healthy", ""):
                return ("ready" if container.health else "running"), ""
            if container.health == "starting":  # its first check comes after a while
                return ("ready" if self._answered.get(name) == _started_at(seen) else "starting"), ""
            return "running", container.health
        if container.state == "created":
            return "starting", ""
        status = int(seen.get("State", {}).get("ExitCode") or 0)
        if name in self._stopped:
            return "stopped", ""
        if self.facts[name].oneshot and status == 0:
            return "exited", "done"
        out_of_memory = "; out of memory" if seen.get("State", {}).get("OOMKilled") else ""
        # The engine gives a death by a signal as a shell does: 128 and the signal's number.
        said = say_status(128 - status if 128 < status < 160 else status) + out_of_memory
        said += "; starts again" if container.state == "restarting" else ""
        held = "; held down until somebody starts it" if name in self._held_down else ""
        return "exited", said + held

    def log(self, service: str) -> str:
        """What its containers have written so far, those that were replaced meanwhile included."""
        kept = self._kept(service)
        earlier = kept.read_text(encoding="utf-8", errors="replace") if kept.exists() else ""
        with self.engine() as engine:
            return earlier + engine.log(self.of(service).id)

    def keep_logs(self, logs: Path) -> None:
        """Write down what every service has written; one that can't be read is left out."""
        for service in self.facts:
            with suppress(SandboxError, OSError):
                (logs / f"{service}.log").write_text(self.log(service), encoding="utf-8")

    def _kept(self, service: str) -> Path:
        return self._layout.folder / f"{service}.earlier.log"

    # -- acting ------------------------------------------------------------------------------------------------------

    def signal(self, service: str, number: int, *, stay_down: bool) -> None:
        """SIGKILL, SIGSTOP and SIGCONT reach all its processes, any other its main one."""
        container = self.of(service)
        if stay_down:
            self._held_down.add(service)
        if container.state in ("running", "paused"):
            self._send(service, container, number, stay_down=stay_down)
        elif not stay_down:
            raise SandboxError(f"{service} does not run")
        elif container.state == "restarting":
            with self.engine() as engine:
                engine.stop(container.id, 0)

    def _send(self, service: str, container: Container, number: int, *, stay_down: bool) -> None:
        paused = container.state == "paused"
        with self.engine() as engine:
            if number == signal.SIGSTOP:
                if not paused:
                    engine.pause(container.id)
                return
            if paused:
                engine.unpause(container.id)
            if number == signal.SIGKILL and not stay_down and self._is_brought_back(service):
                self._kill_behind_its_back(service)
            else:
                engine.kill(container.id, number)
        if number == signal.SIGCONT:  # some of them may have been stopped one by one
            for process in self.processes(service):
                Identity(process.pid, process.started).send(number)

    def _is_brought_back(self, service: str) -> bool:
        return self.facts[service].restart.startswith(_BROUGHT_BACK)

    def _kill_behind_its_back(self, service: str) -> None:
        """By pid: one that the engine itself kills counts as stopped on purpose, and no policy brings it back."""
        found = Identity.of(self.main(service))
        if found is None or not found.send(signal.SIGKILL):
            raise Unsupported(
                f"{service} can't be killed so that its restart policy acts: that takes the rights of root",
                hint="run gameday as root, or use --runtime processes",
            )

    def stop(self, service: str) -> None:
        container = self.of(service)
        self._stopped.add(service)
        with self.engine() as engine:
            if container.state == "paused":  # as systemd does: one that is frozen could not end by itself
                engine.unpause(container.id)
            engine.stop(container.id, self.facts[service].grace)

    def start(self, service: str, within: float) -> None:
        """Start it, if it does not run, and wait until it is ready. Raises NotReady."""
        container = self.of(service)
        self._stopped.discard(service)
        self._held_down.discard(service)
        if container.state not in ("running", "paused"):
            with self.engine() as engine:
                if container.state == "restarting":
                    engine.stop(container.id, 0)  # the policy's own start may be a minute away
                engine.start(container.id)
            self._starts[service].ours += 1
        self.until_ready(service, time.monotonic() + within)

    def remake(self, service: str, environment: Mapping[str, str | None], within: float) -> None:
        """Make its container anew with `environment` laid over what it has (None gives a setting back to the
        topology), which is the only way to change it, and wait until it is ready."""
        over = self.laid_over()
        mine = {**over.get(service, {}), **environment}
        over[service] = {name: value for name, value in mine.items() if value is not None}
        log = self.log(service)
        try:
            (self._layout.folder / _OVER).write_text(json.dumps(over), encoding="utf-8")
            self._kept(service).write_text(log, encoding="utf-8")
            write_compose(self._layout, over, self.where.api_version)
        except OSError as odd:
            raise SandboxError(f"{service} can't be made anew: {odd}", hint="is the disk full?") from odd
        self._stopped.discard(service)
        self._held_down.discard(service)
        deadline = time.monotonic() + within
        self.compose_up([service], deadline, "--no-deps", "--force-recreate")
        self._starts[service].ours += 1
        self.until_ready(service, deadline)

    def laid_over(self) -> dict[str, dict[str, str]]:
        """What is laid over each service's own environment."""
        try:
            found: dict[str, dict[str, str]] = json.loads((self._layout.folder / _OVER).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as odd:
            raise SandboxError(f"{_OVER} can't be read: {odd}") from odd
        return found

    def compose_up(self, services: Sequence[str], deadline: float, *options: str) -> None:
        """`docker compose up`, in the supervisor's care. Raises NotReady with what it said where it fails."""
        self._count += 1
        name = f"compose-{self._count}"
        log = self._layout.logs / f"{name}.log"
        words = ["--file", "compose.json", "--project-name", self.where.project, "--progress", "plain"]
        argv = [docker_cli(), "compose", *words, "up", "--detach", "--no-build", *options, *services]
        # Variables have been filled in already. The engine is the one that has the containers, whatever is set by now.
        environment = {**cli_environment(os.environ), "DOCKER_HOST": self.where.host}
        environment.pop("DOCKER_CONTEXT", None)
        self._helpers.spawn(name, argv, environment=environment, directory=self._layout.folder, log=log)
        while (status := self._helpers.spawned(name).status) is None:
            if time.monotonic() > deadline:
                self._helpers.end(name, grace=1.0)
                raise NotReady(f"`docker compose up` took too long{_tail(log)}", hint="is the machine very busy?")
            time.sleep(_LOOK)
        if status:
            raise ComposeFailed(_tail(log))

    def until_ready(self, service: str, deadline: float) -> None:
        """Wait until it is: by its health check, or by an answer of its own, which may come sooner. Raises NotReady."""
        ready = self._readiness(service)
        while True:
            container = self.of(service)
            if container.state in ("exited", "dead", "restarting"):
                with self.engine() as engine:
                    seen = engine.inspect(container.id)
                if self.facts[service].oneshot and seen["State"].get("ExitCode") == 0:
                    return
                _, detail = self._state(service, container, seen)
                if seen["State"].get("Running"):  # its policy was quicker than our second look
                    detail = f"its restart policy has started it {seen.get('RestartCount')} times"
                raise NotReady(
                    f"{service} ended while it started: {detail}{self._log_tail(service)}",
                    hint="its whole log is in the run's folder",
                )
            if container.state == "running" and not self.facts[service].oneshot:
                if container.health == "healthy" or (not container.health and ready is None):
                    return
                if ready is not None and asyncio.run(answers(ready)):
                    with self.engine() as engine:
                        self._answered[service] = _started_at(engine.inspect(container.id))
                    return
            if time.monotonic() > deadline:
                raise NotReady(
                    f"{service} was not ready in time: it is {container.state} {container.health}".rstrip()
                    + self._log_tail(service),
                    hint="is the machine very busy? its whole log is in the run's folder",
                )
            time.sleep(_LOOK)

    def complain(self, deadline: float) -> None:
        """Raise NotReady for the first service that has failed or is not healthy; nothing where none is."""
        for service, container in self.containers().items():
            ended = container.state in ("exited", "dead", "restarting")
            if ended or container.health == "unhealthy":
                self.until_ready(service, min(deadline, time.monotonic() + 1.0))

    def _readiness(self, service: str) -> Readiness | None:
        """An HTTP question at its published port. Whether such a port takes connections says nothing: the engine's own
        proxy does."""
        port, path = self.facts[service].ready or (0, None)
        address = self._layout.address(service, port)
        if path is None or address is None:
            return None
        return Readiness(port=address.port, path=path, tls=address.scheme == "https")

    def _log_tail(self, service: str) -> str:
        with suppress(SandboxError):
            lines = self.log(service).splitlines()[-_TAIL:]
            return "; its log ends:\n" + "\n".join(f"    {line}" for line in lines) if lines else "; its log is empty"
        return ""


class ComposeFailed(SandboxError):
    """`docker compose up` ended with an error; the message is its last words."""


def _started_at(seen: Mapping[str, Any]) -> str:
    return str(seen.get("State", {}).get("StartedAt") or "")


def _tail(log: Path) -> str:
    with suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL:]
        return "; it said:\n" + "\n".join(f"    {line}" for line in lines)
    return ""
