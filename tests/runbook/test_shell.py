"""The confined shell, with a real bash: what it keeps between lines, what it bounds, and how it is fenced."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from harness.clock import SystemClock
from harness.errors import Unsupported
from harness.runbook.shell import OUTPUT_LIMIT, Shell, open_shell
from harness.sandbox.base import Address
from harness.testing import FakeSandbox
from tests.runbook.terminal import At, Ground, LocalSandbox, Unit, terminal

GROUND = Ground(
    addresses={"localhost:8002": At("generation", 80)},
    units={"app-generation": Unit("generation")},
    environment={"ADMIN_TOKEN": "sandbox-secret"},
)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    sandbox = LocalSandbox({("generation", 80): Address("127.0.0.1", 9, "http")})
    with terminal(tmp_path_factory.mktemp("shell"), GROUND, sandbox) as shell:
        yield shell


def test_exports_persist_as_in_one_terminal(shell: Shell) -> None:
    """What a line exports or sets is there for the next one, odd characters included, until it is unset."""
    shell.run("export A=$'x \"y\\'\\nz' B=1; C='plain $'")
    seen = shell.run('printf \'%s|%s|%s|\' "$A" "$B" "$C"; bash_sees=$(printf %s "$C"); unset B; exit 4')
    assert (seen.output, seen.exit_status) == ("x \"y'\nz|1|plain $|", 4)
    assert shell.run('echo "[$B][$bash_sees]"').output == "[][plain $]\n"
    assert "A" in shell.exported
    assert "C" not in shell.exported


def test_the_environment_is_clean(shell: Shell) -> None:
    """A line sees what the operations environment has, and nothing of ours."""
    os.environ["OURS"] = "leaked"
    try:
        assert shell.run('echo "[$OURS][$USER][${#ADMIN_TOKEN}]"').output == "[][][14]\n"
    finally:
        del os.environ["OURS"]


def test_secrets_do_not_reach_the_record(shell: Shell) -> None:
    """The value of a token is blotted out in what is recorded."""
    assert shell.run("echo $ADMIN_TOKEN").output == "***\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("docker system prune -f", "docker: not possible here"),
        ("find / -name x -delete", "find: not possible here"),
        ("sysctl -p", "sysctl: not possible here"),
        ("eval '/bin/ls /'", "restricted"),
        ("eval 'echo x > /tmp/gameday-escaped'", "restricted"),
        ('X=kill; eval "$X -9 1"', "kill: not possible here"),
        ("command -p ls", "restricted"),
        ("eval 'enable kill'", "enable: not possible here"),
        ("eval 'exec /bin/ls'", "restricted"),
        ("eval 'cd /'", "restricted"),
        ("curl http://example.com/", "example.com:80 is no address"),
        ("systemctl poweroff", "poweroff is not possible"),
        ("awk 'BEGIN{system(\"id\")}'", "may start a program"),
        ("sed -i s/a/b/ x", "may write a file"),
    ],
)
def test_what_is_not_possible_is_refused_and_recorded(shell: Shell, text: str, said: str) -> None:
    """What gets past the first fence is held by the second, and the record says that it was refused."""
    record = shell.run(text)
    assert said in record.refused
    assert record.exit_status is None
    assert not Path("/tmp/gameday-escaped").exists()


def test_what_is_refused_beforehand_is_not_run_at_all(shell: Shell) -> None:
    """No part of a line that the first fence refuses is run."""
    assert shell.run("export LEAK=1; /bin/ls").refused
    assert shell.run('echo "[$LEAK]"').output == "[]\n"


def test_real_tools_and_redirections_work(shell: Shell) -> None:
    """Pipes, filters, files of the scratch folder and /dev/null do what they do in any shell."""
    assert (
        shell.run("printf 'a 1\\nb 2\\n' > in.txt; awk '{print $2}' < in.txt | sort -r | tr '\\n' ,").output == "2,1,"
    )
    assert shell.run("cat in.txt > /dev/null && cat in.txt | wc -l").output.strip() == "2"


def test_the_runbooks_sleep_is_scaled_and_told(shell: Shell) -> None:
    """`sleep 300` waits on runbook time, and the record has what was saved, for the deadline."""
    record = shell.run("sleep 100 && sleep 1m")
    assert record.saved == pytest.approx(160 * 0.999)
    assert record.ended - record.began < 2
    assert "100 s of the runbook are 0.1 s here" in record.output


def test_a_line_is_stopped_at_its_limit(shell: Shell) -> None:
    """A line that hangs is stopped, keeps its output, and has no exit status."""
    record = shell.run("echo begun; while true; do :; done", limit=timedelta(seconds=0.3))
    assert record.exit_status is None
    assert record.output.startswith("begun\n[stopped: it was still running after 300 ms")
    assert record.ended - record.began < 2


def test_the_runbooks_sleep_does_not_use_up_the_limit(shell: Shell) -> None:
    """A line may sleep longer than its limit: the limit is for what hangs."""
    assert shell.run("sleep 600; echo woke", limit=timedelta(seconds=0.4)).output.startswith("woke\n")


def test_output_is_bounded(shell: Shell) -> None:
    """What a line prints beyond the limit is counted, not kept."""
    record = shell.run("printf '%0100000d' 0")
    assert record.output.endswith(f"[{100_000 - OUTPUT_LIMIT} more bytes were not kept]\n")
    assert len(record.output) < OUTPUT_LIMIT + 100
    assert record.exit_status == 0


def test_background_jobs_end_with_their_line(shell: Shell) -> None:
    """A job left in the background is killed when its line is over."""
    pid = shell.run("(while true; do :; done) & echo $!").output.strip()
    deadline = time.monotonic() + 2
    while (state := _state(pid)) and not state.startswith("Z"):  # a zombie is dead, its new parent just has not looked
        assert time.monotonic() < deadline, state
        time.sleep(0.01)


def _state(pid: str) -> str:
    asked = subprocess.run(["ps", "-p", pid, "-o", "stat="], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def test_a_syntax_error_is_bashs_to_tell(shell: Shell) -> None:
    """A line that is no sentence fails as it would for the operator, and the session goes on."""
    record = shell.run("echo 'open")
    assert record.exit_status
    assert "unexpected EOF" in record.output
    assert shell.run("echo on").output == "on\n"


def test_functions_do_not_reach_the_tools(tmp_path: Path) -> None:
    """A function that a line exports under the name of something the shims use is not run by them."""
    sandbox = LocalSandbox()
    names = "exec printf read shift unset exit local fail bash sh"
    define = "; ".join(f"{name}() {{ echo hijacked; }}; export -f {name}" for name in names.split()[1:])
    with terminal(tmp_path, Ground(units={"u": Unit("generation")}), sandbox) as shell:
        record = shell.run(f"{define}; systemctl restart u; systemctl is-active u")
    assert sandbox.asked == [("restart", "generation", {})]
    assert record.output == "active\n"


def test_a_trap_does_not_cost_the_session_its_variables(shell: Shell) -> None:
    """Variables are kept even where the line sets a trap of its own."""
    shell.run("trap 'echo bye' EXIT; KEPT=1")
    assert shell.run("echo $KEPT").output == "1\n"


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """The shell's folder goes with it, what its lines wrote included."""
    with terminal(tmp_path) as shell:
        shell.run("echo x > y")
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_systemctl_reaches_the_sandbox(tmp_path: Path) -> None:
    """From the line through the shim and the door to the sandbox, and the status back."""
    sandbox = LocalSandbox()
    with terminal(tmp_path, Ground(units={"app-generation": Unit("generation")}), sandbox) as shell:
        assert shell.run("systemctl set-environment A='x y' && systemctl restart app-generation").exit_status == 0
        assert shell.run("systemctl restart app-other").exit_status == 5
    assert sandbox.asked == [("restart", "generation", {"A": "x y"})]


