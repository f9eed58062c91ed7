"""Switch-off: a rule that is switched off without a reason, or that does not exist."""

from __future__ import annotations

from collections.abc import Iterator

from harness.lint.finding import Rule, Said
from harness.lint.subject import Subject


def check(subject: Subject) -> Iterator[Said]:
    from harness.lint.rules import BY_ID  # this rule is one of them

    for off in subject.document.offs:
        if off.rule not in BY_ID:
            what = f"there is no rule `{off.rule}`" if off.rule else "it names no rule"
            yield Said(line=off.line, why=f"{what}, so nothing is switched off", mend="`gameday: off RULE reason`")
        elif not off.reason:
            yield Said(
                line=off.line,
                why=f"`{off.rule}` is switched off without a reason, so it stays on",
                mend=f"say why: `gameday: off {off.rule} reason`",
            )


RULE = Rule(
    id="switch-off",
    severity="warning",
    says="A comment that switches off a rule without a reason, or one that does not exist. It can't be switched off.",
    bad="<!-- gameday: off dangerous -->\n```sh\ndocker image prune -f\n```\n",
    good="<!-- gameday: off dangerous the images are on the mirror -->\n```sh\ndocker image prune -f\n```\n",
    check=check,
)
