"""kubectl's namespace missing: a change in whatever namespace the operator happens to be in."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.lint.finding import Rule, Said
from harness.lint.rules.place import at
from harness.lint.subject import Subject

_CHANGES = ("delete", "scale", "autoscale", "patch", "rollout", "set")
# Kinds that are in no namespace.
_GLOBAL = re.compile(
    r"(?:no|nodes?|pv|persistentvolumes?|ns|namespaces?|project|crds?|customresourcedefinitions?|clusterroles?|csr|"
    r"clusterrolebindings?|storageclass(?:es)?|sc|apiservices?|validatingwebhookconfigurations?|volumeattachments?|"
    r"mutatingwebhookconfigurations?|priorityclass(?:es)?|mcp|machineconfig(?:pool)?s?|etcds?|clusterversion|"
    r"certificatesigningrequests?|consoles?|kubeapiservers?)(?:[./].*)?$",
    re.IGNORECASE,
)


def check(subject: Subject) -> Iterator[Said]:
    chosen = any(
        re.search(
            r"--namespace|config (set-context|use-context)|^kubens$|^project ", " ".join((call.name, *call.texts))
        )
        and (call.name == "kubens" or "config" in call.texts or "project" in call.texts)
        for call in subject.calling("kubectl", "oc", "kubens")
    ) or bool({"kubens"} & {call.name for call in subject.calls})
    for call in subject.calling("kubectl", "oc"):
        verb, *rest = call.plain or ("",)
        named = call.has("-n", "--namespace", "-A", "--all-namespaces", "-f", "--filename", "-k", "--help")
        if chosen or named or verb not in _CHANGES or call.before or (verb == "rollout" and rest[:1] != ["restart"]):
            continue
        kind = rest[1] if verb in ("rollout", "set") and len(rest) > 1 else rest[0] if rest else ""
        if not _GLOBAL.match(kind) and "$" not in kind and not any(text.startswith("$") for text in call.texts):
            yield at(
                call,
                f"`{call.name} {verb}` acts in whatever namespace the operator happens to be in",
                "say which: `-n NAMESPACE`",
                None if verb == "delete" else "note",
            )


RULE = Rule(
    id="kubectl-namespace-missing",
    severity="warning",
    says="kubectl or oc changes something and does not say in which namespace, nor did the runbook choose one. A "
    "warning for `delete`, else a note.",
    bad="```sh\nkubectl delete pod web-0\n```\n",
    good="```sh\nkubectl delete pod web-0 -n shop\n```\n",
    check=check,
)
