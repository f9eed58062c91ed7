"""Supervised: one service as the supervisor keeps it: started, seen ready, stopped, brought back by its policy."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from harness.sandbox.base import Process
from harness.sandbox.children import Child, Children
from harness.sandbox.identity import Identity, families, family, is_stopped
from harness.sandbox.limits import Restraint
from harness.sandbox.plan import ProcessPlan
from harness.sandbox.ports import is_taken
from harness.sandbox.readiness import answers, listens
from harness.sandbox.usage import look

Event = Callable[..., None]  # (kind, subject, **details)

# How long to wait between two looks at a service that starts: often at first, then less so.
_FIRST_LOOK, _LONGEST_LOOK = 0.02, 0.1
# Docker's own figures for its restart policies.
_FIRST_BACKOFF, _LONGEST_BACKOFF, _GOOD_RUN = 0.1, 60.0, 10.0
# Signals that concern every process of a service, as the death or the freezing of a container does.
_FOR_ALL = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT}
_ROUNDS = 8  # looks at a family that forks while it is being signalled
_TAIL = 12  # log lines in a complaint


class StartFailedError(Exception):
    """A service did not come up. `why` is `exited`, `late` or `port-taken`."""

    def __init__(self, service: str, why: Literal["exited", "late", "port-taken", "unstartable"], message: str) -> None:
        super().__init__(message)
        self.service = service
        self.why = why


def say_status(status: int | None) -> str:
    """An exit status in words."""
    if status is None:
        return "runs"
    if status >= 0:
        return f"exit status {status}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-status).name}"
    return f"killed by signal {-status}"


class Supervised:
    """One service. All its methods run in the supervisor's event loop."""

    def __init__(self, plan: ProcessPlan, children: Children, event: Event, let_go: Callable[[int], None]) -> None:
        self.plan = plan
        self._own_environment = plan.environment
        self.limits = Restraint(self.members, plan.memory)
        self._children = children
        self._event = event
        self._let_go = let_go
        self._lock = asyncio.Lock()
        self._wanted = False
        self._held_down = False  # its policy is not to bring it back, until somebody starts it
        self._settled = False  # it has been ready once: from now on its restart policy holds
        self._backoff = _FIRST_BACKOFF / 2  # doubled before it is used
        self._failures = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._revival: asyncio.Task[None] | None = None
        self.child: Child | None = None
        self.state = "stopped"
        self.detail = ""
        self.starts = 0
        self.launched = asyncio.Event()
        self.ready = asyncio.Event()
        self.completed = asyncio.Event()

    # -- what can be asked of it -----------------------------------------------------------------------------------

    async def start(self, within: float) -> None:
        """Start it, if it does not run, and wait until it is ready. Raises StartFailedError."""
        async with self._lock:
            await self._start(within)

    async def stop(self) -> None:
        """Ask it to end, wait for its grace, then kill what is left of it; its policy leaves it stopped."""
        self._cancel_revival()
        self._wanted = False
        async with self._lock:
            await self._stop()

    async def restart(self, environment: Mapping[str, str | None] | None, within: float) -> None:
        """Stop, then start. `environment` is laid over the plan's and stays; a value of None gives that setting back to
        what the plan said at first. Raises StartFailedError."""
        self._cancel_revival()
        async with self._lock:
            self._wanted = False
            await self._stop()
            self.plan = replace(self.plan, environment=self._laid_over(environment or {}))
            await self._start(within)

    def _laid_over(self, given: Mapping[str, str | None]) -> dict[str, str]:
        own = self._own_environment
        settings = {**self.plan.environment, **{name: own.get(name) if v is None else v for name, v in given.items()}}
        return {name: value for name, value in settings.items() if value is not None}

    def signal(self, number: int, *, stay_down: bool = False) -> bool:
        """Send a signal: SIGKILL, SIGSTOP and SIGCONT to all its processes, others to the main one only (as
        `docker kill` does). With `stay_down` its policy does not bring it back, whether it runs or is about to be
        brought back just now. False where it does not run."""
        if stay_down:
            self._held_down = True
            self._cancel_revival()
        child = self.child
        if child is None or not child.running:
            if stay_down and child is not None and self._wanted:
                self.detail = say_status(child.status)  # no word any more of a start that was to come
            return False
        self._event("service.signalled", self.plan.name, signal=number, pid=child.pid)
        return self._send_to_all(child, number) if number in _FOR_ALL else child.identity.send(number)

    def _send_to_all(self, child: Child, number: int) -> bool:
        """Send a signal to every process of the service, `child` being its main one; False where that is gone."""
        if number != signal.SIGKILL:
            return child.identity in self._reach(child, number)
        # Frozen first: one that dies while another forks leaves an orphan that could not be told as ours any more.
        everyone = self._reach(child, signal.SIGSTOP)
        for identity in everyone:
            identity.send(number)
        return child.identity in everyone

    def _reach(self, child: Child, number: int) -> set[Identity]:
        """Send a signal to `child` and its family, until a look finds nobody new; those that it was sent to."""
        reached: set[Identity] = set()
        for _ in range(_ROUNDS):
            grown = families([child.pid, *(one.pid for one in reached)])
            everyone = {identity for pids in grown.values() for pid in pids if (identity := Identity.of(pid))}
            if everyone <= reached:
                break
            reached |= {identity for identity in everyone - reached if identity.send(number)}
        return reached

    def members(self) -> set[int]:
        """The pids of all its processes."""
        return family(self.child.pid) if self.child and self.child.running else set()

    def _identities(self) -> set[Identity]:
        return {identity for pid in self.members() if (identity := Identity.of(pid))}

    def processes(self) -> list[Process]:
        """What its processes are and use, the main one first; none where it does not run."""
        main = self.child.pid if self.child else 0
        looks = [look(one) for one in sorted(self._identities(), key=lambda one: (one.pid != main, one.pid))]
        return [process for process in looks if process]

    def give_up(self) -> None:
        """Bring it back no more: the sandbox ends."""
        self._wanted = False
        self._cancel_revival()

    def status(self) -> dict[str, Any]:
        """What it is doing, as JSON."""
        child = self.child
        running = child is not None and child.running
        state = "paused" if child and running and is_stopped(child.pid) else self.state
        held = "; held down until somebody starts it" if self._held_down and not running else ""
        return {
            "name": self.plan.name,
            "state": state,
            "pid": child.pid if child and running else 0,
            "detail": self.detail + held,
            "starts": self.starts,
        }

    async def reached(self, condition: str) -> None:
        """Wait until it has come as far as a dependent's `condition` asks."""
        if condition == "service_completed_successfully":
            await self.completed.wait()
        elif condition == "service_healthy":
            await self.ready.wait()
        else:
            await self.launched.wait()

    # -- how it is done --------------------------------------------------------------------------------------------

    async def _start(self, within: float) -> None:
        self._cancel_revival()
        self._wanted, self._held_down = True, False
        self._backoff, self._failures = _FIRST_BACKOFF / 2, 0  # as Docker's after a start by hand
        if self.child is None or not self.child.running:
            self._launch()
        assert self.child is not None
        await self._until_ready(self.child, within)

    async def _stop(self) -> None:
        child = self.child
        if child is not None and child.running:
            # As systemd does (systemd.kill(5)): one that is frozen could not end by itself, and none may be left.
            everyone = self._identities()
            child.identity.send(self.plan.stop_signal)
            everyone |= self._reach(child, signal.SIGCONT)
            if not await _ended(child, self.plan.stop_grace):
                self.signal(signal.SIGKILL)
                await _ended(child, 2.0)
            for identity in everyone:
                identity.send(signal.SIGKILL)
        self.state, self.detail = "stopped", ""

    def _launch(self) -> None:
        plan = self.plan
        for port in plan.ports:
            self._let_go(port)
        try:
            child = self._children.start(
                plan.name,
                plan.argv,
                environment=plan.environment,
                directory=plan.directory,
                log=plan.log,
                at_birth=self.limits.at_birth,
            )
        except OSError as odd:
            self.state, self.detail = "failed", f"can't be started: {odd.strerror or odd}"
            raise StartFailedError(
                plan.name, "unstartable", f"{plan.name} can't be started: {odd} (command: {' '.join(plan.argv)})"
            ) from odd
        self.child, self.state, self.detail = child, "starting", ""
        self.starts += 1
        self._event("service.started", plan.name, pid=child.pid)
        self.launched.set()
        self._keep(self._mind(child, time.monotonic()))

    def _keep(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _until_ready(self, child: Child, within: float) -> None:
        deadline = time.monotonic() + within
        pause = _FIRST_LOOK
        while child.running:
            if await self._looks_ready(child):
                self.state = "ready" if self.plan.ready else "running"
                self._settled = True
                self._limit_again()
                self._event("service.ready", self.plan.name, pid=child.pid)
                self.ready.set()
                return
            if time.monotonic() >= deadline:
                self.detail = f"not ready after {within:.3g} s"
                raise StartFailedError(
                    self.plan.name, "late", f"{self.plan.name} was not ready after {within:.3g} s{self._log_tail()}"
                )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.exited.wait(), pause)
            pause = min(pause * 1.25, _LONGEST_LOOK)
        if not (self.plan.oneshot and child.status == 0):
            self._complain_of_exit(child)
        self._settled = True
        self.state, self.detail = "exited", "done"
        self.ready.set()
        self.completed.set()

    async def _looks_ready(self, child: Child) -> bool:
        ready = self.plan.ready
        if self.plan.oneshot:
            return False
        if ready is None:
            return True
        if not await answers(ready) or not child.running:
            return False
        if listens(ready.port, family(child.pid)) is False:
            raise StartFailedError(
                self.plan.name, "port-taken", f"{self.plan.name}: port {ready.port} belongs to another process"
            )
        return True

    def _limit_again(self) -> None:
        """It is limited from its birth, but may have raised its own limits since."""
        try:
            self.limits.renew()
        except OSError as odd:
            self._event("supervisor.trouble", self.plan.name, problem=f"its limits: {odd}")

    def _complain_of_exit(self, child: Child) -> None:
        taken = [str(port) for port in self.plan.ports if is_taken(port)]
        text = f"{self.plan.name} ended while it started: {say_status(child.status)}"
        if taken:
            text += f"; port {', '.join(taken)} is taken by another process"
        self.state, self.detail = "failed", f"ended while it started: {say_status(child.status)}"
        raise StartFailedError(self.plan.name, "port-taken" if taken else "exited", text + self._log_tail())

    def _log_tail(self) -> str:
        try:
            with open(self.plan.log, "rb") as file:  # noqa: PTH123 - a binary tail, no Path needed
                file.seek(0, 2)
                file.seek(max(0, file.tell() - 8192))
                lines = file.read().decode(errors="replace").splitlines()[-_TAIL:]
        except OSError:
            return ""
        return "; its log ends:\n" + "\n".join(f"    {line}" for line in lines) if lines else "; its log is empty"

    async def _mind(self, child: Child, since: float) -> None:
        """Wait for the end of `child`, say so, and bring the service back if its policy wants that."""
        await child.exited.wait()
        self._event("service.exited", self.plan.name, pid=child.pid, status=child.status)
        if child is not self.child:
            return
        if not self._settled or (self.plan.oneshot and child.status == 0):
            return  # whoever started it is told
        self.state = "exited" if self._wanted else "stopped"
        self.detail = say_status(child.status) if self._wanted else ""
        if self._wanted and not self._held_down and self._policy_wants(child.status or 0):
            lasted = time.monotonic() - since
            self._backoff = _FIRST_BACKOFF if lasted > _GOOD_RUN else min(self._backoff * 2, _LONGEST_BACKOFF)
            self._revival = self._keep(self._revive(self._backoff))

    def _policy_wants(self, status: int) -> bool:
        policy, _, limit = self.plan.restart.partition(":")
        if policy == "on-failure":
            self._failures += 1
            return status != 0 and (not limit or self._failures <= int(limit))
        return policy in ("always", "unless-stopped")

    async def _revive(self, backoff: float) -> None:
        self._event("service.restarting", self.plan.name, after=backoff)
        self.detail += f"; starts again after {backoff:g} s"
        await asyncio.sleep(backoff)
        async with self._lock:
            if not self._wanted or (self.child and self.child.running):
                return
            with contextlib.suppress(StartFailedError):
                self._launch()
        # The lock is free again: an operator's stop need not wait for a service that never gets ready.
        if self.child:
            with contextlib.suppress(StartFailedError):
                await self._until_ready(self.child, _LONGEST_BACKOFF)

    def _cancel_revival(self) -> None:
        if self._revival and not self._revival.done():
            self._revival.cancel()
        self._revival = None


async def _ended(child: Child, within: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(child.exited.wait(), within)
    return not child.running
