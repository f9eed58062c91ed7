"""Setting lost: a variable that can't reach the process it is meant for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.lint.finding import Rule, Said
from harness.lint.rules.place import at
from harness.lint.script import Call
from harness.lint.subject import Subject
from harness.lint.tools import SILENT, TOOLS

_MANAGER = "`systemctl set-environment {0}=…` and a restart, or the service's environment file"
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL")  # the operator's own proof, read by who knows what
# Variables that programs on the operator's own machine look at.
_OPERATORS = ("AWS_", "AZURE_", "GOOGLE_", "GCP_", "CLOUDSDK_", "PG", "MYSQL_", "KUBE", "DOCKER_", "HELM_", "VAULT_",
              "CONSUL_", "NOMAD_", "TF_", "GIT_", "SSH_", "HTTP", "http", "NO_PROXY", "ETCDCTL_", "LC_", "LANG", "PATH",
              "EDITOR", "PAGER", "TERM", "HIST", "PS1", "GO", "PYTHON", "NODE_", "JAVA_", "ARGOCD_", "TALOS", "RESTIC_",
              "REDISCLI_", "CEPH_", "OS_", "ANSIBLE_", "SYSTEMD_", "CURL_", "SSL_", "GREP_", "LD_", "XDG_", "TZ",
              "DEBIAN_", "BASH_", "PROMPT")  # fmt: skip


def check(subject: Subject) -> Iterator[Said]:
    calls = [call for call in subject.calls if call.script.dialect != "zsh"]
    for number, call in enumerate(calls):
        if call.assigns and call.wrappers[:1] in (("sudo",), ("doas",)) and not call.has("-E"):
            name = call.assigns[0]
            yield at(
                call,
                f"sudo begins with an environment of its own: `{name}` in front of it does not get through",
                f"`sudo env {name}=… {call.name}`",
            )
        elif call.name == "export":
            yield from _of_export(subject, call, calls[number + 1 :])


def _of_export(subject: Subject, call: Call, later: Sequence[Call]) -> Iterator[Said]:
    lost = never_read(subject, call)
    if not lost:
        return
    name = lost[0]
    restart = _restart(call, later)
    if restart:
        why = f"a service manager starts the service in an environment of its own: `{name}` does not reach it"
        yield at(call, why, _MANAGER.format(name))
    elif all(_reads_nothing(one, name) for one in subject.calls):
        yield at(
            call,
            f"an export reaches what this shell starts later, and no line starts anything that reads `{name}`; "
            "a service that runs already is not changed",
            _MANAGER.format(name),
        )


def never_read(subject: Subject, call: Call) -> list[str]:
    """The variables of an export that no line of the runbook expands and no program of the operators' own looks at."""
    names = [text.partition("=")[0] for text in call.plain if "=" in text]
    return [
        name
        for name in names
        if name not in subject.uses and not name.startswith(_OPERATORS) and not _SECRET.search(name)
    ]


def is_lost(subject: Subject, call: Call) -> bool:
    """Whether this rule speaks of `call`."""
    later = [one for one in subject.calls if (one.line, one.column) > (call.line, call.column)]
    return any(_of_export(subject, call, later))


def _restart(call: Call, later: Sequence[Call]) -> bool:
    """Whether what follows in the same block hands over to a service manager before anything could read a variable."""
    for one in later:
        if one.script is not call.script:
            return False
        texts = " ".join(one.texts)
        if one.name in ("systemctl", "service", "supervisorctl", "rc-service") and "start" in texts:
            return not {"import-environment", "set-environment"} & set(one.texts)
        if one.name == "systemctl" and "import-environment" in texts:
            return False
        if one.name not in SILENT:
            return False
    return False


def _reads_nothing(call: Call, name: str) -> bool:
    if call.name == "systemctl" and "import-environment" in call.texts:
        return False
    tool = TOOLS.get(call.name)
    reads = tool is not None and any(name.startswith(prefix) for prefix in tool.reads)
    compose = call.name == "docker" and "compose" in call.texts
    return call.name in SILENT and not reads and not compose and "env" not in call.wrappers


RULE = Rule(
    id="setting-lost",
    severity="warning",
    says="A variable that can't reach the process it is meant for: exported in front of `systemctl restart`, or of "
    "nothing that could read it; or set in front of `sudo`.",
    bad="```sh\nexport MAX_JOBS=10\nsystemctl restart web\n```\n",
    good="```sh\nsystemctl set-environment MAX_JOBS=10\nsystemctl restart web\n```\n",
    check=check,
)
