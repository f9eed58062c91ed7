"""curl's failure unseen: HTTP errors are successes to curl without `-f`."""

from __future__ import annotations

from collections.abc import Iterator

from harness.lint.finding import Rule, Said
from harness.lint.http import request_of
from harness.lint.rules.place import at
from harness.lint.script import Call
from harness.lint.subject import Subject

_SHOWS = ("-f", "--fail", "--fail-with-body", "--fail-early", "-w", "--write-out", "-i", "--include", "--show-headers",
          "-I", "--head", "-v", "--verbose", "-D", "--dump-header")  # fmt: skip
_MEND = "give it `-f` (or `--fail-with-body`), so that a status of 400 and more is a failure"


def check(subject: Subject) -> Iterator[Said]:
    for call in subject.calling("curl"):
        request = request_of(call)
        if request is None or call.has(*_SHOWS) or call.wrappers[:1] == ("time",):
            continue
        changes = request.method in ("POST", "PUT", "PATCH", "DELETE")
        if call.judged and not call.pipe:
            yield at(
                call, "a condition looks at curl's exit status, which is 0 for every HTTP answer", _MEND, "warning"
            )
        elif changes and _thrown_away(call):
            yield at(call, "its answer is thrown away, and curl calls every HTTP answer a success", _MEND, "warning")
        elif changes:
            yield at(call, "without -f curl calls a refusal (401, 404, 500) a success", _MEND)


def _thrown_away(call: Call) -> bool:
    silenced = any(r.target == "/dev/null" and r.operator in (">", "&>", ">>", "&>>", ">|") for r in call.redirects)
    return silenced or call.value("-o", "--output") == "/dev/null"


RULE = Rule(
    id="curl-failure-unseen",
    severity="note",
    says="A call of curl that changes something, or that a condition depends on, without `-f`. A warning where nobody "
    "can see the answer, else a note.",
    bad="```sh\ncurl -s http://localhost:8080/health > /dev/null && echo well\n```\n",
    good="```sh\ncurl -sf http://localhost:8080/health > /dev/null && echo well\n```\n",
    check=check,
)
