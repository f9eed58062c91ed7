"""Catalogue: which scenarios there are, read from their source without importing it."""

from __future__ import annotations

import ast
import difflib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import faults
from harness.errors import UsageError
from harness.store import LATEST, VERDICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One scenario: `function` in `source`; `needs` are abilities a sandbox must have, `steps` the
    runbook steps it names; `last` is its last outcome. `fingerprint` tells one version of its file from another."""

    name: str
    hypothesis: str
    source: str
    function: str
    needs: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    last: str = "never run"
    fingerprint: str = ""

    @property
    def node(self) -> str:
        """Its pytest node id."""
        return f"{self.source}::{self.function}"

    def __str__(self) -> str:
        needs = ", ".join(self.needs) or "nothing special"
        return f"{self.name}\n  {self.hypothesis}\n  needs {needs}; last verdict: {self.last}"


def scenarios(folder: Path, runs: Path) -> tuple[Entry, ...]:
    """Every test function in `folder`/test_*.py that takes `run`. A file that can't be parsed raises UsageError."""
    return tuple(entry for path in sorted(folder.glob("test_*.py")) for entry in _in_file(path, runs))


def chosen(folder: Path, names: Sequence[str], *, every: bool) -> tuple[Entry, ...]:
    """The scenarios called `names`, or every one. Raises UsageError where there is none, or an unknown one."""
    return find(folder, [entry.name for entry in scenarios(folder, Path("runs"))] if every else names)


def find(folder: Path, names: Sequence[str], runs: Path = Path("runs")) -> tuple[Entry, ...]:
    """The scenarios called `names` (dashes or underscores). Raises UsageError naming every unknown one."""
    found = scenarios(folder, runs)
    known = {entry.name: entry for entry in found}
    wanted = [name.removeprefix("test_").replace("-", "_") for name in names]
    problems = []
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            problems.append(f"{name}: no such scenario" + (f"; did you mean {near[0]}?" if near else ""))
        elif len(alike := [entry.node for entry in found if entry.name == name]) > 1:
            problems.append(f"{name} stands for several: {', '.join(alike)}")
    if problems:
        hint = f"`gameday list` shows those in {folder}/" if known else f"there are no scenarios in {folder.resolve()}"
        raise UsageError("these scenarios can't be run", problems=problems, hint=hint)
    return tuple(known[name] for name in wanted)


def _in_file(path: Path, runs: Path) -> Iterator[Entry]:
    try:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text, filename=path.name)
    except (OSError, SyntaxError, UnicodeDecodeError) as cause:
        raise UsageError(f"{path} can't be read as Python: {cause}") from cause
    fingerprint = fingerprint_of(text)
    for node in tree.body:
        takes = [argument.arg for argument in node.args.args] if isinstance(node, ast.FunctionDef) else []
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and "run" in takes:
            name = node.name.removeprefix("test_")
            yield Entry(
                name=name,
                hypothesis=" ".join((ast.get_docstring(node) or "").split()),
                source=str(path),
                function=node.name,
                needs=_needs(node),
                steps=steps_named(node, tree),
                last=_last(runs / name),
                fingerprint=fingerprint,
            )


def fingerprint_of(text: str) -> str:
    """What tells one version of a file from another; lines of comment, and empty ones, don't count."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _needs(function: ast.FunctionDef) -> tuple[str, ...]:
    """The abilities of every fault of ours that the function names."""
    used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    kinds = [getattr(faults, name) for name in sorted(used) if name in faults.__all__ and name[0].isupper()]
    return tuple(dict.fromkeys(ability.__name__ for kind in kinds for ability in getattr(kind, "needs", ())))


def steps_named(function: ast.AST, module: ast.Module | None = None) -> tuple[str, ...]:
    """The runbook steps that `function` names: literal arguments of `….mitigate(…)`, `….restore(…)` and `….look(…)`,
    and what checkpoints `look` at, those of the constants of its `module` that it uses as well."""
    trees = [function, *(_constants_of(function, module) if module is not None else ())]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named: list[ast.expr] = []
    for call in calls:
        if isinstance(call.func, ast.Attribute) and call.func.attr in {"mitigate", "restore", "look"}:
            named += call.args
        looks = [keyword.value for keyword in call.keywords if keyword.arg == "look"]
        named += [one for look in looks if isinstance(look, ast.Tuple | ast.List) for one in look.elts]
    names = [one.value for one in named if isinstance(one, ast.Constant)]
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))


def _constants_of(function: ast.AST, module: ast.Module) -> Iterator[ast.expr]:
    """What the module's constants are, of those that the function uses, and of those that these are made of."""
    made = {
        target.id: node.value
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    waiting: list[ast.AST] = [function]
    while waiting:
        used = {node.id for node in ast.walk(waiting.pop()) if isinstance(node, ast.Name)}
        for value in [made.pop(name) for name in sorted(used & made.keys())]:
            waiting.append(value)
            yield value


def _last(folder: Path) -> str:
    try:
        verdict = json.loads((folder / LATEST / VERDICT).read_text())
        return str(verdict["outcome"])
    except FileNotFoundError:
        return "never run"
    except (OSError, ValueError, KeyError, TypeError):
        return "unreadable"
