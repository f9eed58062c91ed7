"""Unknown command: a name one slip away from a well-known program or one of its verbs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.lint.finding import Rule, Said
from harness.lint.rules.place import at
from harness.lint.subject import Subject
from harness.lint.tools import KNOWN, TOOLS, WRONG_NAMES, near

# Before the verb; those with a value of their own are followed by one more word.
_TAKING = frozenset({"-n", "--namespace", "--context", "--kubeconfig", "--cluster", "-H", "--host", "-C", "-c", "-M",
                     "--machine", "-s", "--server", "--kube-context", "--user", "--as", "-f", "--project", "-p",
                     "--token", "-t", "--type", "-u", "-l", "--log-level", "--config"})  # fmt: skip


def check(subject: Subject) -> Iterator[Said]:
    for call in subject.calls:
        if call.name in subject.defines or not _NAME.fullmatch(call.name) or not call.script.sure:
            continue
        meant = WRONG_NAMES.get(call.name) or ("" if call.name in KNOWN else near(call.name, _LONG))
        if meant:
            yield at(call, f"there is no program `{call.name}`; `{meant}` is one slip away", f"write `{meant}`")
        verbs = TOOLS[call.name].verbs if call.name in TOOLS else frozenset()
        verb = _verb(call.texts)
        if verbs and verb and (known := near(verb, verbs)):
            yield at(call, f"`{call.name}` has no verb `{verb}`; `{known}` is one slip away", f"write `{known}`")


_NAME = re.compile(r"[a-z][a-z0-9._-]*[a-z0-9]")
# Short names are near too much: `gip` may be anything.
_LONG = frozenset(name for name in KNOWN if len(name) >= 6)


def _verb(texts: tuple[str, ...]) -> str:
    skip = False
    for text in texts:
        if skip or text.startswith("-"):
            skip = not skip and text in _TAKING
        else:
            return text
    return ""


RULE = Rule(
    id="unknown-command",
    severity="error",
    says="A name one slip away from a well-known program, or a verb one slip away from one of its verbs.",
    bad="```sh\nsystemctl restrat web\n```\n",
    good="```sh\nsystemctl restart web\n```\n",
    check=check,
)
