"""Needs root: a line that only root can do, in a runbook that says nothing of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.lint.finding import Rule, Said
from harness.lint.rules.place import at
from harness.lint.script import Call
from harness.lint.subject import Subject

_WRITES = frozenset({">", ">>", "&>", "&>>", ">|"})


def check(subject: Subject) -> Iterator[Said]:
    for call in subject.calls:
        systems = next((one.target for one in call.redirects if one.operator in _WRITES and _of_root(one.target)), "")
        if systems and "sudo" in call.wrappers:
            yield at(
                call,
                f"sudo does not reach the redirection: your own shell opens {systems}, and may not",
                f"`… | sudo tee -a {systems}`",
                "warning",
            )
        elif not _has_root(subject, call) and (systems or _changes_kernel(call)):
            what = f"writes {systems}" if systems else f"`{call.name} {' '.join(call.texts)}` changes the kernel"
            yield at(call, f"{what}, which only root can do; nothing in the runbook says so", "say so, or write `sudo`")


def _of_root(path: str) -> bool:
    return re.match(r"/(etc|proc/sys|sys|usr|boot|lib|root)/", path) is not None


def _changes_kernel(call: Call) -> bool:
    return call.name == "sysctl" and (
        call.has("-p", "-w", "--system", "--write", "--load") or "=" in " ".join(call.plain)
    )


def _has_root(subject: Subject, call: Call) -> bool:
    """Whether the reader is root, as far as the runbook says."""
    typed = subject.document.lines[call.line - 1] if call.line <= len(subject.document.lines) else ""
    said = re.search(
        r"\bas root\b|\broot (?:user|access|privilege|shell|rights)|\bsudo\b|root 권한|관리자 권한|管理者権限|特権",
        subject.document.prose,
    )
    return (
        bool({"sudo", "doas"} & set(call.wrappers))
        or said is not None
        or re.match(r"\s*(\S*@\S+\s?)?#\s", typed) is not None
    )


RULE = Rule(
    id="needs-root",
    severity="note",
    says="A line that only root can do, where the runbook does not speak of it; a warning where `sudo` stands in front "
    "of a redirection that it does not reach.",
    bad="```sh\nsudo echo 'vm.swappiness = 1' > /etc/sysctl.d/swap.conf\n```\n",
    good="```sh\necho 'vm.swappiness = 1' | sudo tee /etc/sysctl.d/swap.conf\n```\n",
    check=check,
)
