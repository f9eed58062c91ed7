"""Shell: one operator's terminal, confined to the sandbox.

A command line runs in a real bash, under the sandbox's supervisor, in an empty scratch folder and a clean
environment. Two fences keep it there: `screen` refuses before the start what would leave, and bash's restricted mode
holds what `screen` can't see. Its PATH is one folder of shims: what is not there does not exist. Shims ask the door.
Where the topology lays out a host, each shell has a tree of its own for it, and what acts on a host acts on that.

What a line exports (and every plain variable that it sets) is there for the next one, as in one terminal. Functions,
aliases and `set` options are not.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Literal, Protocol

from harness.clock import Clock
from harness.errors import SandboxError, UsageError
from harness.model.record import CommandRecord
from harness.model.units import say_duration
from harness.runbook.door import Door
from harness.runbook.host import Host, lay_out, read_host
from harness.runbook.leader import CROWD
from harness.runbook.screen import NULL, Screened, is_unsafe, screen
from harness.runbook.tools.ab import Ab
from harness.runbook.tools.answer import Tool
from harness.runbook.tools.curl import Curl
from harness.runbook.tools.find import Find
from harness.runbook.tools.held import PROC, said_ports
from harness.runbook.tools.lsof import Lsof
from harness.runbook.tools.on_files import PLAIN, PROGRAMS, Changing, Ground, Reading
from harness.runbook.tools.plain import FILTERS, READERS, Filter, Nginx, Refuse, Sleep, StandIn
from harness.runbook.tools.redis_cli import RedisCli
from harness.runbook.tools.ss import Ss
from harness.runbook.tools.sysctl import Sysctl
from harness.runbook.tools.systemctl import Systemctl, Unit
from harness.sandbox.base import Address, CanSpawn, HasFiles, HasProcesses, Sandbox, require

LONGEST = timedelta(minutes=2)  # for a line without a deadline; the runbook's own sleeps do not count
OUTPUT_LIMIT = 64 * 1024  # bytes kept of what one line prints
_STATE = 8  # the descriptor on which the shell's variables go out
_TICK = 0.01  # wall seconds between looks at whether the line has ended
_GRACE = 5.0  # wall seconds in which its leader must have killed all that a line has left
_REFUSED = "gameday-refused"
_HERE = Path(__file__).parent
_SPECIAL = re.compile(
    r"_|__gameday.*|PWD|OLDPWD|SHLVL|TMPDIR|LANG|TERM|COMP_WORDBREAKS|DIRSTACK|EPOCH\w+|EUID|FUNCNAME|GROUPS|HISTCMD|"
    r"HOST\w+|LINENO|MACHTYPE|OPT\w+|OSTYPE|PIPESTATUS|PPID|RANDOM|SECONDS|SRANDOM|UID|GAMEDAY_\w+|COLUMNS|LINES"
)
_SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|KEY", re.IGNORECASE)

# Each would have a program load a library of the line's choice, or write a file of its choice (ld.so(8), openssl(1)).
# Where /bin/sh is a bash it would run what PS4 says, once SHELLOPTS is exported.
_SET_BY_NOBODY = (
    "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "LD_DEBUG", "LD_DEBUG_OUTPUT", "LD_PROFILE", "LD_PROFILE_OUTPUT",
    "LD_ORIGIN_PATH", "DYLD_INSERT_LIBRARIES", "DYLD_LIBRARY_PATH", "GCONV_PATH", "LOCPATH", "NLSPATH",
    "GLIBC_TUNABLES", "OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES", "SSLKEYLOGFILE",
    "MALLOC_TRACE", "GMON_OUT_PREFIX",
)  # fmt: skip

# `builtin`, since a line may define functions of any name.
# Everything that goes out of the shell by _STATE is data for us and is never run: a name, "=", a value, NUL.
_PREAMBLE = f"""\
ulimit -f 131072 -c 0
command_not_found_handle() {{ {_REFUSED} "$@"; return 127; }}
__gameday_tell() {{
  builtin local __gameday_name IFS=$' \\n'
  for __gameday_name in $(builtin compgen -e); do
    builtin printf 'x%s=%s\\0' "$__gameday_name" "${{!__gameday_name-}}" >&{_STATE}
  done
  for __gameday_name in $(builtin compgen -v); do
    builtin printf 'v%s=%s\\0' "$__gameday_name" "${{!__gameday_name-}}" >&{_STATE}
  done
  builtin printf 'end\\0' >&{_STATE}
}}
trap __gameday_tell EXIT
declare -r {" ".join(_SET_BY_NOBODY)} PS4='+ '
enable -n kill suspend history fc enable
set -r
"""
# Said again at the end, for a line that has set a trap of its own on EXIT.
_EPILOGUE = """\
__gameday_status=$?
__gameday_tell
builtin exit "$__gameday_status"
"""


class Place(Protocol):
    """A service of the topology and one of its container ports."""

    @property
    def service(self) -> str: ...

    @property
    def port(self) -> int: ...


class Operations(Protocol):
    """What the operations shell knows. `addresses` maps what the runbook calls a server (`localhost:9090`) to where it
    is, `units` has the service manager's units, `files` maps names in the shell to files that operators may change;
    these and `ca` are a service and a path inside it; `environment` is what the operator's shell has set; `host` is the
    file that says what is laid out of a host."""

    @property
    def addresses(self) -> Mapping[str, Place]: ...

    @property
    def units(self) -> Mapping[str, Unit]: ...

    @property
    def files(self) -> Mapping[str, tuple[str, str]]: ...

    @property
    def ca(self) -> tuple[str, str] | None: ...

    @property
    def environment(self) -> Mapping[str, str]: ...

    @property
    def host(self) -> Path | None: ...


@contextmanager
def open_shell(sandbox: Sandbox, operations: Operations, *, clock: Clock, directory: Path) -> Iterator[Shell]:
    """An operator's session on `sandbox`, kept in the new folder `directory`, which is removed when it ends.

    Raises Unsupported where the sandbox can't start helper processes or has no files that can be reached, UsageError
    where this machine has no bash, or `operations` names an address or a file that the sandbox does not have, or a host
    that can't be laid out.
    """
    require(sandbox, CanSpawn)
    assert isinstance(sandbox, CanSpawn)
    bash = shutil.which("bash")
    if bash is None:
        raise UsageError("this machine has no bash, which a runbook's commands are written for", hint="install bash")
    plan = read_host(operations.host)
    directory = directory.absolute()
    (directory / "scratch").mkdir(parents=True)
    door = Door({})
    try:
        host = lay_out(plan, directory / "host", clock.now()) if plan else None
        tools = _tools(sandbox, operations, clock, door.nowhere, directory / "scratch")
        tools |= _tools_that_look(sandbox, operations, host, directory / "spool")
        tools |= _tools_on(host, directory, Path(bash), tools) if host else {}
        for name, tool in tools.items():
            door.add(name, tool)
            _write_shim(directory, name, bash)
        for name in set(READERS) - set(tools):
            if real := shutil.which(name):
                (directory / "bin" / name).symlink_to(real)
        for name, place in operations.files.items():
            require(sandbox, HasFiles)
            assert isinstance(sandbox, HasFiles)
            (directory / "scratch" / name).symlink_to(sandbox.path(*place))
        door.write_pass(directory / "pass")
        yield Shell(
            sandbox, door, clock=clock, directory=directory, bash=bash, environment=operations.environment, host=host
        )
    finally:
        door.close()
        shutil.rmtree(directory, ignore_errors=True)


def _tools(
    sandbox: Sandbox, operations: Operations, clock: Clock, nowhere: int, scratch: Path
) -> dict[str, Tool]:  # fmt: skip
    places: dict[str, Address] = {
        name: sandbox.address(place.service, place.port) for name, place in operations.addresses.items()
    }
    ca = sandbox.path(*operations.ca) if operations.ca and isinstance(sandbox, HasFiles) else None
    tools: dict[str, Tool] = {
        "curl": Curl(binary=_real("curl"), addresses=places, nowhere=nowhere, ca=ca),
        "ab": Ab(binary=_real("ab"), addresses=places),
        "redis-cli": RedisCli(binary=_real("redis-cli"), addresses=places),
        "systemctl": Systemctl(sandbox, operations.units, directory=scratch),
        "nginx": Nginx(sandbox, operations.units["nginx"].service if "nginx" in operations.units else "", clock),
        _REFUSED: Refuse(),
    }
    if sleep := _real("sleep"):
        tools["sleep"] = Sleep(sleep, clock.scale)
    for name, (unsafe, first) in FILTERS.items():
        if (real := _real(name)) and (not first or _understands(real, first)):
            tools[name] = Filter(name, real, unsafe, first)
    return tools


def _tools_that_look(sandbox: Sandbox, operations: Operations, host: Host | None, spool: Path) -> dict[str, Tool]:
    """What looks into the processes of the sandbox, and how busy this machine's disks are, where Linux tells."""
    tools: dict[str, Tool] = {}
    if isinstance(sandbox, HasProcesses) and PROC.is_dir():
        ports = said_ports({name: sandbox.address(p.service, p.port).port for name, p in operations.addresses.items()})
        tools["ss"] = Ss(sandbox=sandbox, ports=ports)
        if cat := _real("cat"):
            tools["lsof"] = Lsof(sandbox=sandbox, ports=ports, host=host, spool=spool, cat=cat)
    if (PROC / "diskstats").exists() and _real("iostat") is None:
        tools["iostat"] = StandIn("iostat", _HERE / "tools" / "iostat.py")
    return tools


