"""A compose file is read as Compose reads it; what can't be honoured is refused by name, all of it at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.sandbox.prepare import startable
from harness.sandbox.service import Dependency, Mount, Port, Ready
from harness.sandbox.topology import Endpoint, Topology, read_topology

ROOT = Path(__file__).parents[2]


def read(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None) -> Topology:
    path = tmp_path / "compose.yml"
    path.write_text(text)
    return read_topology(path, environ or {})


def problems(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(UsageError) as raised:
        read(tmp_path, text, environ)
    return raised.value.problems


def service(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None) -> Any:
    return read(tmp_path, f"services: {{a: {{image: i, {text}}}}}", environ).services["a"]


def test_the_shipped_file_is_read_whole() -> None:
    """The project's own compose file has its roles, its parts and its time files."""
    topology = read_topology(ROOT / "docker-compose.yml", {"ADMIN_TOKEN": "secret"})
    assert set(topology.roles) == {"entry", "prometheus", "alertmanager", "receiver", "toxiproxy"}
    assert topology.root == ROOT
    assert topology.time.rules
    assert all(path.is_file() for path in topology.time.rules)
    assert all(topology.services[endpoint.service].port(endpoint.port) for endpoint in topology.roles.values())
    assert topology.operations.environment["ADMIN_TOKEN"] == "secret"
    assert len(topology.parts) == 6
    assert any(service.profiles for service in topology.services.values())
    assert not any(service.profiles for service in topology.active)


@pytest.mark.parametrize(
    ("entries", "ports"),
    [
        ('["8000"]', [Port(target=8000)]),
        ("[8000]", [Port(target=8000)]),
        ('["80:8000"]', [Port(target=8000, published=80)]),
        ('["127.0.0.1:80:8000"]', [Port(target=8000, published=80)]),
        ('["127.0.0.1::8000"]', [Port(target=8000)]),
        ('["[::1]:80:8000/tcp"]', [Port(target=8000, published=80)]),
        ('["53:53/udp"]', []),
        ("[22:22]", [Port(target=22, published=22)]),  # base 60 in YAML 1.1
        ('["3000-3002"]', [Port(target=3000), Port(target=3001), Port(target=3002)]),
        ('["90-91:80-81"]', [Port(target=80, published=90), Port(target=81, published=91)]),
        ('["3000-3005:80"]', [Port(target=80)]),
        ("[{target: 80, published: 8080, app_protocol: http}]", [Port(target=80, published=8080, scheme="http")]),
        ('[{target: 80, published: "8080", host_ip: 127.0.0.1}]', [Port(target=80, published=8080)]),
        ("[{target: 80, protocol: udp}]", []),
    ],
)
def test_ports_in_every_spelling(tmp_path: Path, entries: str, ports: list[Port]) -> None:
    """Short and long ports, ranges and addresses come out alike; UDP is left out."""
    assert list(service(tmp_path, f"ports: {entries}").ports) == ports


def test_exposed_ports_count_once(tmp_path: Path) -> None:
    """`expose` adds ports; one that is published as well stays published."""
    found = service(tmp_path, 'expose: ["80-82", 90/tcp], ports: ["8080:80"]').ports
    assert [(port.target, port.published) for port in found] == [(80, 8080), (81, None), (82, None), (90, None)]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("mem_limit: 512m", 512 * 2**20),
        ("mem_limit: 1g", 2**30),
        ("mem_limit: 1.5 GiB", 3 * 2**29),
        ("mem_limit: 64MB", 64 * 2**20),
        ("mem_limit: 300kb", 300 * 2**10),
        ("mem_limit: 1000000", 1_000_000),
        ('mem_limit: "1000000b"', 1_000_000),
        ("mem_limit: 0", None),  # none, as in Compose
        ("deploy: {resources: {limits: {memory: 50M}}}", 50 * 2**20),
        ("mem_limit: 1g, deploy: {resources: {limits: {memory: 50M}}}", 50 * 2**20),
        ("mem_limit: 1g, deploy: {resources: {limits: {cpus: 1}}}", 2**30),
        ("deploy: {replicas: 1}", None),
        ("restart: always", None),
    ],
)
def test_a_memory_limit_in_every_spelling(tmp_path: Path, given: str, found: int | None) -> None:
    """A size in Compose's units, in either place; without one there is no limit."""
    assert service(tmp_path, given).memory == found


