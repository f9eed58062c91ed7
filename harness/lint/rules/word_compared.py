"""Word compared: a test that takes a word for a number."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.lint.finding import Rule, Said
from harness.lint.rules.place import at
from harness.lint.subject import Subject

_NUMERIC = frozenset({"-eq", "-ne", "-gt", "-ge", "-lt", "-le"})
_WORD = re.compile(r"[A-Za-z_][\w.-]*%?")


def check(subject: Subject) -> Iterator[Said]:
    for block in subject.blocks:
        tests = list(block.tests) + [call.words for call in block.calls if call.name in ("test", "[")]
        for words in tests:
            double = words[0].text == "[[" if words else False
            for place, operator in enumerate(words):
                if operator.text not in _NUMERIC or not 0 < place < len(words) - 1:
                    continue
                for word in (words[place - 1], words[place + 1]):
                    # In [[ ]] a bare word is arithmetic: the value of the variable of that name.
                    known = double and word.text in subject.sets | subject.given.settings
                    if word.fixed and _WORD.fullmatch(word.text) and not known:
                        yield at(
                            word,
                            f"`{word.text}` is a word and no number: the condition never holds, whatever the value is",
                            f'write `"${word.text.rstrip("%")}"`, and set it before',
                        )


RULE = Rule(
    id="word-compared",
    severity="error",
    says="A numeric comparison with a word that lacks its `$`, or that nobody replaced by a number.",
    bad="```sh\nif [ CPU_USAGE -gt 80 ]; then systemctl restart web; fi\n```\n",
    good='```sh\nCPU_USAGE=$(cat usage)\nif [ "$CPU_USAGE" -gt 80 ]; then systemctl restart web; fi\n```\n',
    check=check,
)