def _tools_on(host: Host, directory: Path, bash: Path, others: Mapping[str, Tool]) -> dict[str, Tool]:
    """The tools that a laid-out host adds, and those that it leads to its files."""
    tools: dict[str, Tool] = {"sysctl": Sysctl(host)}
    if (sed := _real("sed")) is None:
        return tools
    ground = Ground(host=host, scratch=directory / "scratch", bash=bash, sed=sed)
    for name in (*PLAIN, *PROGRAMS):
        tool = others.get(name) or ((real := _real(name)) and Filter(name, real, lambda _: ""))
        if tool:
            tools[name] = Reading(name=name, tool=tool, ground=ground)
    if find := _real("find"):
        tools["find"] = Find(binary=find, ground=ground, tools=directory / "bin")
    if gzip := _real("gzip"):
        tools["gzip"] = Changing(name="gzip", binary=gzip, ground=ground)
        tools["gunzip"] = Changing(name="gunzip", binary=gzip, ground=ground, first=("-d",))
        tools["zcat"] = Changing(name="zcat", binary=gzip, ground=ground, first=("-cd",))
    if rm := _real("rm"):
        tools["rm"] = Changing(name="rm", binary=rm, ground=ground)
    return tools


def _real(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found) if found else None


def _understands(real: Path, options: tuple[str, ...]) -> bool:
    """Whether `real` knows the options that make it safe; one that does not is left out of the shell."""
    tried = subprocess.run([real, *options, "", os.devnull], capture_output=True, timeout=10, check=False)
    return tried.returncode == 0


