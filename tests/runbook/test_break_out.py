"""Attempts to leave the confined shell: each fails closed, as root and as a plain user, and a watcher sees nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from harness.model.record import CommandRecord
from harness.runbook.leader import CROWD
from harness.runbook.shell import OUTPUT_LIMIT, Shell
from harness.sandbox.base import Address
from tests.runbook.terminal import At, Ground, LocalSandbox, Unit, terminal

pytestmark = pytest.mark.integration

LIMIT = timedelta(seconds=2)
PLACES = ("/etc", "/var/log")  # where nothing may change while the table is gone through
MARK = "gameday-break-out"

# What stands for something outside: @OUT@ a folder, @FILE@ a file in it, @PID@ a process, @PORT@ a server.
TRIES = {
    # another shell
    "bash -c": "bash -c 'echo x > @OUT@/x'",
    "sh": "sh -c 'echo x > @OUT@/x'",
    "env -i": "env -i bash -c 'echo x > @OUT@/x'",
    "a here-string into bash": "bash <<< 'echo x > @OUT@/x'",
    "a pipe into sh": "echo 'echo x > @OUT@/x' | sh",
    "a here-document into bash": "bash <<E\necho x > @OUT@/x\nE",
    "by its own image": "eval '/proc/self/exe -c \"echo x > @OUT@/x\"'",
    "through another root": "eval '/proc/1/root/bin/sh -c true'",
    "nohup": "nohup touch @OUT@/x",
    "setsid": "setsid touch @OUT@/x",
    "xargs": "echo @OUT@/x | xargs touch",
    "find -exec": "find . -exec touch @OUT@/x ';'",
    "find -delete": "find @OUT@ -delete",
    "tar": "tar --to-command='touch @OUT@/x' -xf a",
    "ln": "ln -s @OUT@ out; echo x > out",
    # what the shell itself can be told
    "eval of a redirection": "eval 'echo x > @OUT@/x'",
    "eval out of pieces": "A='echo x'; B='> @OUT@/x'; eval \"$A $B\"",
    "eval of a substitution": 'eval "$(echo /usr/bin/touch @OUT@/x)"',
    "builtin exec": "builtin exec /bin/sh -c 'echo x > @OUT@/x'",
    "builtin source": "builtin source @FILE@",
    "builtin hash -p": "builtin hash -p /usr/bin/touch foo; foo @OUT@/x",
    "builtin enable -f": "builtin enable -f @FILE@ foo",
    "builtin enable of what was taken away": "builtin enable kill; builtin kill -9 @PID@",
    "command -p": "command -p touch @OUT@/x",
    "set +r": "set +r; eval 'echo x > @OUT@/x'",
    "the table of commands": "eval 'BASH_CMDS[foo]=/usr/bin/touch'; foo @OUT@/x",
    "the same by a name for a name": "X='BASH_CMDS[foo]'; declare -n R=$X; R=/usr/bin/touch; foo @OUT@/x",
    "PATH by eval": "eval 'P''ATH=/usr/bin:/bin'; touch @OUT@/x",
    "PATH by a name for a name": "eval 'declare -n Q=PATH; Q=/usr/bin:/bin'; touch @OUT@/x",
    "PATH by getopts": "getopts a PATH -a; touch @OUT@/x",
    "PATH by a loop": "for PATH in /usr/bin /bin; do touch @OUT@/x; done",
    "PATH by mapfile": "mapfile -t PATH <<< /usr/bin; touch @OUT@/x",
    "a function in the way": "builtin() { touch @OUT@/x; }; sleep() { touch @OUT@/x; }; sleep 1",
    "an alias": "shopt -s expand_aliases; alias ls='/usr/bin/touch @OUT@/x'; eval ls",
    "a trap on EXIT": "trap '/usr/bin/touch @OUT@/x' EXIT",
    "a trap on DEBUG": "trap 'echo x > @OUT@/x' DEBUG; true",
    "the prompt of xtrace": "eval 'PS4=\"\\$(/usr/bin/touch @OUT@/x)\"; export PS4 SHELLOPTS'; set -x; sleep 1; ls",
    "an index that is a command": "test -v 'x[$(/usr/bin/touch @OUT@/x)]'; unset 'x[$(echo x > @OUT@/x)]'",
    "completion": "compgen -C '/usr/bin/touch @OUT@/x' a; compgen -W '$(/usr/bin/touch @OUT@/x)'",
    "a process substitution that writes": "eval 'echo x | cat > >(cat > @OUT@/x)'",
    "a coprocess": "coproc cat > @OUT@/x",
    "the history": "set -o history; builtin history -s x; builtin history -w @OUT@/x",
    "a socket": "eval 'echo x > /dev/tcp/127.0.0.1/@PORT@'",
    "a socket that is read": "eval 'cat < /dev/tcp/127.0.0.1/@PORT@'",
    # what programs take from the environment
    "BASH_ENV": "eval 'export BASH_ENV=@FILE@'; sleep 1",
    "LD_PRELOAD": "eval 'export LD_PRELOAD=@FILE@'; cat /dev/null",
    "where the loader writes": "eval 'export LD_DEBUG=libs LD_DEBUG_OUTPUT=@OUT@/x'; cat /dev/null; sleep 1",
    "where the profiler writes": "eval 'export LD_PROFILE=libc.so.6 LD_PROFILE_OUTPUT=@OUT@'; cat /dev/null; sleep 1",
    "where curl writes keys": "eval 'export SSLKEYLOGFILE=@OUT@/x'; curl -s https://localhost:8002/",
    "functions for the shims": "exec() { eval 'echo x > @OUT@/x'; }; export -f exec; sleep 1",
    # what tools can do besides
    "awk system()": "awk 'BEGIN{system(\"touch @OUT@/x\")}'",
    "awk >": "awk 'BEGIN{print > \"@OUT@/x\"}'",
    "awk that leaves its variables": "awk --dump-variables=@OUT@/x 'BEGIN{}'",
    "sed w": "echo x | sed 'w @OUT@/x'",
    "sed e": "echo x | sed '1e touch @OUT@/x'",
    "sed --in-place": "sed --in-place s/was/is/ @FILE@",
    "sed --i, the same": "sed --i s/was/is/ @FILE@",
    "sort --output": "sort --output=@OUT@/x @FILE@",
    "sort --o, the same": "sort --o=@OUT@/x @FILE@",
    "uniq": "uniq @FILE@ @OUT@/x",
    "jq env": "eval 'export OPENSSL_CONF=@FILE@ GCONV_PATH=@OUT@'; jq -ne 'env | has(\"OPENSSL_CONF\")'",
    "jq input_filename": "jq -R input_filename @FILE@",
    "curl -o": "curl -o @OUT@/x http://localhost:8002/",
    "curl -O with a name that climbs": "curl -O 'http://localhost:8002/..%2f..%2fx'",
    "curl file:": "curl file://@FILE@",
    "curl -K": "echo 'url = http://127.0.0.1:@PORT@/' > a; curl -K a http://localhost:8002/",
    "curl --proxy": "curl --proxy http://127.0.0.1:@PORT@ http://localhost:8002/",
    "curl --unix-socket": "curl --unix-socket @OUT@/socket http://localhost:8002/",
    "curl to another port": "curl http://127.0.0.1:@PORT@/",
    "curl to another host": "curl http://example.com/",
    "curl by a proxy of its environment": "eval 'export http_proxy=http://127.0.0.1:@PORT@'; curl http://localhost:8002/",
    "redis-cli -h": "redis-cli -h 127.0.0.1 -p @PORT@ ping",
    "redis-cli --eval": "redis-cli --eval @FILE@",
    "a server led elsewhere": "redis-cli replicaof 127.0.0.1 @PORT@",
    "the same by a script": "redis-cli eval \"redis.call('migrate', '127.0.0.1', @PORT@, 'k', 0, 10)\" 0",
    "where a server writes": "redis-cli config set dir @OUT@",
    "systemctl on a unit of the machine": "systemctl stop dbus; systemctl --root=/ enable x",
    "docker": "docker run -v /:/host busybox touch /host@OUT@/x",
    "kill": "kill -9 @PID@",
    "kill by eval": "X=kill; eval \"$X -9 @PID@\"; eval 'builtin kill -9 @PID@'; jobs -x kill -9 @PID@",
    "sysctl": "sysctl -w vm.swappiness=1",
    "a setting of the kernel": "echo 1 > /proc/sys/vm/swappiness",
    "a line for /etc/sysctl.conf": f"echo '# {MARK}' >> /etc/sysctl.conf; eval 'echo x >> /etc/{MARK}'",
    "a file in /var/log": f"eval 'echo x > /var/log/{MARK}'",
    "a parent folder": "eval 'echo x > ../../outside/x'; cd ../../outside",
    "raising the limits": "ulimit -f unlimited; ulimit -c unlimited; ulimit -u unlimited",
}
# The same, in a shell for which a host is laid out.
ON_A_HOST = {
    "a folder that is not laid out": "find @OUT@ -type f -delete",
    "all of the machine": "find / -name was -delete",
    "a parent of what is laid out": "find /srv/work/.. -name was -delete",
    "a folder that only begins alike": "find /srv/works /srv/work-x -delete",
    "find -exec of a shell": "find /srv/work -exec sh -c 'echo x > @OUT@/x' ';'",
    "find -exec by a path": "find /srv/work -exec /usr/bin/touch @OUT@/x ';'",
    "find -exec of a tool on something else": "find /srv/work -exec rm @FILE@ ';'",
    "find -exec of gzip on something else": "find /srv/work -name 'ai-*' -exec gzip @FILE@ ';'",
    "find -execdir": "find /srv/work -execdir rm @FILE@ ';'",
    "find -ok": "echo y | find /srv/work -ok rm @FILE@ ';'",
    "find -fprint": "find /srv/work -fprint @OUT@/x",
    "find -fprintf": "find /srv/work -fprintf @OUT@/x %p",
    "find -fls": "find /srv/work -fls @OUT@/x",
    "find -files0-from": "echo @OUT@ > a; find -files0-from a -delete",
    "find -L": "find -L /srv/work -delete",
    "find -newer, of a file elsewhere": "find /srv/work -newer @FILE@",
    "rm": "rm -rf @OUT@",
    "rm of a parent": "rm -rf /srv/work/../../../../../../../@OUT@",
    "rm by a pattern": "rm -rf @OUT@/*",
    "gzip": "gzip @FILE@",
    "gzip -r": "gzip -r /srv/work",
    "gzip through a redirection": "gzip -c /var/log/syslog.log > @OUT@/x",
    "gunzip": "gunzip -S was @FILE@",
    "zcat of a file elsewhere": "zcat -f @FILE@",
    "sysctl -w": "sysctl -w vm.swappiness=1",
    "sysctl of a path": "sysctl -w ../../../../proc/sys/vm/swappiness=1",
    "sysctl --load": "sysctl --load=@FILE@",
    "sysctl --system": "sysctl --system",
    "a file elsewhere": "echo x >> /etc/passwd-@MARK@",
    "a file elsewhere, by a climb": "echo x >> /srv/work/../../../../../..@OUT@/x",
    "a setting of the machine": "echo 1 > /proc/sys/vm/swappiness",
    "a variable as a path": "P=@FILE@; gzip $P; rm $P; find $P -delete",
    "sed in place": "sed -i s/was/is/ @FILE@",
}
HOST = """
folders: [/srv/work, /var/log]
files: {/srv/work/ai-x: {age: 2 d}, /var/log/syslog.log: {content: all is well}, /etc/sysctl.conf: {age: 9 d}}
settings: {net.core.somaxconn: 4096}
"""
HARMLESS = {"jq input_filename", "raising the limits"}  # may run: they read, or the kernel says no


@dataclass(frozen=True, slots=True)
class Outside:
    """What a line must not touch, and who would notice."""

    folder: Path
    process: subprocess.Popen[bytes]
    server: socket.socket

    def said(self, text: str) -> str:
        for name, value in (("OUT", self.folder), ("FILE", self.folder / "was")):
            text = text.replace(f"@{name}@", str(value))
        port = self.server.getsockname()[1]
        return text.replace("@PID@", str(self.process.pid)).replace("@PORT@", str(port)).replace("@MARK@", MARK)

    def seen(self) -> object:
        """The folder's files, whether the process lives, and whether anybody called."""
        try:
            caller, called = self.server.accept()
            caller.close()
        except BlockingIOError:
            called = ""
        return snapshot(self.folder), self.process.poll(), called