@pytest.mark.parametrize("given", ["lots", "-1", "1x", "true", "[1]"])
def test_a_bad_memory_limit_is_a_problem(tmp_path: Path, given: str) -> None:
    """What is no size is said."""
    (said,) = problems(tmp_path, f"services: {{a: {{image: i, mem_limit: {given}}}}}")
    assert "service a: mem_limit" in said


@pytest.mark.parametrize("entry", ['"x"', '"0"', '"70000"', '"9-8"', "[]", '"80:x"', "{target: a}", '"::::"'])
def test_a_bad_port_is_a_problem(tmp_path: Path, entry: str) -> None:
    """What is no port is said, with its service."""
    found = problems(tmp_path, f"services: {{a: {{ports: [{entry}]}}}}")
    assert all("compose.yml can't be used: service a: ports:" in problem for problem in found)


@pytest.mark.parametrize(
    ("entry", "mount"),
    [
        ("data:/d", Mount(kind="volume", inside="/d", volume="data")),
        ("data:/d/:ro", Mount(kind="volume", inside="/d", volume="data", read_only=True)),
        ("/d", Mount(kind="scratch", inside="/d")),
        ("./f.txt:/etc/f:ro,z", Mount(kind="bind", inside="/etc/f", source=Path("f.txt"), read_only=True)),
        ("{type: bind, source: ., target: /d}", Mount(kind="bind", inside="/d", source=Path())),
        ("{type: volume, source: v, target: /d}", Mount(kind="volume", inside="/d", volume="v")),
        ("{type: tmpfs, target: /t}", Mount(kind="scratch", inside="/t")),
    ],
)
def test_volumes_in_every_spelling(tmp_path: Path, entry: str, mount: Mount) -> None:
    """Short and long volumes come out alike; sources are absolute, seen from the file."""
    (found,) = service(tmp_path, f"volumes: [{entry if entry.startswith('{') else repr(entry)}]").mounts
    expected = (tmp_path / mount.source).resolve() if mount.source is not None else None
    assert found == Mount(
        kind=mount.kind, inside=mount.inside, source=expected, volume=mount.volume, read_only=mount.read_only
    )


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("{A: b, N: 1, E: '', HERE: }", {"A": "b", "N": "1", "E": "", "HERE": "x"}),
        ("[A=b=c, E=, HERE, GONE]", {"A": "b=c", "E": "", "HERE": "x"}),
        (
            "{ON: on, NO: no, DATE: 2024-01-01, OCT: 0755}",
            {"ON": "on", "NO": "no", "DATE": "2024-01-01", "OCT": "0755"},
        ),
    ],
)
def test_environment_in_both_spellings(tmp_path: Path, given: str, found: dict[str, str]) -> None:
    """Mappings and lists; a name alone takes the caller's value, if there is one; plain words stay words."""
    assert service(tmp_path, f"environment: {given}", {"HERE": "x"}).environment == found


def test_an_environment_file_comes_first(tmp_path: Path) -> None:
    """`env_file` is read, and `environment` wins over it."""
    (tmp_path / "a.env").write_text("# c\nA='x y'\nexport B=2 # note\n\nC=3\n")
    found = service(tmp_path, "env_file: a.env, environment: {C: 4}").environment
    assert found == {"A": "x y", "B": "2", "C": "4"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A", "1"),
        ("${A}", "1"),
        ("${B:-x}", "x"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${B-x}", "x"),
        ("${A:+yes}", "yes"),
        ("${B+yes}", ""),
        ("${B:-${C:-deep}}", "deep"),
        ("${A:?why}", "1"),
        ("$$A $${A}", "$A ${A}"),
        ("a${A}b${B:-}c", "a1bc"),
        ("100$", "100$"),
        ("${B}", ""),
    ],
)
def test_variables_are_filled_as_compose_fills_them(tmp_path: Path, text: str, value: str) -> None:
    """Every form of a variable, nested defaults and literal dollars."""
    assert service(tmp_path, f"environment: {{V: '{text}'}}", {"A": "1", "EMPTY": ""}).environment == {"V": value}


