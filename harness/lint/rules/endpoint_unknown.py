"""Endpoint unknown: an HTTP call that a given OpenAPI file does not have."""

from __future__ import annotations

from collections.abc import Iterator

from harness.lint.finding import Rule, Said
from harness.lint.given import Api
from harness.lint.http import Request, request_of
from harness.lint.rules.place import at
from harness.lint.script import Call
from harness.lint.subject import Subject


def check(subject: Subject) -> Iterator[Said]:
    for call, request, apis in described(subject):
        found = [operation for api in apis for operation in api.at(request.path)]
        methods = sorted({operation.method for operation in found})
        names = ", ".join(api.file for api in apis)
        if not found:
            yield at(call, f"{names} has no {request.path}", "correct the path")
        elif request.method not in methods and not (request.method == "HEAD" and "GET" in methods):
            yield at(
                call, f"{names} has no {request.method} {request.path}, but {', '.join(methods)}", f"`-X {methods[0]}`"
            )


def described(subject: Subject) -> Iterator[tuple[Call, Request, list[Api]]]:
    """The calls of curl to hosts that a given file describes, with what they ask for.

    A host is one where the file or the option says so; else where a call of the runbook fits: a path of two parts or
    more, so that `/health`, which everybody has, decides nothing.
    """
    calls = [(call, request) for call in subject.calling("curl", spoken=True) if (request := request_of(call))]
    for call, request in calls:
        apis = [api for api in subject.given.apis if request.host in api.hosts]
        if not apis:
            counts = [
                (sum(_fits(api, other) for _, other in calls if other.host == request.host), api)
                for api in subject.given.apis
                if not api.hosts
            ]
            most = max((count for count, _ in counts), default=0)
            apis = [api for count, api in counts if count == most and most]
        if apis and request.host and request.path:
            yield call, request, apis


def _fits(api: Api, request: Request) -> bool:
    return request.path.strip("/").count("/") >= 1 and bool(api.at(request.path))


RULE = Rule(
    id="endpoint-unknown",
    severity="error",
    needs="--openapi",
    says="A call of curl whose method and path are not in the OpenAPI file that describes its host.",
    bad="```sh\ncurl -f http://localhost:8080/admin/pools\n```\n",
    good="```sh\ncurl -f http://localhost:8080/admin/pool\n```\n",
    check=check,
)