def _write_shim(directory: Path, name: str, bash: str) -> None:
    """A small sh script, since the first line of a script can't name an interpreter with a space in its path."""
    (directory / "bin").mkdir(exist_ok=True)
    shim = directory / "bin" / name
    words = [bash, "-p", str(_HERE / "shim.sh"), str(directory / "pass"), name]
    shim.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
    shim.chmod(0o755)


class Shell:
    """One operator's terminal, while it is open. Made by `open_shell`."""

    def __init__(
        self,
        sandbox: CanSpawn,
        door: Door,
        *,
        clock: Clock,
        directory: Path,
        bash: str,
        environment: Mapping[str, str],
        host: Host | None = None,
    ) -> None:
        self.host = host
        self._sandbox = sandbox
        self._door = door
        self._clock = clock
        self._directory = directory
        self._bash = bash
        self._exported = dict(environment)
        self._plain: dict[str, str] = {}
        self._secrets = [value for name, value in environment.items() if _SECRET.search(name) and len(value) >= 6]
        self._count = 0

    @property
    def exported(self) -> Mapping[str, str]:
        """What this session has exported so far, its own beginning included."""
        return dict(self._exported)

    def run(
        self,
        text: str,
        *,
        variant: Literal["as-written", "corrected"] = "as-written",
        limit: timedelta | None = None,
    ) -> CommandRecord:
        """Run one command line to its end, or until `limit` of real time has gone by (the runbook's sleeps come on
        top). Raises SandboxError where the sandbox can't start it at all."""
        began = self._clock.now()
        screened = screen(text, self.host)
        if screened.refused:
            return CommandRecord(
                variant=variant, text=text, began=began, ended=began, exit_status=None, output="",
                refused=screened.refused,
            )  # fmt: skip
        self._door.forget()
        self._count += 1
        line = _Line(self._directory / f"line-{self._count}")
        line.write(self._script(screened, line))
        name = f"{self._directory.name}-{self._count}"
        status, complaint = self._until_end(name, line, limit or LONGEST)
        self._learn(line)
        ended = self._clock.now()
        answers = self._door.answers
        refused = [answer.refused for answer in answers if answer.refused]
        output = line.output()
        refused += re.findall(r"^.*: restricted.*$", output, re.MULTILINE)[:3]
        if (broken := self._directory / "pass.broken").exists():
            broken.unlink()
            refused.append("a tool of the operations shell broke")
        notes = [complaint, *(answer.note for answer in answers)]
        return CommandRecord(
            variant=variant,
            text=text,
            began=began,
            ended=ended,
            exit_status=None if refused else status,
            output=self._readable(output, [note for note in notes if note]),
            refused="; ".join(refused),
            saved=sum(answer.saved for answer in answers),
        )

    # -- one line ------------------------------------------------------------------------------------------------

    def _script(self, screened: Screened, line: _Line) -> str:
        opened = [f"exec {_STATE}>{shlex.quote(str(line.state))} {NULL}>/dev/null"]
        for file in screened.opened:
            sign = ">>" if file.mode == "a" else ">"
            opened.append(f"exec {file.descriptor}{sign}{shlex.quote(file.name)}")
        known = [f"{name}={shlex.quote(value)}" for name, value in self._plain.items()]
        return "\n".join([*opened, *known, _PREAMBLE, f"eval {shlex.quote(screened.text)}", _EPILOGUE])

    def _until_end(self, name: str, line: _Line, limit: timedelta) -> tuple[int | None, str]:
        """Start the line and serve its tools until it ends: its exit status (None: stopped), and what went wrong."""
        leader = [sys.executable, "-I", "-S", str(_HERE / "leader.py"), str(line.result), str(OUTPUT_LIMIT)]
        argv = [*leader, self._bash, "--noprofile", "--norc", str(line.script)]
        began = self._clock.now()
        self._sandbox.spawn(
            name, argv, environment=self._environment(), directory=self._directory / "scratch", log=line.log
        )
        looked = began
        try:
            while not line.result.exists():
                self._door.serve(_TICK)
                now = self._clock.now()
                slept = sum(answer.wait for answer in self._door.answers)
                if now - began - slept > limit.total_seconds():
                    return None, f"stopped: it was still running after {say_duration(limit)}"
                if now - looked > 0.5:
                    looked = now
                    if (status := self._sandbox.spawned(name).status) is not None and not line.result.exists():
                        return None, f"stopped: the operations shell ended with {status}"
            told = json.loads(line.result.read_text(encoding="utf-8"))
        finally:
            with suppress(SandboxError):
                self._sandbox.end(name, grace=_GRACE)
        if told["crowded"]:
            return None, f"stopped: it had more than {CROWD} processes"
        note = f"{told['dropped']} more bytes were not kept" if told["dropped"] else ""
        return int(told["status"]), note

    def _environment(self) -> dict[str, str]:
        scratch = str(self._directory / "scratch")
        fixed = {"PATH": str(self._directory / "bin"), "HOME": scratch, "TMPDIR": scratch, "LANG": "C.UTF-8"}
        return {**self._exported, **fixed, "TERM": "dumb"}

    def _learn(self, line: _Line) -> None:
        """Take over the variables that the line has left, if it came to tell them."""
        told = line.told()
        if told is not None:
            self._exported, self._plain = told

    def _readable(self, output: str, notes: list[str]) -> str:
        if self.host:
            output = self.host.back(output)
        for secret in self._secrets:
            output = output.replace(secret, "***")
        if notes and output and not output.endswith("\n"):
            output += "\n"
        return output + "".join(f"[{note}]\n" for note in notes)