def test_the_file_beside_it_gives_variables(tmp_path: Path) -> None:
    """`.env` beside the compose file fills variables; the caller's environment comes first."""
    (tmp_path / ".env").write_text("A=file\nB=file\n")
    found = service(tmp_path, "environment: {A: $A, B: $B}", {"A": "caller"}).environment
    assert found == {"A": "caller", "B": "file"}


def test_merge_keys_and_anchors(tmp_path: Path) -> None:
    """Anchors, merge keys and lists of them are resolved; a service's own keys win."""
    text = """
x-one: &one {restart: always, environment: {A: "1"}}
x-two: &two {image: two}
services:
  a: {<<: [*one, *two], restart: "no"}
"""
    found = read(tmp_path, text).services["a"]
    assert (found.image, found.restart, found.environment) == ("two", "no", {"A": "1"})


def test_dependencies_in_both_spellings(tmp_path: Path) -> None:
    """A list means `started`; a mapping says how far."""
    text = """
services:
  a: {depends_on: [b]}
  b: {depends_on: {c: {condition: service_healthy}, gone: {condition: service_started, required: false}}}
  c: {}
"""
    services = read(tmp_path, text).services
    assert services["a"].depends_on == (Dependency(service="b"),)
    assert services["b"].depends_on == (
        Dependency(service="c", condition="service_healthy"),
        Dependency(service="gone", required=False),
    )


