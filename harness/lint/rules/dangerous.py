"""Dangerous: a line that destroys more than an operator under stress may mean to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from harness.lint.finding import Rule, Said, Severity
from harness.lint.rules.place import at
from harness.lint.rules.redis_cli_misused import operands
from harness.lint.script import Call
from harness.lint.subject import Subject

Verdict = tuple[str, str, Severity] | None
_SHELLS = frozenset({"bash", "sh", "zsh", "python", "python3", "perl", "ruby"})
_SQL_BARE = re.compile(r"\b(DELETE\s+FROM|UPDATE)\s+[\w.\"`]+(?:\s+SET\b[^;]*?)?\s*(?:;|$)", re.IGNORECASE)
_SQL_DROP = re.compile(r"(?<!\w)(DROP\s+(?:TABLE|DATABASE|SCHEMA)|TRUNCATE(?:\s+TABLE)?)\s+[\w.\"`$]+", re.IGNORECASE)


def check(subject: Subject) -> Iterator[Said]:
    for call in subject.calls:
        judge = _BY_NAME.get(call.name)
        found = judge(call) if judge else None
        found = found or _of_any(call)
        if found:
            why, mend, severity = found
            yield at(call, why, mend, severity)
    for block in subject.document.blocks:
        if block.kind == "sql":
            yield from _of_sql(block.text, block.line)
        if re.search(r":\s*\(\)\s*\{\s*:\s*\|\s*:\s*&?\s*\}\s*;\s*:", block.text):
            yield Said(
                line=block.line, why="a fork bomb: it takes the whole machine", mend="take it out", severity="error"
            )


def _of_any(call: Call) -> Verdict:
    disk = next((one.target for one in call.redirects if re.match(r"/dev/(sd|nvme|vd|xvd|hd|mapper/)", one.target)), "")
    if disk:
        return f"it writes over the disk {disk}", "say which disk by its id, and check it before", "error"
    if call.name in ("curl", "wget") and call.pipe[:1] and call.pipe[0] in _SHELLS:
        return (
            "it runs whatever the other side answers, unseen",
            "fetch it into a file, look, compare its checksum",
            "warning",
        )
    return None


def _of_sql(text: str, line: int) -> Iterator[Said]:
    plain = re.sub(r"--[^\n]*", lambda comment: " " * len(comment[0]), text)
    for pattern, why in ((_SQL_DROP, "it can't be taken back"), (_SQL_BARE, "without WHERE it changes every row")):
        for found in pattern.finditer(plain):
            words = " ".join(found[0].split()).rstrip(";")
            at_line = line + plain.count("\n", 0, found.start())
            yield Said(
                line=at_line, why=f"`{words}`: {why}", mend="back it up first; narrow it, and count the rows before"
            )


def _rm(call: Call) -> Verdict:
    if not call.has("-r", "-R", "--recursive"):
        return None
    for word in call.words:
        target = word.text
        if target.startswith("-"):
            continue
        if re.fullmatch(
            r"/|/\*|~/?|/(bin|boot|dev|etc|home|lib|opt|root|sbin|srv|sys|usr|var)/?\*?|\*|\.|\.\.", target
        ):
            return f"`rm -r {target}` removes everything there", "name what is to go", "error"
        if re.match(r"\$\{?\w+\}?/", target) and not word.fixed:
            return f"where the variable is empty, `{target}` is below the root", 'write `"${NAME:?}/…"`', "warning"
        if target.startswith("/") and not re.match(r"/(tmp|var/tmp)/.", target):
            return f"`rm -r {target}` can't be taken back", "move it aside first (`mv`), or take a copy", "warning"
    return None


def _docker(call: Call) -> Verdict:
    if "prune" not in call.plain or call.has("--filter") or call.plain[0] in ("image", "builder", "buildx"):
        return None  # images and caches can be had again
    what = call.plain[0]
    gone = {
        "system": "it deletes every stopped container (with what it wrote, and its logs), unused networks and images",
        "container": "it deletes every stopped container, its logs too",
        "volume": "it deletes the data of every volume that no container uses now",
    }.get(what, f"it deletes every unused {what}")
    return gone, "narrow it (`--filter until=24h`), or remove by name what is known to be of no use", "warning"


def _kubectl(call: Call) -> Verdict:
    if call.plain[:1] != ("delete",):
        return None
    kind = call.plain[1] if len(call.plain) > 1 else ""
    if re.fullmatch(
        r"(ns|namespaces?|project|pvc?|persistentvolume(claim)?s?|crds?|customresourcedefinitions?)(/.+)?", kind
    ):
        return (
            f"deleting a {kind.partition('/')[0]} takes with it what it holds",
            "take a copy first, and say what is lost",
            "warning",
        )
    if call.has("--all"):
        return "`--all` deletes every one there is", "select by name or label", "warning"
    return None


def _redis(call: Call) -> Verdict:
    if [word.upper() for word in operands(call)][:1] == ["FLUSHALL"]:
        return "FLUSHALL empties every database of the server", "`redis-cli -n NUMBER FLUSHDB` empties one", "warning"
    return None


def _kill(call: Call) -> Verdict:
    if call.plain == () and re.search(r"(^| )-1$", " ".join(call.texts)) and len(call.texts) > 1:
        return "`-1` is every process that you may signal", "name the process", "error"
    return None


def _git(call: Call) -> Verdict:
    if call.plain[:1] == ("push",) and call.has("-f", "--force"):
        return "a forced push throws away what others have pushed", "`--force-with-lease`", "warning"
    return None


def _chmod(call: Call) -> Verdict:
    if call.has("-R") and re.fullmatch(r"0?777|a\+rwx|a=rwx", next(iter(call.plain), "")):
        return "everybody may write everything below", "give the one user or group what it needs", "warning"
    return None


def _client_of_sql(call: Call) -> Verdict:
    for text in call.texts:
        drop, bare = _SQL_DROP.search(text), _SQL_BARE.search(text)
        if drop or bare:
            why = "it can't be taken back" if drop else "without WHERE it changes every row"
            found = drop or bare
            assert found is not None
            return (
                f"`{found[0].rstrip(';')}`: {why}",
                "back it up first; narrow it, and count the rows before",
                "warning",
            )
    return None


def _dd(call: Call) -> Verdict:
    disk = next((text for text in call.texts if re.match(r"of=/dev/(?!null|zero|stdout)", text)), "")
    return (f"`dd {disk}` writes over the disk", "check the disk by its id before", "error") if disk else None


def _mkfs(call: Call) -> Verdict:
    return "it makes the disk empty", "check the disk by its id before (`lsblk`, `blkid`)", "error"


def _terraform(call: Call) -> Verdict:
    if call.plain[:1] == ("destroy",):
        return "it destroys everything that the state knows", "`-target`, after a look at the plan", "warning"
    return None


_BY_NAME: dict[str, Callable[[Call], Verdict]] = {
    "rm": _rm, "docker": _docker, "podman": _docker, "kubectl": _kubectl, "oc": _kubectl, "redis-cli": _redis,
    "valkey-cli": _redis, "kill": _kill, "git": _git, "chmod": _chmod, "dd": _dd, "terraform": _terraform,
    **dict.fromkeys(("psql", "mysql", "sqlite3", "mariadb"), _client_of_sql),
    **dict.fromkeys(("mkfs", "mkfs.ext4", "mkfs.xfs", "mkfs.ext3", "mkfs.btrfs", "wipefs"), _mkfs),
}  # fmt: skip

RULE = Rule(
    id="dangerous",
    severity="warning",
    says="A line that destroys more than an operator under stress may mean to: `rm -r`, `prune`, `FLUSHALL`, `DROP "
    "TABLE`, `DELETE` without `WHERE`, `curl | sh`, `kill -9 -1`, a forced push, a disk written over. An error where "
    "nothing is left of a machine.",
    bad="```sh\ndocker system prune -f\n```\n",
    good="```sh\ndocker image prune -f --filter until=240h\n```\n",
    check=check,
)
