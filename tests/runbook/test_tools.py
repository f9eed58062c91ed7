"""What each tool of the operations shell makes of a call."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.runbook.tools.ab import Ab
from harness.runbook.tools.answer import Answer
from harness.runbook.tools.curl import Curl, KnownOptions, known_options, parse_help
from harness.runbook.tools.plain import (
    Nginx,
    Refuse,
    Sleep,
    unsafe_awk,
    unsafe_date,
    unsafe_sed,
    unsafe_sort,
    unsafe_uniq,
)
from harness.runbook.tools.redis_cli import RedisCli
from harness.runbook.tools.systemctl import Systemctl
from harness.runbook.tools.unit_file import read_unit_file
from harness.sandbox.base import Address
from harness.testing import FakeClock
from tests.runbook.terminal import LocalSandbox, Unit

HELP = """\
Usage: curl [options...] <url>
 -d, --data <data>          HTTP POST data
     --connect-to <HOST1:PORT1:HOST2:PORT2> Connect to host
 -H, --header <header/@file> Pass custom header(s) to server
 -I, --head                 Show document info only
 -K, --config <file>        Read config from a file
 -:, --next                 Make next URL use its separate set of options
 -o, --output <file>        Write to file instead of stdout
     --proto <protocols>    Enable/disable PROTOCOLS
 -x, --proxy [protocol://]host[:port] Use this proxy
 -X, --request <method>     Specify request method to use
     --no-progress-meter    Do not show the progress meter
 -s, --silent               Silent mode
     --url <url>            URL to work with
 -w, --write-out <format>   Use output FORMAT after completion
     --expand-url <url>     URL to expand
"""
PLACES = {
    "localhost:8002": Address("127.0.0.1", 41002, "http"),
    "api.example.org:443": Address("127.0.0.1", 41443, "https"),
}


@pytest.fixture
def curl(monkeypatch: pytest.MonkeyPatch) -> Curl:
    monkeypatch.setattr("harness.runbook.tools.curl._known", {Path("/real/curl"): parse_help(HELP)})
    return Curl(binary=Path("/real/curl"), addresses=PLACES, nowhere=9, ca=Path("/certs/ca.pem"))


def test_curl_is_led_to_the_sandbox(curl: Curl) -> None:
    """Ours go first: each known name to its place, every other host to nowhere; the rest is verbatim."""
    given = ["-sX", "POST", "http://localhost:8002/x", "-H", "A: b c"]
    become = list(curl.answer(given).become)
    assert become[0] == "/real/curl"
    assert become[-len(given) :] == given
    led = [become[at + 1] for at, word in enumerate(become) if word == "--connect-to"]
    assert led[0] == "localhost:8002:127.0.0.1:41002"
    assert "api.example.org:443:127.0.0.1:41443" in led
    assert led[-1] == "::127.0.0.1:9"
    assert become[become.index("--cacert") + 1] == "/certs/ca.pem"
    assert "--no-progress-meter" in become


@pytest.mark.parametrize(
    "arguments",
    [
        ["localhost:8002/x"],
        ["http://127.0.0.1:8002/x"],
        ["https://api.example.org/v1"],
        ["https://API.example.org:443/v1"],
        ["--url", "http://localhost:8002/"],
        ["-XPOST", "-d", "http://elsewhere/", "http://localhost:8002"],
        ["-d@file", "http://localhost:8002"],
        ["-o", "/dev/null", "http://localhost:8002"],
        ["-o", "body.json", "http://localhost:8002"],
        ["-o-", "http://localhost:8002"],
        ["--sil", "http://localhost:8002"],
        ["--", "http://localhost:8002"],
        ['http://localhost:8002/x?q=rate(a{b="c"}[5m])'],
    ],
)
def test_curl_may_ask_the_sandbox(curl: Curl, arguments: list[str]) -> None:
    """Known names pass, however they are written, and data is not taken for a URL."""
    assert curl.answer(arguments).refused == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["http://example.com/"], "example.com:80"),
        (["http://localhost:8003/"], "localhost:8003"),
        (["http://localhost/"], "localhost:80"),
        (["http://localhost:8002@evil.example/"], "evil.example:80"),
        (["http://{localhost,evil}:8002/"], "not part of the sandbox"),
        (["http://localhost:8002", "http://evil/"], "evil:80"),
        (["--url", "http://evil/", "http://localhost:8002"], "evil:80"),
        (["file:///etc/passwd"], "not part of the sandbox"),
        (["ftp://localhost:8002/"], "not part of the sandbox"),
        (["http://localhost:99999/"], "not part of the sandbox"),
        (["-x", "http://localhost:8002", "http://localhost:8002"], "past the sandbox"),
        (["--connect-to", "::evil:80", "http://localhost:8002"], "past the sandbox"),
        (["--conn", "::evil:80", "http://localhost:8002"], "past the sandbox"),
        (["-K", "f", "http://localhost:8002"], "past the sandbox"),
        (["-sKf", "http://localhost:8002"], "past the sandbox"),
        (["http://localhost:8002", "-:", "http://localhost:8002"], "past the sandbox"),
        (["--proto", "=file", "http://localhost:8002"], "past the sandbox"),
        (["--expand-url", "x", "http://localhost:8002"], "past the sandbox"),
        (["-o", "/etc/x", "http://localhost:8002"], "outside"),
        (["-o/etc/x", "http://localhost:8002"], "outside"),
        (["-so../x", "http://localhost:8002"], "outside"),
        (["-w", "%output{/etc/x}", "http://localhost:8002"], "may write"),
        (["--no-such", "http://localhost:8002"], "no option"),
        (["-Z", "http://localhost:8002"], "no option"),
        (["--he", "x", "http://localhost:8002"], "no option"),  # --head and --header: curl would not know either
        (["http://localhost:8002", "-o"], "no option"),
    ],
)
def test_curl_refuses_all_else(curl: Curl, arguments: list[str], said: str) -> None:
    """Another host, another way there, and a file outside the scratch folder are refused."""
    answer = curl.answer(arguments)
    assert said in answer.refused
    assert answer.become == ()


def test_curl_knows_its_own_options() -> None:
    """The real curl's help is understood: options that matter are found, with and without a value."""
    real = Path("/usr/bin/curl")
    if not real.exists():
        pytest.skip("this machine has no /usr/bin/curl")
    known: KnownOptions = known_options(real)
    assert {known.short[letter] for letter in "XHdoK:x"} == {
        "request", "header", "data", "output", "config", "next", "proxy",
    }  # fmt: skip
    assert known.takes_value["connect-to"]
    assert known.takes_value["proxy"]
    assert not known.takes_value["silent"]


def test_curl_can_be_missing() -> None:
    """A machine without curl refuses the call: the runbook is not to blame."""
    assert "no curl" in Curl(binary=None, addresses={}, nowhere=9).answer(["x"]).refused


# -- systemctl -----------------------------------------------------------------------------------------------------


def systemctl(sandbox: LocalSandbox, *calls: str) -> Answer:
    tool = Systemctl(sandbox, {"app-generation": Unit("generation")}, directory=Path("/nowhere"))
    answers = [tool.answer(call.split()) for call in calls]
    return answers[-1]


@pytest.mark.parametrize(
    ("calls", "status", "printed", "asked"),
    [
        (["restart app-generation"], 0, "", [("restart", "generation", {})]),
        (["restart app-generation.service"], 0, "", [("restart", "generation", {})]),
        (
            ["set-environment A=1 B=x=y", "restart app-generation"],
            0,
            "",
            [("restart", "generation", {"A": "1", "B": "x=y"})],
        ),
        (
            ["set-environment A=1", "unset-environment A", "restart app-generation"],
            0,
            "",
            [("restart", "generation", {})],
        ),
        (["set-environment A=1", "show-environment"], 0, "A=1\n", []),
        (["set-environment A"], 1, "Invalid environment", []),
        (["stop app-generation"], 0, "", [("stop", "generation", None)]),
        (["start app-generation"], 0, "", []),
        (
            ["stop app-generation", "start app-generation"],
            0,
            "",
            [("stop", "generation", None), ("start", "generation", None)],
        ),
        (["is-active app-generation"], 0, "active\n", []),
        (["is-active -q app-generation"], 0, "", []),
        (["stop app-generation", "is-active app-generation"], 3, "inactive\n", [("stop", "generation", None)]),
        (["is-active nobody"], 3, "inactive\n", []),
        (["status app-generation"], 0, "Active: active (ready)", []),
        (["status nobody"], 4, "could not be found", []),
        (["restart nobody"], 5, "Unit nobody.service not found", []),
        (["restart nobody app-generation"], 5, "not found", [("restart", "generation", {})]),
        (["restart"], 1, "Too few arguments", []),
        (["daemon-reload"], 0, "", []),
        (["daemon-reload app-generation"], 1, "Too many arguments", []),
        (["show -p ActiveState --value app-generation"], 0, "active\n", []),
        (["show --property=MainPID,SubState app-generation"], 0, "MainPID=42\nSubState=ready\n", []),
        (["show nobody -pLoadState"], 0, "LoadState=not-found\n", []),
        (["cat app-generation"], 1, "No files found for app-generation.service", []),
        (["cat"], 1, "Too few arguments", []),
    ],
)
def test_systemctl_acts_on_the_sandbox(
    calls: list[str], status: int, printed: str, asked: list[tuple[str, str, object]]
) -> None:
    """Each verb does to the sandbox what the service manager would do, and answers as it would."""
    sandbox = LocalSandbox()
    answer = systemctl(sandbox, *calls)
    assert (answer.status, answer.refused, sandbox.asked) == (status, "", asked)
    assert printed in answer.out + answer.err


@pytest.mark.parametrize(
    "call",
    [
        "poweroff",
        "-H host restart x",
        "status",
        "",
        "mask app-generation",
        "show",
        "show -a app-generation",
        "set-environment PATH=/x",
        "set-environment A=1 https_proxy=x",
        "edit app-generation",
    ],
)
def test_systemctl_refuses_what_is_this_machines(call: str) -> None:
    """Verbs and options that it does not know are refused."""
    assert systemctl(LocalSandbox(), call).refused


def test_a_setting_that_is_taken_back_goes_with_the_next_start() -> None:
    """What was unset is given back to the topology once, at the service's next start, and not before."""
    sandbox = LocalSandbox()
    restart = "restart app-generation"
    systemctl(sandbox, "set-environment A=1 B=2", restart, "unset-environment A", restart, restart)
    assert [asked for *_, asked in sandbox.asked] == [{"A": "1", "B": "2"}, {"A": None, "B": "2"}, {"B": "2"}]


UNIT = """\
# the one
[Unit]
Description=x

[Service]
ExecStart=serve \\
    --fast
Environment=A=1 "B=two words" C=100%%
Environment=
; and again
Environment=A=unit 'B=two words'
EnvironmentFile=-/etc/app.env
MemoryMax=1G
"""


@pytest.fixture
def unit(tmp_path: Path) -> Unit:
    (tmp_path / "app.service").write_text(UNIT, encoding="utf-8")
    return Unit("generation", file=tmp_path / "app.service", environment_file="app.env")


def test_settings_come_from_where_systemd_takes_them(unit: Unit, tmp_path: Path) -> None:
    """The unit's Environment= wins over the manager's block, the environment file over both; a file that is gone takes
    its settings with it."""
    sandbox = LocalSandbox()
    tool = Systemctl(sandbox, {"app.service": unit}, directory=tmp_path)
    noted = tool.answer(["set-environment", "A=manager", "X=manager", "Y=manager"])
    assert noted.note == "systemctl: Environment= of the unit wins over the manager's A (app)"
    tool.answer(["restart", "app"])
    (tmp_path / "app.env").write_text("# all\nA=file\nX='from file'\nexport Z=1\nno setting\n", encoding="utf-8")
    tool.answer(["restart", "app.service"])
    (tmp_path / "app.env").unlink()
    tool.answer(["stop", "app"])
    tool.answer(["start", "app"])
    assert [asked for verb, _, asked in sandbox.asked if verb == "restart"] == [
        {"X": "manager", "Y": "manager"},
        {"A": "file", "X": "from file", "Y": "manager"},
        {"A": None, "X": "manager", "Y": "manager"},
    ]


def test_an_environment_file_can_not_lead_out_of_the_sandbox(unit: Unit, tmp_path: Path) -> None:
    """A file that sets where programs or servers are found is refused, and nothing is restarted."""
    (tmp_path / "app.env").write_text("LD_PRELOAD=/tmp/x.so\n", encoding="utf-8")
    sandbox = LocalSandbox()
    answer = Systemctl(sandbox, {"app": unit}, directory=tmp_path).answer(["restart", "app"])
    assert "LD_PRELOAD" in answer.refused
    assert sandbox.asked == []


def test_an_environment_file_that_can_not_be_read_fails_the_start(unit: Unit, tmp_path: Path) -> None:
    """As systemd would have it: no start with half of the settings."""
    (tmp_path / "app.env").write_bytes(b"A=\xff\n")
    sandbox = LocalSandbox()
    answer = Systemctl(sandbox, {"app": unit}, directory=tmp_path).answer(["restart", "app"])
    assert (answer.status, sandbox.asked) == (1, [])
    assert "app.env can't be read" in answer.err


def test_a_unit_can_be_looked_at(unit: Unit, tmp_path: Path) -> None:
    """`cat` prints the unit file, `show` what it says and what is known of its service."""
    tool = Systemctl(LocalSandbox(), {"app": unit}, directory=tmp_path)
    assert tool.answer(["cat", "app"]).out == f"# {unit.file}\n{UNIT}"
    shown = tool.answer(["show", "app"]).out.splitlines()
    assert shown[:3] == ["Id=app.service", "LoadState=loaded", "ActiveState=active"]
    assert {"MemoryMax=1G", "Environment=A=unit 'B=two words'", "ExecStart=serve      --fast"} <= set(shown)


def test_a_unit_file_is_read_as_systemd_reads_it(unit: Unit) -> None:
    """An empty value takes back those before it, words are quoted, and each part is found."""
    assert unit.file
    file = read_unit_file(unit.file)
    assert file.environment == {"A": "unit", "B": "two words"}
    assert file.values("Service", "EnvironmentFile") == ("-/etc/app.env",)
    assert file.values("Unit", "Description") == ("x",)
    assert file.values("Install", "WantedBy") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Key=before any section\n", "neither a section"),
        ("[Service]\nnothing\n", "neither a section"),
        ("[Service]\nEnvironment=A B=1\n", "'A' is no assignment"),
        ("[Service]\nEnvironment='A=1\n", "can't be read"),
    ],
)
def test_a_unit_file_that_says_nothing_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """What systemd would skip with a warning is told before anything starts."""
    (tmp_path / "x.service").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        Systemctl(LocalSandbox(), {"x": Unit("generation", file=tmp_path / "x.service")}, directory=tmp_path)


