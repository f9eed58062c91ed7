"""Not idempotent: a line that does more, or fails, when it is run a second time."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.lint.finding import Rule, Said
from harness.lint.rules.place import at
from harness.lint.script import Call
from harness.lint.subject import Subject

_CONFIGURATION = re.compile(
    r"/etc/|.*(?:\.conf|\.cfg|\.ini|\.env|rc|\.ya?ml|\.properties|authorized_keys|profile|crontab)$"
)


def check(subject: Subject) -> Iterator[Said]:
    for call in subject.calls:
        appended = next((one.target for one in call.redirects if one.operator == ">>"), "")
        if call.name == "tee" and call.has("-a", "--append"):
            appended = next(iter(call.plain), "")
        if appended and _CONFIGURATION.match(appended) and not call.judged and not _asked(subject, call, appended):
            yield at(
                call,
                f"each run adds the line to {appended} once more",
                f"a file of its own that is written whole (`>`), or `grep -q … {appended} || …` in front",
            )
        elif call.name in ("kubectl", "oc") and call.plain[:1] == ("create",) and not _once(call):
            yield at(
                call,
                "`create` fails where it was done before",
                "`apply`, or `create --dry-run=client -o yaml | … apply`",
                "note",
            )
        elif call.name in ("iptables", "ip6tables") and call.has("-A", "-I") and not call.judged:
            yield at(call, "each run adds the same rule once more", "ask first: `iptables -C … || iptables -A …`")


def _asked(subject: Subject, call: Call, file: str) -> bool:
    """Whether a line of the same block looks first, or the file is begun anew in it."""
    same = [one for one in subject.calls if one.script is call.script]
    anew = any(one.operator == ">" and one.target == file for other in same for one in other.redirects)
    return anew or any(one.name == "grep" and one.judged and file in one.texts for one in same)


def _once(call: Call) -> bool:
    """What is made under a new name, or only printed; and what is a question."""
    kind = call.plain[1] if len(call.plain) > 1 else ""
    made = kind in ("token", "job") or bool(set(call.pipe) & {"kubectl", "oc"})
    return made or call.judged or any(text.startswith("--dry-run") or text == "--save-config" for text in call.texts)


RULE = Rule(
    id="not-idempotent",
    severity="warning",
    says="A line that does more when it is run again: it appends to a configuration, or adds a rule; as a note, one "
    "that fails then.",
    bad="As root:\n\n```sh\necho 'vm.swappiness = 1' >> /etc/sysctl.conf\n```\n",
    good="As root:\n\n```sh\necho 'vm.swappiness = 1' > /etc/sysctl.d/90-swap.conf\n```\n",
    check=check,
)
