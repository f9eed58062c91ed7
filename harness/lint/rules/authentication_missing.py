"""Authentication missing: a call that has to say who calls, and does not."""

from __future__ import annotations

from collections.abc import Iterator

from harness.lint.finding import Rule, Said
from harness.lint.http import Request
from harness.lint.rules.endpoint_unknown import described
from harness.lint.rules.place import at
from harness.lint.subject import Subject

_MEND = 'send the token: `-H "Authorization: Bearer $TOKEN"`'


def check(subject: Subject) -> Iterator[Said]:
    judged: set[int] = set()
    for call, request, apis in described(subject):
        operations = [one for api in apis for one in api.at(request.path) if one.method == request.method]
        judged.add(id(call))
        if operations and all(one.guarded for one in operations):
            carriers = frozenset(scheme for one in operations for scheme in one.schemes)
            if not _says_who(request, carriers):
                yield at(
                    call, f"{request.method} {request.path} refuses who sends no credentials (401)", _MEND, "error"
                )
    yield from _unlike_the_others(subject, judged)


def _says_who(request: Request, carriers: frozenset[str]) -> bool:
    queries = any(carrier.startswith("?") and f"{carrier[1:]}=" in request.url.lower() for carrier in carriers)
    return request.credentials or queries or bool(request.headers & (carriers | {"authorization", "cookie"}))


def _unlike_the_others(subject: Subject, judged: set[int]) -> Iterator[Said]:
    """Without a description: changes that send no credentials, where another to the same part of the same API does."""
    proved = {_part(request) for _, request in subject.requests if "authorization" in request.headers}
    for call, request in subject.requests:
        changes = request.method in ("POST", "PUT", "PATCH", "DELETE")
        if id(call) not in judged and changes and _part(request) in proved and not _says_who(request, frozenset()):
            yield at(call, _others(request), _MEND)


def _others(request: Request) -> str:
    return f"another call to {'/'.join(_part(request))} sends an Authorization header, and this one none"


def _part(request: Request) -> tuple[str, ...]:
    """The name of the host and the first two parts of the path, where there is a third: `host/api/admin`. Ports do not
    count: the services of one system ask for the same proof."""
    name, parts = request.host.rpartition(":")[0], request.path.strip("/").split("/")
    return (name, *parts[:2]) if name and len(parts) > 2 else (request.url,)


_SENT = 'curl -f -X POST http://localhost:8080/api/admin/cache/fill -H "Authorization: Bearer $TOKEN"'
_BARE = "curl -f -X POST http://localhost:8080/api/admin/cache/clear"

RULE = Rule(
    id="authentication-missing",
    severity="warning",
    says="A call of curl without credentials: an error where a given OpenAPI file asks for some (`--openapi`), a "
    "warning where other calls to the same part of the same API send some.",
    bad=f"`TOKEN` is in the vault.\n\n```sh\n{_SENT}\n{_BARE}\n```\n",
    good=f'`TOKEN` is in the vault.\n\n```sh\n{_SENT}\n{_BARE} -H "Authorization: Bearer $TOKEN"\n```\n',
    check=check,
)
