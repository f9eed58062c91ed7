"""Page: the reference of all faults, written from their own words; `python -m harness.faults_page` prints it."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from harness import faults
from harness.faults import AnyFault
from harness.model.units import say_duration

HEAD = """\
# Faults

What can be done to a sandbox, from `harness.faults`. This page is made from the code; how to add to it is said in
[How to write a fault](../how-to/write-a-fault.md).

Each fault is a block, and ends with it: `with run.fault(…) as NAME:`. While it has to be in force a probe looks at it
about once a second: its *receipt*. A *curable* fault may be ended by a mitigation, and has to be in force until the
first step of the runbook that is performed after it; any other until it is healed. An *ability* is what the sandbox
must be able to do; `gameday list` says what each scenario needs.

| fault | kind | abilities | curable |
|---|---|---|---|
{rows}
"""


def page() -> str:
    """The page, in Markdown."""
    known = sorted(get_args(AnyFault), key=lambda fault: str(fault.__name__))
    rows = "\n".join(_row(fault) for fault in known)
    parts = [HEAD.format(rows=rows), *(text for fault in known for text in _section(fault))]
    parts.append("## What settings are made of\n")
    parts += [text for one in _ingredients(known) for text in _described(one, "###")]
    parts += [f"### {one.__name__}\n\n{inspect.getdoc(one)}\n" for one in _seen_in(known)]
    parts.append("## Abilities\n")
    parts += _abilities({ability for fault in known for ability in fault.needs})
    return "\n".join(parts)


def _row(fault: Any) -> str:
    needs = ", ".join(f"`{ability.__name__}`" for ability in fault.needs)
    anchor = f"[{fault.__name__}](#{fault.__name__.lower()})"
    return f"| {anchor} | `{_fields(fault)['kind'].default}` | {needs} | {'yes' if fault.curable else 'no'} |"


def _section(fault: Any) -> Iterator[str]:
    yield from _described(fault, "##", said_before=_sentence(inspect.getmodule(fault)))
    seen = inspect.getdoc(fault.__dict__["receipt"])
    yield f"**Receipt.** {_one_line(seen or '')}\n"


def _described(one: Any, level: str, said_before: str = "") -> Iterator[str]:
    yield f"{level} {one.__name__}\n"
    if said_before:
        yield f"{said_before}\n"
    yield f"{inspect.getdoc(one)}\n"
    hints = get_type_hints(one)
    shown = [field for field in dataclasses.fields(one) if field.name not in ("kind", "effect")]
    if shown:
        rows = [f"| `{field.name}` | {_type(hints[field.name])} | {_default(field)} |" for field in shown]
        yield "\n".join(["| setting | values | default |", "|---|---|---|", *rows, ""])


def _ingredients(known: Sequence[Any]) -> list[Any]:
    """The classes of `harness.faults` that are no faults and that faults are given."""
    offered = [getattr(faults, name) for name in sorted(faults.__all__)]
    return [one for one in offered if dataclasses.is_dataclass(one) and one not in known]


def _seen_in(known: Sequence[Any]) -> list[Any]:
    """The classes to which the faults' own words lead: (see `Name`)."""
    named = [
        getattr(inspect.getmodule(fault), name)
        for fault in known
        for name in re.findall(r"\(see `(\w+)`\)", inspect.getdoc(fault) or "")
    ]
    return sorted(dict.fromkeys(named), key=lambda one: str(one.__name__))


def _abilities(needed: set[type]) -> Iterator[str]:
    for ability in sorted(needed, key=lambda one: one.__name__):
        yield f"- `{ability.__name__}`: {_one_line(inspect.getdoc(ability) or '')}"
    yield ""


def _sentence(module: Any) -> str:
    """A module's docstring without the noun that it begins with."""
    said = _one_line(inspect.getdoc(module) or "").partition(": ")[2]
    return said[:1].upper() + said[1:]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _fields(one: Any) -> dict[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(one)}


def _type(hint: Any) -> str:
    """A type as a reader of a table says it."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return ", ".join(f"`{value!r}`".replace("'", '"') for value in inner)
    if origin in (Union, UnionType):
        return " or ".join("nothing" if one is NoneType else _type(one) for one in inner)
    if origin is not None:
        return f"{_NAMES.get(origin.__name__, origin.__name__)} of {', '.join(_type(one) for one in inner)}"
    name = str(getattr(hint, "__name__", hint))
    return f"[{name}](#{name.lower()})" if name in faults.__all__ else _NAMES.get(name, name)


_NAMES = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "timedelta": "duration",
    "Mapping": "mapping",
    "Sequence": "list",
    "tuple": "list",
}


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    elif field.default is not dataclasses.MISSING:
        value = field.default
    else:
        return ""
    if isinstance(value, timedelta):
        return say_duration(value)
    return "`" + (f'"{value}"' if isinstance(value, str) else repr(value)) + "`"


if __name__ == "__main__":
    sys.stdout.write(page())