def test_a_unit_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    """A file that is not there is told by name."""
    with pytest.raises(UsageError, match=r"x\.service can't be read"):
        read_unit_file(tmp_path / "x.service")


def test_a_restart_that_does_not_come_back_fails() -> None:
    """A service that is not ready again makes systemctl fail, and say why."""
    sandbox = LocalSandbox()
    sandbox.never_ready.add("generation")
    answer = systemctl(sandbox, "restart app-generation")
    assert answer.status == 1
    assert "did not become ready" in answer.err


# -- redis-cli -----------------------------------------------------------------------------------------------------


@contextmanager
def redis_server(replies: bytes) -> Iterator[tuple[Address, list[bytes]]]:
    """A server that takes one connection and answers each command with the next reply."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)

        def serve() -> None:
            caller, _ = listening.accept()
            with caller:
                caller.settimeout(5)
                heard.append(caller.recv(4096))
                caller.sendall(replies)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Address("127.0.0.1", listening.getsockname()[1], "redis"), heard
        thread.join()


@pytest.mark.parametrize(
    ("replies", "printed"),
    [
        (b"+PONG\r\n", "PONG\n"),
        (b"-ERR syntax error\r\n", "ERR syntax error\n"),
        (b":3\r\n", "3\n"),
        (b"$7\r\n# a\r\nb\n\r\n", "# a\r\nb\n"),
        (b"$-1\r\n", "\n"),
        (b"*2\r\n$1\r\na\r\n:2\r\n", "a\n2\n"),
    ],
)
def test_redis_cli_has_a_stand_in(replies: bytes, printed: str) -> None:
    """Without a redis-cli the stand-in sends the command, prints the reply as redis-cli does, and says so."""
    with redis_server(replies) as (address, heard):
        answer = RedisCli(binary=None, addresses={"localhost:6379": address}).answer(["FLUSHDB", "1"])
    assert answer.out == printed
    assert "stand-in" in answer.note
    assert heard == [b"*2\r\n$7\r\nFLUSHDB\r\n$1\r\n1\r\n"]


def test_the_real_redis_cli_is_led_to_the_sandbox() -> None:
    """Host and port are the sandbox's; the database and the command stay."""
    tool = RedisCli(binary=Path("/r"), addresses={"localhost:6379": Address("127.0.0.1", 7)})
    assert tool.answer(["-n", "1", "-h", "127.0.0.1", "PING"]).become == (
        "/r", "-h", "127.0.0.1", "-p", "7", "-n", "1", "PING",
    )  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [["-h", "prod", "PING"], ["-p", "1", "PING"], ["-u", "redis://prod", "PING"], [], ["--eval", "x"]]
)
def test_redis_cli_refuses_other_servers(arguments: list[str]) -> None:
    """Another server, and options that could lead to one, are refused."""
    assert RedisCli(binary=None, addresses={"localhost:6379": Address("127.0.0.1", 7)}).answer(arguments).refused