def test_a_process_recipe(tmp_path: Path) -> None:
    """`x-process` says how to start a service; a port asked over HTTP speaks HTTP."""
    found = service(
        tmp_path,
        "expose: [80], x-process: {part: redis, command: '{part} --port {port:80}', ready: {http: /h, port: 80},"
        " environment: {A: 1}}",
    )
    assert found.process.command == ("{part}", "--port", "{port:80}")
    assert found.process.ready == Ready(port=80, path="/h")
    assert found.ports == (Port(target=80, scheme="http"),)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("{}", "needs a command"),
        ("[]", "is not a mapping"),
        ("{command: ['{part}']}", "`part` does not say which"),
        ("{command: a, ready: {http: x, port: 80}}", "ready must be"),
        ("{command: a, ready: {tcp: 80, port: 80}}", "ready must be"),
        ("{command: a, ready: {tcp: 81}}", "port 81 of a"),
        ("{command: 'a {port:82}'}", "port 82 of a"),
        ("{command: 'a {port:b:80}'}", "port 80 of b"),
        ("{command: a, oneshot: 1}", "oneshot must be"),
        ("{command: a, comand: b}", "does not have comand"),
        ('{command: "a \'b"}', "can't be split"),
    ],
)
def test_a_bad_recipe_is_a_problem(tmp_path: Path, recipe: str, said: str) -> None:
    """Each mistake in `x-process` is named, with its service."""
    found = problems(tmp_path, f"services: {{a: {{expose: [80], x-process: {recipe}}}}}")
    assert any(": service a:" in problem and said in problem for problem in found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "no compose file"),
        ("services: {a: {x: &x [*x]}}", "no YAML that can be read"),
        ("services: {a: {image: b, image: c}}", "stands twice"),
        ("a: [", "no YAML"),
        ("services: {}", "has no services"),
        ("{}", "has no services"),
        ("services: {a: 3}", "service a: is not a mapping"),
        ("include: [x.yml]\nservices: {a: {}}", "include"),
        ("services: {a: {extends: b}}", "extends"),
        ("services: {a: {depends_on: [b]}}", "depends on b, which is not there"),
        ("services: {a: {depends_on: [a]}}", "a → a"),
        ("services: {a: {depends_on: [b]}, b: {depends_on: [c]}, c: {depends_on: [b]}}", "b → c → b"),
        ("services: {a: {depends_on: {b: {condition: x}}}, b: {}}", "condition 'x'"),
        ("services: {a: {restart: sometimes}}", "restart 'sometimes'"),
        ("services: {a: {stop_grace_period: soon}}", "no duration"),
        ("services: {a: {environment: {A: true}}}", "put quotes around it"),
        ("services: {a: {environment: {A: '${X:?is needed}'}}}", "X is not set: is needed"),
        ("services: {a: {environment: {A: '${X'}}}", "can't read"),
        ("services: {a: {env_file: none.env}}", "none.env can't be read"),
        ("services: {a: {volumes: ['a:b']}}", "must be absolute"),
        ("services: {a: {volumes: ['a:/b:ro:x']}}", "can't be read as"),
        ("services: {a: {volumes: [{type: npipe, target: /x}]}}", "'npipe' is not understood"),
        ("services: {a: {x-process: {command: x}}, b: {}}", "service b: has no x-process"),
        ("services: {a: {}}\nx-gameday: {entry: b:80}", "entry: there is no service 'b'"),
        ("services: {a: {}}\nx-gameday: {entry: a:80}", "service a has no port 80"),
        ("services: {a: {}}\nx-gameday: {entry: a}", "not of the form"),
        ("services: {a: {}}\nx-gameday: {entri: a:80}", "does not have entri"),
        ("services: {a: {}}\nx-gameday: {runbook: gone.md}", "runbook: there is no file"),
        ("services: {a: {}}\nx-gameday: {procedures: [gone.md]}", "procedures: must be a list of mappings"),
        (
            "services: {a: {}}\nx-gameday: {procedures: [{runbook: gone.md, steps: compose.yml}]}",
            "procedures: runbook: there is no file",
        ),
        ("services: {a: {}}\nx-gameday: {time: {rules: [gone.yml]}}", "rules: there is no file"),
        ("services: {a: {}}\nx-gameday: {operations: {units: {u: b}}}", "units u: there is no service 'b'"),
        ("services: {a: {}}\nx-gameday: {operations: {units: {u: {service: b}}}}", "units u: there is no service 'b'"),
        (
            "services: {a: {}}\nx-gameday: {operations: {units: {u: {service: a, fil: x}}}}",
            "units u: does not have fil",
        ),
        (
            "services: {a: {}}\nx-gameday: {operations: {units: {u: {service: a, file: x}}}}",
            "units u: file: there is no",
        ),
        (
            "services: {a: {}}\nx-gameday: {operations: {units: {u: {service: a, environment_file: /etc/x}}}}",
            "units u: environment_file: '/etc/x' is no plain file name",
        ),
        ("services: {a: {}}\nx-gameday: {operations: {files: {x: 'a:/x'}}}", "files x: /x lies in no mount of a"),
        ("services: {a: {}}\nx-gameday: {operations: {files: {../x: 'a:/x'}}}", "'../x' is no plain file name"),
        ("services: {a: {}}\nx-gameday: {operations: {addresses: {x: 'a:1'}}}", "addresses: 'x'"),
        ("services: {a: {}}\nx-gameday: {operations: {ca: 'a:/x'}}", "no mount of a"),
        ("services: {a: {}}\nx-gameday: {operations: {ca: 'b:/x'}}", "not of the form"),
    ],
)
def test_what_can_not_be_used_is_said(tmp_path: Path, text: str, said: str) -> None:
    """Each mistake is one clear sentence, never a traceback of another kind."""
    with pytest.raises(UsageError) as raised:
        read(tmp_path, text)
    assert said in str(raised.value)
    assert "compose.yml" in str(raised.value)


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    """One reading shows every mistake."""
    text = "services: {a: {ports: [x], restart: y, depends_on: [z]}}\nx-gameday: {entry: q:1, steps: none.yml}"
    assert len(problems(tmp_path, text)) == 5


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing or unreadable file is a usage error with a hint."""
    with pytest.raises(UsageError, match=r"can't be read: No such file[\s\S]*hint"):
        read_topology(tmp_path / "none.yml", {})
    with pytest.raises(UsageError, match="can't be read"):
        read_topology(tmp_path, {})
    (tmp_path / "binary.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"binary\.yml is no YAML"):
        read_topology(tmp_path / "binary.yml", {})


STRANGER = """
services:
  web:
    build: .
    ports: ["8080:80"]
    depends_on: [db]
    deploy: {replicas: 3, resources: {limits: {cpus: "0.5"}}}
    networks: {front: {aliases: [shop]}}
  db: {image: "postgres:16", container_name: the-db, network_mode: host, secrets: [pw]}