class _Line:
    """The files of one command line while it runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.script = folder / "script"
        self.result = folder / "result"
        self.state = folder / "state"
        self.log = folder / "log"

    def write(self, script: str) -> None:
        self._folder.mkdir()
        self.script.write_text(script, encoding="utf-8")

    def output(self) -> str:
        """What it printed, without the names of our own files."""
        raw = self.log.read_bytes()[: OUTPUT_LIMIT + 4096] if self.log.exists() else b""
        return raw.decode("utf-8", "replace").replace(f"{self.script}: ", "")

    def told(self) -> tuple[dict[str, str], dict[str, str]] | None:
        """The exported and the plain variables that it left; None where it was stopped before it could tell."""
        raw = self.state.read_bytes() if self.state.exists() else b""
        entries = raw.decode("utf-8", "replace").split("\0")
        if "end" not in entries:
            return None
        exported: dict[str, str] = {}
        plain: dict[str, str] = {}
        for entry in entries[: entries.index("end")]:
            name, _, value = entry[1:].partition("=")
            if not re.fullmatch(r"[A-Za-z_]\w*", name) or _SPECIAL.fullmatch(name) or is_unsafe(name):
                continue
            if entry[0] == "x":
                exported[name] = value
            elif name not in exported:
                plain[name] = value
        return exported, plain
