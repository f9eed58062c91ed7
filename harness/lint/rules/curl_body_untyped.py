"""curl's body untyped: JSON that curl sends as a form, because nobody says that it is JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.lint.finding import Rule, Said
from harness.lint.http import request_of
from harness.lint.rules.place import at
from harness.lint.subject import Subject


def check(subject: Subject) -> Iterator[Said]:
    for call in subject.calling("curl"):
        request = request_of(call)
        if request is None or request.body is None or request.method == "GET":
            continue
        spread = any(text.startswith(("$", "${")) for text in call.texts if text != request.url)
        if re.match(r'\s*[{\[]\s*["\]}{[]', request.body) and "content-type" not in request.headers and not spread:
            yield at(
                call,
                "it sends JSON as `application/x-www-form-urlencoded`, which many services refuse or read as a form",
                'add `-H "Content-Type: application/json"`, or send it by `--json`',
            )


RULE = Rule(
    id="curl-body-untyped",
    severity="warning",
    says="curl sends JSON without saying so: `-d` alone says that it is a form.",
    bad="```sh\ncurl -f http://localhost:8080/limit -d '{\"rate\": 100}'\n```\n",
    good="```sh\ncurl -f --json '{\"rate\": 100}' http://localhost:8080/limit\n```\n",
    check=check,
)