def snapshot(place: Path) -> dict[str, tuple[int, int, int, int]]:
    """Each file at and below `place` by its inode, mode, size and time of change; what can't be read is left out."""
    found = {}
    for folder, folders, files in os.walk(place):
        for name in (*folders, *files):
            path = Path(folder) / name
            try:
                told = path.lstat()
            except OSError:
                continue
            found[str(path)] = (told.st_ino, told.st_mode, told.st_size, told.st_mtime_ns)
    return found


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("break out")


@pytest.fixture(scope="module")
def outside(here: Path) -> Iterator[Outside]:
    (here / "outside").mkdir()
    (here / "outside" / "was").write_text("it was\n", encoding="utf-8")
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(120)"])
    with process, socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield Outside(here / "outside", process, server)
        process.kill()


@pytest.fixture(scope="module")
def sandbox() -> LocalSandbox:
    return LocalSandbox(
        {("generation", 80): Address("127.0.0.1", 9, "http"), ("redis", 6379): Address("127.0.0.1", 9, "redis")}
    )


@pytest.fixture(scope="module")
def shell(here: Path, sandbox: LocalSandbox) -> Iterator[Shell]:
    ground = Ground(
        addresses={"localhost:8002": At("generation", 80), "localhost:6379": At("redis", 6379)},
        units={"app": Unit("generation")},
    )
    with terminal(here, ground, sandbox) as shell:
        yield shell