def test_a_redis_that_is_gone_is_told_as_redis_cli_would() -> None:
    """No server is an error of the command, under the name that the runbook used."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = Address("127.0.0.1", closed.getsockname()[1])
        answer = RedisCli(binary=None, addresses={"localhost:6379": address}).answer(["PING"])
    assert answer.status == 1
    assert answer.err.startswith("Could not connect to Redis at 127.0.0.1:6379")
    assert answer.refused == ""


# -- the others ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "wait", "saved"),
    [(["300"], 5, 295), (["2m"], 2, 118), (["1h", "30"], 60.5, 3569.5), ([".6s"], 0.01, 0.59)],
)
def test_sleep_is_scaled(arguments: list[str], wait: float, saved: float) -> None:
    """A sleep is divided by the time scale, and what was saved is told."""
    answer = Sleep(Path("/s"), 60).answer(arguments)
    assert answer.wait == pytest.approx(wait)
    assert answer.saved == pytest.approx(saved)
    assert answer.become == ("/s", f"{wait:.6f}")


@pytest.mark.parametrize("arguments", [[], ["x"], ["5x"], ["-1"], ["infinity"]])
def test_sleep_without_a_time_fails(arguments: list[str]) -> None:
    """What is no time makes sleep fail at once."""
    answer = Sleep(Path("/s"), 60).answer(arguments)
    assert (answer.status, answer.become) == (1, ())


def test_nginx_reload_is_its_signal() -> None:
    """`nginx -s reload` is the signal HUP to the sandbox's nginx; anything else is refused."""
    sandbox = LocalSandbox()
    sandbox.texts["nginx"] = "nginx: [emerg] long ago\n"
    assert Nginx(sandbox, "nginx", FakeClock()).answer(["-s", "reload"]) == Answer()
    assert sandbox.asked == [("kill", "nginx", signal.SIGHUP)]
    assert Nginx(sandbox, "nginx", FakeClock()).answer(["-s", "stop"]).refused
    assert Nginx(sandbox, "", FakeClock()).answer(["-s", "reload"]).refused


