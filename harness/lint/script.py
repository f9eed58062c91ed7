"""Script: shell text as calls of programs, found by the grammar of tree-sitter-bash.

A call that the grammar could not make sense of is left out: rules judge what is understood, and are silent of the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from harness.lint.shells import Script

# `<pod>` would be read as a redirection. It is kept from the grammar, byte by byte, so that places stay what they are.
PLACEHOLDER = re.compile(r"(?<![<\\?(=\w])<(?!/)([^\W\d_][\w .:/|'-]{0,60}[\w.]|[^\W\d_])>(?![=>(\w])")
_WRAPPERS = frozenset({"sudo", "doas", "time", "nohup", "exec", "command", "nice", "ionice", "env", "timeout", "watch",
                       "xargs", "stdbuf", "setsid", "builtin"})  # fmt: skip
_WITH_VALUE = {
    "sudo": "ugpCDRTUrth", "doas": "uC", "nice": "n", "ionice": "cnp", "timeout": "sk", "watch": "n",
    "xargs": "aEIdLnPs", "env": "uCS", "stdbuf": "ioe",
}  # fmt: skip
_NESTING = frozenset({"if_statement", "while_statement", "for_statement", "c_style_for_statement", "case_statement",
                      "function_definition", "list"})  # fmt: skip
_DEEPEST = 150  # no line of a runbook is so deep, and Python's own stack is not endless
_CONDITIONS = {"if_statement": "condition", "elif_clause": "condition", "while_statement": "condition"}


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command. `text` is without its quotes, expansions verbatim; `fixed` says that it has none, and
    `quoted` that it began with a quote."""

    text: str
    line: int
    column: int
    fixed: bool = True
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Redirect:
    """`operator` as in `>>`, `target` empty for what is no file."""

    operator: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a program, builtin or function. `name` is without its folder, `words` what stands behind it.

    `wrappers` are the programs in front of it (sudo, time), `assigns` the variables set for it alone, `pipe` the names
    of the calls behind it in its pipeline, `before` those in front. `judged` says that a condition, `&&` or `||` looks
    at its exit status, `subshell` that it runs in one, `nested` that it may run never or often; `statement` counts the
    statements of the script.
    """

    name: str
    words: tuple[Word, ...]
    line: int
    column: int
    script: Script
    wrappers: tuple[str, ...] = ()
    assigns: tuple[str, ...] = ()
    redirects: tuple[Redirect, ...] = ()
    pipe: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    judged: bool = False
    subshell: bool = False
    nested: bool = False
    statement: int = 0

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.words)

    @property
    def plain(self) -> tuple[str, ...]:
        """Its words that are no options."""
        return tuple(text for text in self.texts if not text.startswith("-"))

    def has(self, *options: str) -> bool:
        """Whether one of `options` is given: `-f`, also within `-sf`, or `--fail`, also as `--fail=…`."""
        for text in self.texts:
            if text == "--":
                return False
            for option in options:
                if text == option or (option.startswith("--") and text.startswith(f"{option}=")):
                    return True
                if len(option) == 2 and re.match(r"-[A-Za-z0-9]+$", text) and option[1] in text[1:]:
                    return True
        return False

    def value(self, *options: str) -> str | None:
        """What one of `options` is set to, as `-X POST`, `-XPOST`, `--request POST` or `--request=POST`."""
        return next(self.values(*options), None)

    def values(self, *options: str) -> Iterator[str]:
        texts = self.texts
        for at, text in enumerate(texts):
            for option in options:
                if text == option and at + 1 < len(texts):
                    yield texts[at + 1]
                elif option.startswith("--") and text.startswith(f"{option}="):
                    yield text.partition("=")[2]
                elif len(option) == 2 and text.startswith(option) and len(text) > 2:
                    yield text[2:]
                elif len(option) == 2 and re.fullmatch(rf"-[a-zA-Z]+{option[1]}", text) and at + 1 < len(texts):
                    yield texts[at + 1]


@dataclass(slots=True)
class Parsed:
    """What the grammar makes of a script. `uses` are its expansions without a default, as (name, line, column); `sets`
    the variables that it gives a value to, `defines` its functions and aliases; `errors` where it makes no sense."""

    script: Script
    calls: list[Call] = field(default_factory=list)
    uses: list[tuple[str, int, int]] = field(default_factory=list)
    sets: set[str] = field(default_factory=set)
    defines: set[str] = field(default_factory=set)
    tests: list[tuple[Word, ...]] = field(default_factory=list)
    errors: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the script a node stands."""

    judged: bool = False
    subshell: bool = False
    nested: bool = False
    statement: int = 0
    redirects: tuple[Redirect, ...] = ()
    pipe: tuple[str, ...] = ()
    before: tuple[str, ...] = ()


@cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_bash.language()))


def masked(text: str) -> str:
    """`text` with its placeholders as plain words of as many bytes."""
    return PLACEHOLDER.sub(lambda found: "P" * len(found[0].encode()), text)


def parse_script(script: Script) -> Parsed:
    """Parse `script`; never fails, whatever the text is."""
    reader = _Reader(script)
    root = _parser().parse(masked(script.text).encode()).root_node
    for number, child in enumerate(root.children):
        reader.visit(child, _Place(statement=number))
    reader.parsed.calls.sort(key=lambda call: (call.line, call.column))
    return reader.parsed


class _Reader:
    """One walk over the tree of a script."""

    def __init__(self, script: Script) -> None:
        self.parsed = Parsed(script)
        self._source = script.text.encode()
        self._lines = self._source.split(b"\n")
        self._depth = 0

    def visit(self, node: Node, place: _Place) -> None:
        if self._depth > _DEEPEST:
            return
        self._depth += 1
        try:
            self._visit(node, place)
        finally:
            self._depth -= 1

    def _visit(self, node: Node, place: _Place) -> None:
        if node.type == "ERROR" or node.is_missing:
            self.parsed.errors.append(self._at(node))
        if node.type in _NESTING:
            place = replace(place, nested=True)
        kind = getattr(self, f"_see_{node.type}", None)
        if kind is not None:
            kind(node, place)
        elif node.type in _CONDITIONS:
            conditions = node.children_by_field_name(_CONDITIONS[node.type])
            for child in node.children:
                self.visit(child, replace(place, judged=True) if child in conditions else place)
        else:
            self._below(node, place)

    def _below(self, node: Node, place: _Place) -> None:
        for child in node.children:
            self.visit(child, place)

    # -- what runs -----------------------------------------------------------------------------------------------

    def _see_command(self, node: Node, place: _Place) -> None:
        self._below(node, replace(place, redirects=(), pipe=(), before=(), judged=False))
        if node.has_error or node.parent is None or node.parent.type == "ERROR":
            return
        words, assigns, redirects = [], [], list(place.redirects)
        for child in node.children:
            if child.type == "variable_assignment":
                assigns.append(self._name_of(child))
            elif child.type in ("file_redirect", "herestring_redirect", "heredoc_redirect"):
                redirects.append(self._redirect(child))
            elif child.is_named:
                words.append(self._word(child))
        self._add(words, tuple(assigns), replace(place, redirects=tuple(redirects)))

    def _see_declaration_command(self, node: Node, place: _Place) -> None:
        self._below(node, place)
        if not node.has_error:
            words = [self._word(child) for child in node.children]
            self.parsed.sets.update(re.split(r"\+?=", word.text)[0] for word in words[1:])
            self._add(words, (), place)

    def _see_unset_command(self, node: Node, place: _Place) -> None:
        if not node.has_error:
            self._add([self._word(child) for child in node.children], (), place)

    def _see_test_command(self, node: Node, place: _Place) -> None:
        self._below(node, replace(place, redirects=(), pipe=(), before=(), judged=False))
        if not node.has_error and self._depth < _DEEPEST:
            self.parsed.tests.append(tuple(self._leaves(node)))

    def _leaves(self, node: Node) -> Iterator[Word]:
        """The words of a test, those in its parentheses too."""
        todo = list(reversed(node.children))
        while todo:
            one = todo.pop()
            if one.type.endswith("_expression"):
                todo += reversed(one.children)
            else:
                yield self._word(one)

    def _see_redirected_statement(self, node: Node, place: _Place) -> None:
        body = node.child_by_field_name("body")
        redirects = [self._redirect(child) for child in node.children if child.type.endswith("redirect")]
        for child in node.children:
            below = child == body
            self.visit(child, replace(place, redirects=(*redirects, *place.redirects)) if below else place)

    def _see_pipeline(self, node: Node, place: _Place) -> None:
        parts = [child for child in node.children if child.is_named and child.type != "comment"]
        names = [self._first_name(part) for part in parts]
        for at, part in enumerate(parts):
            last = at == len(parts) - 1
            self.visit(
                part,
                replace(
                    place,
                    pipe=(*names[at + 1 :], *place.pipe),
                    before=(*place.before, *names[:at]),
                    judged=place.judged and last,
                    subshell=place.subshell or len(parts) > 1,
                    redirects=place.redirects if last else (),
                ),
            )

    def _see_list(self, node: Node, place: _Place) -> None:
        for child in node.children:
            self.visit(child, replace(place, judged=True) if child == node.children[0] else place)

    def _see_negated_command(self, node: Node, place: _Place) -> None:
        self._below(node, replace(place, judged=True))

    def _see_subshell(self, node: Node, place: _Place) -> None:
        self._below(node, replace(place, subshell=True))

    def _see_command_substitution(self, node: Node, place: _Place) -> None:
        self._below(node, _Place(subshell=True, statement=place.statement))

    _see_process_substitution = _see_command_substitution

    # -- names ---------------------------------------------------------------------------------------------------

    def _see_function_definition(self, node: Node, place: _Place) -> None:
        name = node.child_by_field_name("name")
        if name is not None:
            self.parsed.defines.add(self._text(name))
        self._below(node, place)

    def _see_variable_assignment(self, node: Node, place: _Place) -> None:
        self.parsed.sets.add(self._name_of(node))
        self._below(node, place)

    def _see_for_statement(self, node: Node, place: _Place) -> None:
        name = node.child_by_field_name("variable")
        if name is not None:
            self.parsed.sets.add(self._text(name))
        self._below(node, place)

    _see_select_statement = _see_for_statement

    def _see_simple_expansion(self, node: Node, place: _Place) -> None:
        self._use(node.named_children[0] if node.named_children else None)

    def _see_expansion(self, node: Node, place: _Place) -> None:
        """`${NAME}`; one with an operator (`${NAME:-x}`, `${NAME:?why}`) says itself what happens without a value."""
        inner = [child for child in node.children if self._text(child) not in ("${", "}")]
        if len(inner) == 1:
            self._use(inner[0])
        elif inner and inner[0].type == "variable_name":
            self.parsed.sets.add(self._text(inner[0]))
        self._below(node, place)

    def _use(self, node: Node | None) -> None:
        if node is not None and node.type == "variable_name":
            self.parsed.uses.append((self._text(node), *self._at(node)))

    # -- pieces --------------------------------------------------------------------------------------------------

    def _add(self, words: list[Word], assigns: tuple[str, ...], place: _Place) -> None:
        wrappers: list[str] = []
        while len(words) > 1 and _base(words[0]) in _WRAPPERS:
            wrappers.append(_base(words[0]))
            words = list(_unwrapped(wrappers[-1], words[1:])) or words[:1]
            if words[0].text == wrappers[-1]:
                break
        if not words:
            return
        name = _base(words[0])
        call = Call(
            name=name, words=tuple(words[1:]), line=words[0].line, column=words[0].column, script=self.parsed.script,
            wrappers=tuple(wrappers), assigns=assigns, redirects=place.redirects, pipe=place.pipe,
            before=place.before, judged=place.judged, subshell=place.subshell, nested=place.nested,
            statement=place.statement,
        )  # fmt: skip
        self.parsed.calls.append(call)
        self._learn(call)
        inner = _inside(call)
        if inner:
            self._add(inner, (), replace(place, subshell=True))

    def _learn(self, call: Call) -> None:
        """What a builtin that sets variables or names sets."""
        if call.name in ("read", "mapfile", "readarray", "getopts", "printf", "select"):
            self.parsed.sets.update(call.plain)
        if call.name == "alias":
            self.parsed.defines.update(text.partition("=")[0] for text in call.texts)

    def _word(self, node: Node) -> Word:
        text, fixed = self._value(node)
        return Word(text, *self._at(node), fixed=fixed, quoted=node.type in ("string", "raw_string", "ansi_c_string"))

    def _value(self, node: Node) -> tuple[str, bool]:
        """A word without its quotes, and whether nothing in it is expanded."""
        text = self._text(node)
        if node.type == "raw_string":
            return text[1:-1], True
        if node.type == "ansi_c_string":
            return text[2:-1], True
        if node.type == "string":
            fixed = all(child.type in ("string_content", '"') for child in node.children)
            return re.sub(r"\\([\"\\$`])", r"\1", text[1:-1]), fixed
        if node.type in ("concatenation", "command_name"):
            parts = [self._value(child) for child in node.children]
            return "".join(part for part, _ in parts) or text, all(fixed for _, fixed in parts)
        if node.type == "variable_assignment":
            value = node.child_by_field_name("value")
            inner, fixed = self._value(value) if value is not None else ("", True)
            return f"{self._name_of(node)}={inner}", fixed
        fixed = "expansion" not in node.type and "substitution" not in node.type
        return (re.sub(r"\\\n\s*|\\(.)", r"\1", text) if node.type == "word" else text), fixed

    def _redirect(self, node: Node) -> Redirect:
        target = node.child_by_field_name("destination")
        operator = next((self._text(child) for child in node.children if not child.is_named), "")
        return Redirect(operator, self._value(target)[0] if target is not None else "")

    def _name_of(self, node: Node) -> str:
        name = node.child_by_field_name("name")
        return self._text(name).partition("[")[0] if name is not None else ""

    def _first_name(self, node: Node) -> str:
        if node.type == "command" and node.named_children:
            words = [self._word(child) for child in node.children if child.is_named and "redirect" not in child.type]
            while len(words) > 1 and _base(words[0]) in _WRAPPERS:
                words = list(_unwrapped(_base(words[0]), words[1:]))
            return _base(words[0]) if words else ""
        while node.type != "command" and node.named_children:
            node = node.named_children[0]
        return self._first_name(node) if node.type == "command" else ""

    def _at(self, node: Node) -> tuple[int, int]:
        row, byte = node.start_point
        line = self._lines[row] if row < len(self._lines) else b""
        return self.parsed.script.line + row, len(line[:byte].decode(errors="replace")) + 1

    def _text(self, node: Node) -> str:
        return self._source[node.start_byte : node.end_byte].decode(errors="replace")