@pytest.fixture(scope="module")
def shell_on_a_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("on a host")
    (folder / "host.yml").write_text(HOST, encoding="utf-8")
    with terminal(folder, Ground(host=folder / "host.yml")) as shell:
        yield shell


@pytest.fixture(scope="module", autouse=True)
def machine() -> Iterator[None]:
    """All of the table leaves the machine's own files as they were."""
    before = {place: snapshot(Path(place)) for place in PLACES}
    swappiness = Path("/proc/sys/vm/swappiness")
    setting = swappiness.read_text() if swappiness.exists() else ""
    yield
    assert snapshot(Path("/etc")) == before["/etc"]
    assert not [path for path in snapshot(Path("/var/log")).keys() - before["/var/log"].keys() if MARK in path]
    assert setting == (swappiness.read_text() if swappiness.exists() else "")


def left(sandbox: LocalSandbox) -> list[str]:
    """The processes that still run in the session of any line so far."""
    sessions = {process.pid for process in sandbox._helpers.values()}
    asked = subprocess.run(["ps", "-eo", "pid=,sess=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 3) for line in asked.splitlines()]
    return [" ".join(row) for row in rows if int(row[1]) in sessions and not row[2].startswith("Z")]


def test_the_table_is_long_enough() -> None:
    """There are at least forty tries, no two of them the same."""
    assert len(set(TRIES.values())) == len(TRIES) >= 40


@pytest.mark.parametrize("name", TRIES)
def test_no_try_leaves_the_shell(name: str, shell: Shell, outside: Outside, sandbox: LocalSandbox) -> None:
    """The try is refused, or fails; no file, process or server outside has noticed it, and nothing of it still runs."""
    before = outside.seen()
    record = shell.run(outside.said(TRIES[name]), limit=LIMIT)
    assert outside.seen() == before
    assert record.refused or record.exit_status or name in HARMLESS or _complained(record), record
    assert left(sandbox) == []


@pytest.mark.parametrize("name", ON_A_HOST)
def test_no_try_leaves_the_host_that_is_laid_out(name: str, shell_on_a_host: Shell, outside: Outside) -> None:
    """Tools that change files of that host change no other, whatever they are told."""
    before = outside.seen()
    record = shell_on_a_host.run(outside.said(ON_A_HOST[name]), limit=LIMIT)
    assert outside.seen() == before
    assert record.refused or record.exit_status or _complained(record), record


def _complained(record: CommandRecord) -> bool:
    """Whether bash or a tool said that it did not do it, though the line's last command went well."""
    return any(word in record.output for word in ("readonly", "restricted", "not a shell builtin", "cannot be"))


def test_the_watcher_would_notice(tmp_path: Path, outside: Outside) -> None:
    """A new file, a changed one and a call are seen: the table can fail."""
    (tmp_path / "was").write_text("x")
    before = snapshot(tmp_path)
    (tmp_path / "was").write_text("longer")
    changed = snapshot(tmp_path)
    (tmp_path / "x").touch()
    assert before != changed != snapshot(tmp_path)
    quiet = outside.seen()
    with socket.create_connection(outside.server.getsockname()):
        assert outside.seen() != quiet


# -- limits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "(while :; do :; done) & echo begun",
        "(while :; do :; done) & disown; echo begun",
        "set -m; (while :; do :; done) & disown -a; echo begun",
        "eval 'set -o monitor'; (trap '' TERM HUP INT; sleep 600000; while :; do :; done) & echo begun",
        "coproc while :; do :; done; echo begun",
        "cat <(while :; do :; done) & echo begun",
        "(sleep 600000 &); echo begun",
    ],
)
def test_nothing_outlives_its_line(line: str, shell: Shell, sandbox: LocalSandbox) -> None:
    """Jobs in the background end with their line, also those with a process group of their own."""
    record = shell.run(line, limit=LIMIT)
    assert "begun" in record.output
    assert _soon_gone(sandbox)