def test_a_reload_of_a_wrong_configuration_fails() -> None:
    """What the server complains of after the signal is what the call says, and it fails."""
    sandbox, clock = LocalSandbox(), FakeClock()
    sandbox.texts["nginx"] = "started\n"
    line = '2026/11/23 [emerg] 7#7: unknown directive "upstreem" in upstreams.conf:3\n'
    clock.at(clock.now() + 0.1, lambda: sandbox.texts.update(nginx=f"started\n{line}"))
    answer = Nginx(sandbox, "nginx", clock).answer(["-s", "reload"])
    assert (answer.status, answer.err) == (1, f"nginx: {line[11:]}")


@pytest.mark.parametrize(
    ("unsafe", "harmless", "harmful"),
    [
        (unsafe_awk, ['NR==2{printf "%s/%s\\n", $3,$2}'], ['BEGIN{system("x")}']),
        (unsafe_awk, ["-F:", "-v", "a=1", "/^Mem:/{print $3/$2 * 100.0}"], ['{print > "/etc/x"}']),
        (unsafe_awk, ["{print}"], ['{print | "sh"}']),
        (unsafe_awk, ["{print}"], ["-f", "program"]),
        (unsafe_sed, ["-n", "s/i/f/p"], ["-i", "s/a/b/", "x"]),
        (unsafe_sed, ["-nE", "s/a/b/p"], ["-ni.bak", "s/a/b/"]),
        (unsafe_sed, ["--quiet", "p"], ["--in-place", "p"]),
        (unsafe_sort, ["-rn", "-k2"], ["-o", "/etc/x"]),
        (unsafe_sort, ["-u"], ["--compress-program=x"]),
        (unsafe_uniq, ["-c"], ["a", "/etc/x"]),
        (unsafe_date, ["+%s"], ["-s", "yesterday"]),
        (unsafe_date, ["-u", "-d", "now"], ["010203042026"]),
    ],
)
def test_filters_may_not_write(unsafe: object, harmless: list[str], harmful: list[str]) -> None:
    """A filter runs as long as it only reads."""
    assert callable(unsafe)
    assert unsafe(harmless) == ""
    assert unsafe(harmful)