def test_a_file_of_a_service_can_be_changed(tmp_path: Path) -> None:
    """A file that operators may change stands in the scratch folder; what a line writes to it the service has."""
    served = tmp_path / "upstreams.conf"
    served.write_text("server a;\n", encoding="utf-8")
    sandbox = LocalSandbox()
    sandbox.places["web", "/etc/upstreams.conf"] = served
    ground = Ground(files={"upstreams.conf": ("web", "/etc/upstreams.conf")})
    with terminal(tmp_path, ground, sandbox) as shell:
        for line in ("sed -e s/a/b/ upstreams.conf > new.conf", "cat new.conf > upstreams.conf"):
            assert shell.run(line).exit_status == 0
    assert served.read_text(encoding="utf-8") == "server b;\n"


def test_an_environment_file_is_written_and_obeyed(tmp_path: Path) -> None:
    """Settings that an operator writes to a unit's environment file reach its service with the next restart."""
    sandbox = LocalSandbox()
    with terminal(tmp_path, Ground(units={"app": Unit("generation", environment_file="app.env")}), sandbox) as shell:
        assert shell.run("echo LIMIT=10 >> app.env; systemctl restart app").exit_status == 0
    assert sandbox.asked == [("restart", "generation", {"LIMIT": "10"})]


def test_a_sandbox_without_helpers_has_no_shell(tmp_path: Path) -> None:
    """A sandbox that can't start helper processes is refused by name of the ability."""
    with (
        pytest.raises(Unsupported, match="CanSpawn"),
        open_shell(FakeSandbox(), Ground(), clock=SystemClock(), directory=tmp_path / "x"),
    ):
        pass


@pytest.mark.parametrize(
    "question",
    [b"x\0003\0systemctl\0restart\0u\0", b"\0000\0", b"GET / HTTP/1.1\r\n\r\n\0\0\0", b"\xff\0001\0systemctl\0"],
)
def test_a_stranger_is_turned_away(tmp_path: Path, question: bytes) -> None:
    """Whoever does not show the shell's token gets nothing done, and nothing recorded."""
    with terminal(tmp_path, Ground(units={"u": Unit("generation")})) as shell:
        door = shell._door
        port = int((tmp_path / "a shell" / "pass").read_text().split()[0])
        assert (tmp_path / "a shell" / "pass").stat().st_mode & 0o077 == 0
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(question)
            door.serve(1.0)
            said = stranger.recv(4096)
        assert said.endswith(b"does not know this caller\n\x00126\x00")
        assert door.answers == []
