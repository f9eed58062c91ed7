"""Names, ports and paths are rewritten where they are meant, and nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.sandbox.prepare import Prepared, count_ports, prepare
from harness.sandbox.render import Ground, Rewriter, environment, filled, text_of
from harness.sandbox.topology import read_topology

BOX = Path("/box")
GROUND = Ground(
    ports={("redis", 6379): 21000, ("web", 8000): 22000, ("data", 80): 23000},
    aliases={"redis": "redis", "cache": "redis", "web": "web", "data": "data"},
    folders={name: BOX / name for name in ("redis", "web", "data")},
    mounts={
        "web": {"/data": BOX / "volumes/data", "/etc/web/web.conf": BOX / "files/web.conf", "/data/deep": BOX / "deep"},
        "redis": {},
        "data": {},
    },
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis:6379", "127.0.0.1:21000"),
        ("redis://user:pw@cache:6379/1", "redis://user:pw@127.0.0.1:21000/1"),
        ('{"upstream":"redis:6379"}', '{"upstream":"127.0.0.1:21000"}'),
        ("[redis:6379,web:8000]", "[127.0.0.1:21000,127.0.0.1:22000]"),
        ("listen 0.0.0.0:8000;", "listen 127.0.0.1:22000;"),
        (
            "http://localhost:8000/x 127.0.0.1:8000 [::]:8000",
            "http://127.0.0.1:22000/x 127.0.0.1:22000 127.0.0.1:22000",
        ),
        ("0.0.0.0:9999 10.0.0.0:8000 localhost:1", "0.0.0.0:9999 10.0.0.0:8000 localhost:1"),
        (
            "my-redis:6379 redis.x:6379 x.redis:6379 redis-a:6379",
            "my-redis:6379 redis.x:6379 x.redis:6379 redis-a:6379",
        ),
        ("image: redis:7.4", "image: redis:7.4"),
        ("redis:63790x redis :6379 redis: 6379", "redis:63790x redis :6379 redis: 6379"),
        ("/data", "/box/volumes/data"),
        ("/data/file.db /database /data2 /data-x", "/box/volumes/data/file.db /database /data2 /data-x"),
        ("/data/deep/er", "/box/deep/er"),
        ("sqlite:////data/a.db", "sqlite:////box/volumes/data/a.db"),
        ("sqlite:///data/a.db", "sqlite:///data/a.db"),  # relative, by SQLAlchemy's rule
        ("file:///data/a", "file:///box/volumes/data/a"),
        ("http://data:80/data", "http://127.0.0.1:23000/data"),
        ("/srv/data", "/srv/data"),
        ("-c=/etc/web/web.conf", "-c=/box/files/web.conf"),
        ("/etc/web/web.conf.bak", "/etc/web/web.conf.bak"),
        ('"/data":/data;', '"/box/volumes/data":/box/volumes/data;'),
    ],
)
def test_rewriting(text: str, expected: str) -> None:
    """Whole addresses and whole paths only."""
    rewriter = Rewriter("web", GROUND)
    assert rewriter.rewrite(text, "x") == expected
    assert not rewriter.problems


def test_a_known_service_with_an_unknown_port_is_a_problem() -> None:
    """An address that leads nowhere is said with where it stands, and left as it is."""
    rewriter = Rewriter("web", GROUND)
    assert rewriter.rewrite("redis:1", "PEER") == "redis:1"
    assert rewriter.problems == ["service web: PEER speaks of redis:1, but redis has no port 1 (see `expose`)"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{python} {dir}/data {port:8000}", "py /box/web/data 22000"),
        ("{port:redis:6379} redis:6379", "21000 127.0.0.1:21000"),
        ("127.0.0.1:{port:8000}", "127.0.0.1:22000"),
        ('{"json": {"a": 1}} {unknown} {}', '{"json": {"a": 1}} {unknown} {}'),
    ],
)
def test_placeholders(text: str, expected: str) -> None:
    """Placeholders are filled with what is real, which is not rewritten again; other braces stay."""
    rewriter = Rewriter("web", GROUND)
    assert filled(text, "x", rewriter, "py") == expected
    assert not rewriter.problems


def test_a_bare_host_is_refused_where_a_host_is_meant() -> None:
    """REDIS_HOST=redis can't work when the port moves; the same word elsewhere is only a word."""
    rewriter = Rewriter("web", GROUND)
    assert environment({"REDIS_HOST": "redis", "NAME": "redis"}, rewriter, "py") == {
        "REDIS_HOST": "redis",
        "NAME": "redis",
    }
    assert len(rewriter.problems) == 1
    assert "{port:redis:N}" in rewriter.problems[0]


def test_what_is_text(tmp_path: Path) -> None:
    """Binary files are copied, not rewritten."""
    path = tmp_path / "x"
    for content, text in ((b"redis:6379", True), (b"a\0b", False), (b"\xff\xfe", False), (b"", True)):
        path.write_bytes(content)
        assert (text_of(path) is not None) is text


# -- a whole topology ------------------------------------------------------------------------------------------------


class Found:
    """A part, as found."""

    argv = ("/bin/wrapper", "--as", "redis")
    version = "7.2"
    how = "PATH"