def test_all_else_is_not_there() -> None:
    """A command that the shell does not have is refused by its name, with the status of a missing command."""
    answer = Refuse().answer(["kubectl", "get", "pods"])
    assert answer.refused.startswith("kubectl: not possible here")
    assert answer.status == 127


AB = Ab(binary=Path("/real/ab"), addresses=PLACES)
OURS = Ab(binary=None, addresses=PLACES)


def test_ab_is_led_to_the_sandbox() -> None:
    """The URL says where the server is, the Host header what the runbook calls it; the rest is as written."""
    become = AB.answer(["-n", "1000", "-c10", "http://localhost:8002/health?x=1"]).become
    assert become[:5] == ("/real/ab", "-n", "1000", "-c", "10")
    assert become[5:] == ("-H", "Host: localhost:8002", "http://127.0.0.1:41002/health?x=1")
    named = AB.answer(["-H", "host: shop", "http://127.0.0.1:8002"]).become
    assert named == ("/real/ab", "-H", "host: shop", "http://127.0.0.1:41002/")


def test_our_ab_stands_in_where_there_is_none() -> None:
    """It keeps the URL, which it prints, is told where the server is, and the record says who asked."""
    answer = OURS.answer(["-qn", "100", "http://localhost:8002/health"])
    assert (
        answer.become[-5:]
        == (*("-q", "-n", "100", "--address=127.0.0.1:41002", "--allow=127.0.0.1", "http://localhost:8002/health"),)[
            -5:
        ]
    )
    assert "an equivalent of ours" in answer.note
    assert "ours knows no -k" in OURS.answer(["-k", "http://localhost:8002/"]).refused


