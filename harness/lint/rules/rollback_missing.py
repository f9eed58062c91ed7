"""Rollback missing: a change that no line of the runbook takes back."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.lint.finding import Rule, Said
from harness.lint.http import Request, request_of
from harness.lint.rules.place import at
from harness.lint.rules.setting_lost import is_lost, never_read
from harness.lint.script import Call
from harness.lint.subject import Subject

# What changes a system until somebody changes it back, and what does that; of a whole command as one line. `{0}` is
# what the first expression has in parentheses.
_COMMANDS = (
    (r"(?:kubectl|oc)(?: adm)? (?:cordon|drain)\b.*", r"(?:kubectl|oc)(?: adm)? uncordon\b.*"),
    (
        r"(?:kubectl|oc) scale\b.*--replicas[= ]0\b.*",
        r"(?:kubectl|oc) (?:scale\b.*--replicas[= ](?!0\b)|rollout|apply|set).*",
    ),
    (r"(?:kubectl|oc) autoscale (\S+).*", r"(?:kubectl|oc) delete (?:hpa|horizontalpodautoscaler).*"),
    (
        r"systemctl (?:--\w+ )*(?:stop|disable|mask)\b.*",
        r"systemctl (?:--\S+ )*(?:start|restart|enable|unmask|reload-or-restart)\b.*",
    ),
    (r"systemctl set-environment (\w+)=.*", r"systemctl unset-environment.*\b{0}\b.*"),
    (r"service \S+ stop", r"service \S+ (?:re)?start"),
    (r"(?:redis|valkey)-cli\b.* CONFIG SET (\S+) .*", r"(?:redis|valkey)-cli\b.* CONFIG SET {0} .*"),
    (r"swapoff\b.*", r"swapon\b.*"),
    (r"ip6?tables\b.* -[AI] .*", r"ip6?tables(?:-restore)?\b.*(?: -[DF]\b| <|restore).*"),
    (r"ceph osd set (\S+)", r"ceph osd unset {0}"),
    (r"docker service scale (\S+)=\d+", r"docker service (?:scale {0}=\d+|rollback.*|update.*--replicas.*)"),
)
# The last part of an admin call's path that switches something, and of one that switches it back.
_ON = re.compile(
    r"(?:enable|on|pause|suspend|freeze|block|drain|disable|off|resize|scale|auto-?scale|emergency|throttle|shed|"
    r"maintenance|lock|read-?only)(?:[-_].*)?"
)
_BACK = re.compile(
    r"(?:disable|off|resume|unpause|unfreeze|unblock|undrain|enable|on|restore|reset|default|unlock|normal|release|"
    r"clear|rollback|revert|undo)(?:[-_].*)?|.*-(?:off|default|normal)"
)
_ENDS = re.compile(r"duration|ttl|expir|minutes|seconds|until", re.IGNORECASE)
_HEADING = re.compile(
    r"roll(?:ing)?[- ]?back|revert|undo|back to normal|restor\w+ (?:the )?(?:default|original|previous|normal)|"
    r"zurücksetz|rückgängig|retour à la normale|annuler|revertir|deshacer|откат|롤백|원상|되돌리|回滚|"
    r"ロールバック|切り戻し",
    re.IGNORECASE,
)


def check(subject: Subject) -> Iterator[Said]:
    if _told(subject):
        return
    lines = [_line(call) for call in (*subject.calls, *subject.spoken)]
    for call in subject.calls:
        line = _line(call)
        for change, back in _COMMANDS:
            found = re.fullmatch(change, line, re.IGNORECASE)
            wanted = back.format(*map(re.escape, found.groups())) if found and found.groups() else back
            if found and not any(other != line and re.fullmatch(wanted, other, re.IGNORECASE) for other in lines):
                yield _said(call, f"`{_short(line)}`")
        if call.name == "curl" and (request := request_of(call)) and _stays(subject, request):
            yield _said(call, f"`{request.method} {request.path}`")
        if call.name == "export" and (name := _never_again(subject, call)):
            yield _said(call, f"`{name}`")


def _told(subject: Subject) -> bool:
    """Whether the way back is told in words: a section of that name which has no commands to look at."""
    for number, heading in enumerate(subject.document.headings):
        below = [one.line for one in subject.document.headings[number + 1 :] if one.level <= heading.level]
        end = below[0] if below else len(subject.document.lines) + 1
        if _HEADING.search(heading.title) and heading.level > 1:
            said = any(line.strip() for line in subject.document.lines[heading.line : end - 1])
            if said and not any(heading.line < call.line < end for call in subject.calls):
                return True
    return False


def _line(call: Call) -> str:
    return " ".join((call.name, *call.texts))


def _short(line: str) -> str:
    return line if len(line) <= 60 else f"{line[:57]}…"


def _said(call: Call, what: str) -> Said:
    return at(
        call,
        f"no line of the runbook takes {what} back, nor says what it was before",
        "write down what it was, and the line that puts it back, in a section of its own",
    )


def _stays(subject: Subject, request: Request) -> bool:
    """Whether an admin call switches something that no other call switches back."""
    parent, _, last = request.path.rstrip("/").rpartition("/")
    if request.method not in ("POST", "PUT", "PATCH") or not _ON.fullmatch(last) or _ENDS.search(request.body or ""):
        return False
    for _, other in subject.requests:
        if other == request:
            continue
        above, _, end = other.path.rstrip("/").rpartition("/")
        same = other.path.rstrip("/") == request.path.rstrip("/")
        if same and (other.method == "DELETE" or other.body != request.body):
            return False
        if (parent == above or parent.startswith(f"{above}/")) and end != last and _BACK.fullmatch(end):
            return False
    return True


def _never_again(subject: Subject, call: Call) -> str:
    """A setting of a service that this export is to change and that no other line sets or unsets; empty where there is
    none."""
    if not is_lost(subject, call):
        return ""
    for name in never_read(subject, call):
        again = [
            one
            for one in subject.calling("export", "unset", "systemctl")
            if one != call and any(re.match(rf"{name}(=|$)", text) for text in one.texts)
        ]
        if not again:
            return name
    return ""


RULE = Rule(
    id="rollback-missing",
    severity="warning",
    says="A change that lasts (a limit, a switch, a setting, a node that is drained) and that no line of the runbook "
    "takes back. Silent where a section tells the way back in words alone.",
    bad="```sh\nredis-cli CONFIG SET maxmemory 512mb\n```\n",
    good="```sh\nredis-cli CONFIG SET maxmemory 512mb\n```\n\n"
    "## Back to normal\n\n```sh\nredis-cli CONFIG SET maxmemory 0\n```\n",
    check=check,
)
