"""find acts first: `-delete` in front of the tests that should have narrowed it."""

from __future__ import annotations

from collections.abc import Iterator

from harness.lint.finding import Rule, Said
from harness.lint.rules.place import at
from harness.lint.subject import Subject

_TESTS = ("-name", "-iname", "-path", "-mtime", "-mmin", "-atime", "-ctime", "-type", "-size", "-user", "-empty",
          "-regex", "-newer", "-perm", "-older")  # fmt: skip


def check(subject: Subject) -> Iterator[Said]:
    for call in subject.calling("find", spoken=True):
        texts = call.texts
        if "-delete" in texts:
            behind = [text for text in texts[texts.index("-delete") + 1 :] if text in _TESTS]
            if behind and "-o" not in texts:
                yield at(
                    call,
                    f"find goes from left to right: `-delete` acts on everything before `{behind[0]}` is asked",
                    "put `-delete` last",
                )


RULE = Rule(
    id="find-acts-first",
    severity="error",
    says="`find … -delete` in front of the tests that should have narrowed it: it deletes everything.",
    bad="```sh\nfind /var/tmp/app -delete -mtime +7\n```\n",
    good="```sh\nfind /var/tmp/app -mtime +7 -delete\n```\n",
    check=check,
)