@pytest.mark.parametrize("tool", [AB, OURS], ids=["real", "ours"])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["http://example.com/"], "example.com:80 is no address"),
        (["http://localhost:8003/"], "localhost:8003 is no address"),
        (["http://localhost:8002@evil.example/"], "evil.example:80 is no address"),
        (["https://localhost:8002/"], "only http"),
        (["http://api.example.org:443/"], "no address"),  # it speaks TLS
        (["http://localhost:99999/"], "is no URL"),
        (["-n", "10", "http://localhost:8002/", "http://evil/"], "it takes one URL"),
        (["-n", "10"], "it takes one URL"),
        ([], "it takes one URL"),
        (["-X", "evil:80", "http://localhost:8002/"], "past the sandbox"),
        (["-kXevil:80", "http://localhost:8002/"], "past the sandbox"),
        (["-B", "10.0.0.1", "http://localhost:8002/"], "past the sandbox"),
        (["-g", "out", "http://localhost:8002/"], "touch files"),
        (["-qe/etc/x", "http://localhost:8002/"], "touch files"),
        (["-p", "/etc/passwd", "http://localhost:8002/"], "touch files"),
        (["-E", "key", "http://localhost:8002/"], "touch files"),
        (["--help", "http://localhost:8002/"], "past the sandbox"),
        (["-n", "1000000", "http://localhost:8002/"], "1 to 50000"),
        (["-n", "many", "http://localhost:8002/"], "1 to 50000"),
        (["-c", "0", "http://localhost:8002/"], "1 to 500"),
        (["-t", "3600", "http://localhost:8002/"], "1 to 60"),
        (["-n"], "needs a value"),
    ],
)
def test_ab_refuses_all_else(tool: Ab, arguments: list[str], said: str) -> None:
    """Another host, another way there, files, and more than a check needs are refused, however it is written."""
    answer = tool.answer(arguments)
    assert said in answer.refused
    assert answer.become == ()