secrets: {pw: {file: ./pw}}
networks: {front: {}}
"""


def test_a_strangers_file_is_readable_but_says_what_can_not_be_started(tmp_path: Path) -> None:
    """Without x-process the topology is read; starting it as processes names each service and each obstacle."""
    topology = read(tmp_path, STRANGER)
    assert topology.services["web"].aliases == ("shop",)
    assert topology.services["db"].aliases == ("the-db",)
    assert not topology.roles
    with pytest.raises(UsageError) as raised:
        startable(topology, {})
    said = " | ".join(raised.value.problems)
    for expected in ("web: has no x-process", "db: has no x-process", "more than one copy", "network_mode", "secrets"):
        assert expected in said
    with pytest.raises(UsageError, match="does not say which service is the prometheus"):
        topology.role("prometheus")


ENDED = "depends_on: {b: {condition: service_completed_successfully}}"


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ("a: {x-process: {command: '{part}', part: redis}}", "needs the part redis"),
        ("a: {x-process: {command: x}, depends_on: [b]}, b: {profiles: [p]}", "which is in a profile"),
        (
            f"b: {{x-process: {{command: y}}}}, a: {{x-process: {{command: x}}, {ENDED}}}",
            "waits for the end of b",
        ),
        ("a: {x-process: {command: x}, stop_signal: SIGNONE}", "no signal"),
        ("a: {profiles: [p]}", "every service is in a profile"),
    ],
)
def test_what_can_not_be_started_is_said(tmp_path: Path, services: str, said: str) -> None:
    """What only shows when starting is said before anything starts."""
    with pytest.raises(UsageError, match=said):
        startable(read(tmp_path, f"services: {{{services}}}"), {})


@pytest.mark.parametrize(
    ("name", "expected"), [("name: Shop", "shop"), ("name: __x", "x"), ("", "stack-of1"), ("name: '..'", "sandbox")]
)
def test_the_project_name_follows_composes_rule(tmp_path: Path, name: str, expected: str) -> None:
    """The name is the file's, else the folder's, in lower case letters, digits, dashes and underscores."""
    folder = tmp_path / "Stack-of 1"
    folder.mkdir()
    assert read(folder, f"{name}\nservices: {{a: {{}}}}").name == expected


def test_endpoints_print_as_the_file_writes_them() -> None:
    """An endpoint is said as SERVICE:PORT."""
    assert str(Endpoint("nginx", 8080)) == "nginx:8080"


def test_procedures_are_read_in_pairs(tmp_path: Path) -> None:
    """Each is a runbook and its steps, in the order in which they stand; without any there are none."""
    for name in ("a.md", "a.yml", "b.md", "b.yml"):
        (tmp_path / name).touch()
    pairs = "[{runbook: a.md, steps: a.yml}, {runbook: b.md, steps: b.yml}]"
    found = read(tmp_path, f"services: {{a: {{}}}}\nx-gameday: {{procedures: {pairs}}}").procedures
    assert [[path.name for path in pair] for pair in found] == [["a.md", "a.yml"], ["b.md", "b.yml"]]
    assert read(tmp_path, "services: {a: {}}").procedures == ()