COMPOSE = """
name: shop
services:
  redis:
    expose: [6379]
    x-process: {part: redis, command: ["{part}", --port, "{port:6379}"]}
  web:
    restart: on-failure:3
    stop_signal: INT
    stop_grace_period: 1m30s
    depends_on: {redis: {condition: service_healthy}}
    volumes: [./conf:/etc/web, "./one.txt:/one.txt", "data:/data", /scratch]
    ports: [{target: 8443, app_protocol: https}]
    environment: {CACHE: "redis:6379", SHARED: /data/x}
    x-process: {command: [serve, /etc/web/a.conf], ready: {http: /h, port: 8443}, environment: {SHARED: /scratch/x}}
  proxy:
    expose: [8474, 21001]
    volumes: ["./proxies.json:/proxies.json"]
    x-process: {command: proxy}
  extra: {profiles: [x], image: y}
x-gameday: {toxiproxy: proxy:8474, operations: {units: {shop-web: web}}}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "a shop"
    (folder / "conf/deep").mkdir(parents=True)
    (folder / "conf/a.conf").write_text("cache redis:6379; include /etc/web/deep/b.conf;")
    (folder / "conf/deep/b.conf").write_text("me 0.0.0.0:8443")
    (folder / "conf/logo.png").write_bytes(b"\0redis:6379")
    (folder / "one.txt").write_text("one")
    (folder / "proxies.json").write_text('[{"name": "l", "listen": "0.0.0.0:21001", "upstream": "web:8443"}]')
    (folder / "compose.yml").write_text(COMPOSE)
    return folder


def prepared(shop: Path, **more: object) -> Prepared:
    topology = read_topology(shop / "compose.yml", {})
    services = topology.active
    settings = {"parts": {"redis": Found}, "render": {}, "overrides": {}, **more}
    return prepare(
        topology,
        services,
        folder=BOX,
        logs=shop / "logs",
        ports=range(20001, 20001 + count_ports(services)),
        **settings,  # type: ignore[arg-type]  # a test's table of settings
    )


def test_a_plan_has_everything_resolved(shop: Path) -> None:
    """Part, ports, paths, order, policy, signals and readiness are worked out."""
    plans = {plan.name: plan for plan in prepared(shop).plans}
    assert set(plans) == {"redis", "web", "proxy"}
    assert plans["redis"].argv == ("/bin/wrapper", "--as", "redis", "--port", "20001")
    assert plans["redis"].ready is not None
    assert (plans["redis"].ready.port, plans["redis"].ready.path) == (20001, None)
    web = plans["web"]
    assert web.argv == ("serve", "/box/files/web/etc/web/a.conf")
    assert (web.environment["CACHE"], web.environment["SHARED"]) == (
        "127.0.0.1:20001",
        "/box/volumes/web-scratch/x",
    )
    assert web.after == {"redis": "service_healthy"}
    assert (web.restart, web.stop_signal, web.stop_grace) == ("on-failure:3", 2, 90.0)
    assert web.ready is not None
    assert (web.ready.path, web.ready.tls) == ("/h", True)
    assert web.directory == str(shop)


def test_mounted_files_become_copies(shop: Path) -> None:
    """Text is rewritten, binary files are copied as they are, folders keep their shape."""
    files = dict(prepared(shop).files)
    base = BOX / "files/web/etc/web"
    assert files[base / "a.conf"] == "cache 127.0.0.1:20001; include /box/files/web/etc/web/deep/b.conf;"
    assert files[base / "deep/b.conf"] == "me 127.0.0.1:20002"
    assert files[base / "logo.png"] == (shop / "conf/logo.png")
    assert files[BOX / "files/web/one.txt"] == "one"


def test_the_layout_knows_links_units_and_versions(shop: Path) -> None:
    """Far ends come from the list of proxies as written; units and versions belong to their services."""
    layout = prepared(shop).layout
    assert layout.far_ends == {"l": ("web", 8443, "https")}
    assert layout.units == {"web": "shop-web"}
    assert layout.versions == {"redis": "7.2 (PATH)"}
    assert layout.version_of["redis"] == "7.2 (PATH)"
    address = layout.address("web", 8443)
    assert address is not None
    assert address.url == "https://127.0.0.1:20002"


def test_a_rendered_file_that_nobody_mounts_is_refused(shop: Path) -> None:
    """A file whose times would be scaled without anyone reading it must not pass unsaid."""
    with pytest.raises(UsageError, match=r"other\.yml is to be rendered, but no service mounts it"):
        prepared(shop, render={shop / "other.yml": str})


def test_rendering_comes_before_rewriting(shop: Path) -> None:
    """What `render` writes is rewritten too."""
    files = dict(prepared(shop, render={shop / "one.txt": lambda text: f"{text} redis:6379"}).files)
    assert files[BOX / "files/web/one.txt"] == "one 127.0.0.1:20001"


@pytest.mark.parametrize("proxies", ["{", "{}", "[1]", '[{"name": "x"}]', '[{"name": "x", "upstream": "web"}]'])
def test_a_list_of_proxies_that_is_none_is_a_problem(shop: Path, proxies: str) -> None:
    """A damaged list of proxies is said before anything starts."""
    (shop / "proxies.json").write_text(proxies)
    with pytest.raises(UsageError, match=r"service proxy: .*proxies\.json"):
        prepared(shop)


def test_the_layout_survives_its_file(shop: Path, tmp_path: Path) -> None:
    """A layout is read as it was saved."""
    layout = replace(prepared(shop).layout, folder=tmp_path)
    layout.save()
    assert type(layout).load(tmp_path) == layout


def test_a_plan_survives_json(shop: Path) -> None:
    """A plan crosses the control socket unchanged."""
    for plan in prepared(shop).plans:
        assert type(plan).from_json(json.loads(json.dumps(plan.to_json()))) == plan
