"""Interactive command: a program that waits for a person, so that no script can run the line."""

from __future__ import annotations

from collections.abc import Iterator

from harness.lint.finding import Rule, Said
from harness.lint.rules.place import at
from harness.lint.script import Call
from harness.lint.subject import Subject

_ALWAYS = {
    "htop": "`top -b -n1`", "atop": "`top -b -n1`", "glances": "`top -b -n1`", "btop": "`top -b -n1`",
    "iftop": "`sar -n DEV 1 3`", "nethogs": "`sar -n DEV 1 3`", "vim": "`sed -i` or a file to copy",
    "vi": "`sed -i` or a file to copy", "nano": "`sed -i` or a file to copy", "emacs": "`sed -i` or a file to copy",
    "visudo": "a file in /etc/sudoers.d", "k9s": "`kubectl get`", "ncdu": "`du -x`", "nmtui": "`nmcli`",
}  # fmt: skip


def check(subject: Subject) -> Iterator[Said]:
    for call in subject.calls:
        if call.name == "top" and not call.has("-b", "-l", "--help") and (call.pipe or call.subshell):
            yield at(
                call,
                "without -b top draws a screen that never ends; it writes no lines that a pipe could read",
                "`top -b -n1`",
                "warning",
            )
        elif mend := _waits(call):
            yield at(call, f"`{call.name}` waits for a person, so no script can run this line", f"use {mend}")


def _waits(call: Call) -> str:
    """What to write instead of a call that waits for a person; empty where it does not."""
    texts = call.texts
    if call.name == "top" and not call.has("-b", "-l", "-n", "--help", "-h", "-v") and not call.pipe:
        return "`top -b -n1`"
    if call.name in _ALWAYS and not call.pipe and not call.before and not call.has("--help", "--version", "-c", "-es"):
        return _ALWAYS[call.name]
    if call.name in ("kubectl", "oc") and texts[:1] == ("edit",):
        return "`kubectl patch` or `kubectl apply`"
    if call.name == "systemctl" and texts[:1] == ("edit",):
        return "a drop-in file and `systemctl daemon-reload`"
    return "`crontab FILE`" if call.name == "crontab" and call.has("-e") else ""


RULE = Rule(
    id="interactive-command",
    severity="note",
    says="A program that waits for a person. A warning for `top` without `-b` where its output is piped, else a note.",
    bad="```sh\ntop -n1 | grep Cpu\n```\n",
    good="```sh\ntop -b -n1 | grep Cpu\n```\n",
    check=check,
)
