"""redis-cli misused: commands of Redis with what they do not take."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.lint.finding import Rule, Said
from harness.lint.rules.place import at
from harness.lint.script import Call
from harness.lint.subject import Subject
from harness.lint.tools import TOOLS


def check(subject: Subject) -> Iterator[Said]:
    for call in subject.calling("redis-cli", "valkey-cli", spoken=True):
        command, *rest = [word.upper() for word in operands(call)] or [""]
        if command in ("FLUSHDB", "FLUSHALL") and rest and rest[0] not in ("ASYNC", "SYNC") and "$" not in rest[0]:
            number = re.fullmatch(r"\d+", rest[0])
            yield at(
                call,
                f"{command} takes ASYNC or SYNC and nothing else: Redis refuses `{rest[0]}`, and redis-cli ends with 0"
                + ("; it chooses no database" if number else ""),
                f"`redis-cli -n {rest[0]} FLUSHDB` chooses the database" if number else f"write `{command}` alone",
            )
        elif command == "SELECT" and rest and not call.before:
            yield at(
                call,
                "each call of redis-cli is a connection of its own: what the next one does is in database 0 again",
                f"give each command its database: `redis-cli -n {rest[0]} …`",
            )


def operands(call: Call) -> list[str]:
    """The command that redis-cli sends: its words from the first that is neither an option nor the value of one."""
    tool = TOOLS["redis-cli"]
    texts = list(call.texts)
    while texts and texts[0].startswith("-"):
        option = texts.pop(0)
        if tool.takes_value(option) and "=" not in option and texts:
            texts.pop(0)
    return texts


RULE = Rule(
    id="redis-cli-misused",
    severity="error",
    says="A command of Redis with an argument that it does not take, or a SELECT that ends with its own connection.",
    bad="```sh\nredis-cli FLUSHDB 1\n```\n",
    good="```sh\nredis-cli -n 1 FLUSHDB\n```\n",
    check=check,
)
