"""Variable unset: a variable that no line of the runbook sets and no word of it lists."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.lint.finding import Rule, Said
from harness.lint.subject import Subject

# What a shell or a login has without anybody's doing.
_THERE = re.compile(
    r"HOME|USER|LOGNAME|PATH|PWD|OLDPWD|HOSTNAME|SHELL|TERM|EDITOR|LANG|LC_\w+|TMPDIR|UID|EUID|PPID|RANDOM|SECONDS|"
    r"LINENO|BASH\w*|FUNCNAME|PIPESTATUS|IFS|OPTARG|OPTIND|REPLY|COLUMNS|LINES|DISPLAY|SSH_\w+|XDG_\w+|SUDO_\w+|HOSTTYPE|"
    r"OSTYPE|MACHTYPE|\d+|EPOCHSECONDS|SRANDOM|GOPATH|GOROOT|JAVA_HOME|KUBECONFIG|VIRTUAL_ENV|_"
)
_IN_SQL = re.compile(r"\$\{([A-Za-z_]\w*)\}")


def check(subject: Subject) -> Iterator[Said]:
    """One finding for each name, at its first place."""
    listed = subject.sets | subject.given.settings | _listed(subject)
    seen: set[str] = set()
    for name, line, column in [*_in_shell(subject), *_in_queries(subject)]:
        if name not in listed and name not in seen and not _THERE.fullmatch(name):
            seen.add(name)
            yield Said(
                line=line,
                column=column,
                why=f"nothing in the runbook sets `{name}` or says what it is: it is empty in the operator's shell",
                mend=f"say in the text where `{name}` comes from, or write `${{{name}:?}}`, which refuses an empty one",
            )


def _in_shell(subject: Subject) -> Iterator[tuple[str, int, int]]:
    for block in subject.blocks:
        if block.script.sure:
            lines = subject.document.lines
            yield from (use for use in block.uses if not _in_template(lines[use[1] - 1], use[2] - 1))


def _in_template(line: str, at: int) -> bool:
    """Whether a place is inside `{{ … }}`: a variable of Go's templates or of Jinja, and none of the shell's."""
    return line.rfind("{{", 0, at) > line.rfind("}}", 0, at)


def _in_queries(subject: Subject) -> Iterator[tuple[str, int, int]]:
    for block in subject.document.blocks:
        if block.kind == "sql":
            for number, text in enumerate(block.text.split("\n"), block.line):
                for found in _IN_SQL.finditer(text):
                    yield found[1], number, subject.document.column(number, found[0])


def _listed(subject: Subject) -> frozenset[str]:
    """What the text speaks of: in inline code, in tables, or as a word of capital letters with an underscore."""
    words = re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", subject.document.prose)
    spoken = {name for span in subject.document.spans for name in re.findall(r"[A-Za-z_]\w*", span.text)}
    other = {
        name
        for block in subject.document.blocks
        if block.kind in ("yaml", "other")
        for name in re.findall(r"^\s*(?:export\s+|set\s+|\$env:)?([A-Za-z_]\w*)\s*[=:]", block.text, re.MULTILINE)
    }
    return frozenset(words) | spoken | other


RULE = Rule(
    id="variable-unset",
    severity="warning",
    says="A variable in a shell or SQL block that no line of the runbook sets, no word of it names and no setting of "
    "the operators (`--compose`) is.",
    bad='```sh\ncurl -f -H "Authorization: Bearer $SHOP_TOKEN" http://localhost:8080/state\n```\n',
    good='`SHOP_TOKEN` is in the vault.\n\n```sh\ncurl -f -H "Authorization: Bearer $SHOP_TOKEN" '
    "http://localhost:8080/state\n```\n",
    check=check,
)