def _soon_gone(sandbox: LocalSandbox) -> bool:
    deadline = time.monotonic() + 2
    while left(sandbox) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left(sandbox) == []


def test_output_without_end_is_bounded(shell: Shell, sandbox: LocalSandbox) -> None:
    """A line that never stops printing is stopped at its limit, and what is kept of it is bounded."""
    record = shell.run("while :; do echo yes; done", limit=timedelta(seconds=0.5))
    assert record.exit_status is None
    assert len(record.output) < OUTPUT_LIMIT + 200
    assert record.ended - record.began < 2
    assert _soon_gone(sandbox)


def test_a_file_can_not_fill_the_disk(shell: Shell, here: Path) -> None:
    """A file of the scratch folder ends at 128 MiB."""
    record = shell.run("head -c 1000000000 /dev/zero > big", limit=timedelta(seconds=10))
    big = here / "a shell" / "scratch" / "big"
    size = big.stat().st_size
    big.unlink()
    assert record.exit_status
    assert size <= 128 << 20


@pytest.mark.skipif(not Path("/proc/loadavg").exists(), reason="needs proc(5)")
@pytest.mark.parametrize("first", ["", "set -m; "])
def test_a_crowd_is_ended(first: str, shell: Shell, sandbox: LocalSandbox) -> None:
    """A line that starts processes without end is stopped once there are too many, and none of them is left."""
    # Processes that wait: those of a test must not take the machine. The count ends what the leader would not.
    line = first + "for i in {1..1000}; do tail -f /dev/null & done; wait"
    record = shell.run(line, limit=timedelta(seconds=10))
    assert record.exit_status is None
    assert record.output.rstrip().endswith(f"[stopped: it had more than {CROWD} processes]"), record
    assert _soon_gone(sandbox)