def _base(word: Word) -> str:
    """A program's name without its folder; empty where it is not known before the script runs."""
    return word.text.rpartition("/")[2] if word.fixed else ""


def _unwrapped(wrapper: str, words: list[Word]) -> Iterator[Word]:
    """What a wrapper runs: `words` without its own options, their values, and `NAME=value`."""
    taking = _WITH_VALUE.get(wrapper, "")
    rest = list(words)
    while rest and (rest[0].text.startswith("-") or (wrapper in ("sudo", "env") and re.match(r"\w+=", rest[0].text))):
        option = rest.pop(0).text
        if option == "--":
            break
        if len(option) == 2 and option[1] in taking and rest:
            rest.pop(0)
    if wrapper == "timeout" and rest:
        rest.pop(0)
    yield from rest


def _inside(call: Call) -> list[Word]:
    """The command that a call runs in a container: `kubectl exec pod -- redis-cli ping`."""
    texts = call.texts
    if call.name in ("kubectl", "oc") and "exec" in texts and "--" in texts:
        return list(call.words[texts.index("--") + 1 :])
    if call.name in ("docker", "podman") and texts[:1] == ("exec",):
        rest = list(call.words[1:])
        while rest and rest[0].text.startswith("-"):
            if rest.pop(0).text in ("-e", "-u", "-w", "--env", "--user", "--workdir") and rest:
                rest.pop(0)
        return rest[1:]
    return []
