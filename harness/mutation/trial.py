"""Trial: rule tests that pass with the deployed rules, tried on each wrong rule."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.alerts.rules import read_rules
from harness.alerts.selectors import reads
from harness.errors import EvidenceMissing, UsageError
from harness.model.mutation import Failed, Fate, RuleTests
from harness.mutation.mutant import Mutant
from harness.mutation.shadow import only, rewritten
from harness.mutation.suite import Suite, reads_alert

PATIENCE = 20.0  # seconds without a word, after which promtool is taken to hang
LIMIT = 300.0  # seconds for all of it
TOGETHER = 2
# One of these for each file, in order; only Prometheus 2 names the file as well.
_ENDED = re.compile(r"^  (SUCCESS|FAILED:)$", re.MULTILINE)
_PASSED = "SUCCESS"
# What promtool says of an expectation that was not met, and of a rule that can't be evaluated.
_NOTICED = re.compile(
    r'^ *(?:name: (?P<test>.*),\n *)?(?:(?:alertname: ?(?P<alert>[^,\n]+)|expr: (?P<expr>"(?:\\.|[^"\\])*")), '
    r"time: ?(?P<at>\w+),|rule: (?P<rule>[^,\n]+), time: ?(?P<when>\w+), err: (?P<why>.*))",
    re.MULTILINE,
)


@dataclass(slots=True)
class Trials:
    """What the rule tests say: the test that failed for a mutant, or why nobody knows, by its name. `tests` are the
    files that were given; `spoken` the alerts that those which could be used speak of, with how many files do."""

    tests: list[RuleTests] = field(default_factory=list)
    failed: dict[str, Failed] = field(default_factory=dict)
    untold: dict[str, str] = field(default_factory=dict)
    spoken: dict[str, int] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Whether there are tests that could be used."""
        return any(one.usable for one in self.tests)

    def fate(self, mutant: Mutant) -> tuple[Fate | None, str]:
        """What the tests by themselves make of `mutant`, and why it lived; None without tests."""
        if not self.any:
            return None, ""
        if mutant.name in self.failed:
            return "killed", ""
        if mutant.name in self.untold:
            return "undecided", self.untold[mutant.name]
        if self.spoken.get(mutant.rule.name):
            return "survived", "the rule tests did not notice"
        return "survived", "no rule test speaks of this alert"


def tried(
    suites: Sequence[Suite],
    files: Mapping[str, Path],
    mutants: Iterable[Mutant],
    promtool: str,
    say: Callable[[str], None] = lambda _: None,
) -> Trials:
    """Every mutant under every suite that speaks of its alert and passes with the deployed rules, which are in `files`,
    by their `source`. Raises EvidenceMissing where promtool can't be started, UsageError for a file of rules that
    can't be read."""
    bench = _Bench(promtool, {name: path.resolve() for name, path in files.items()}, time.monotonic() + LIMIT)
    found = Trials()
    usable = list(bench.usable(suites, found))
    groups: dict[tuple[str, str, str], list[Mutant]] = {}
    for mutant in mutants:
        groups.setdefault((mutant.rule.source, mutant.rule.group, mutant.rule.name), []).append(mutant)
    with ThreadPoolExecutor(TOGETHER) as pool:
        list(pool.map(lambda group: bench.of_one(usable, group, found), groups.values()))
    if suites:
        say(f"{len(usable)} of {len(suites)} files of rule tests, {len(found.failed)} killed")
    return found


class _Bench:
    """Where suites are run: `files` are the deployed rules, `until` when no more is begun."""

    def __init__(self, promtool: str, files: Mapping[str, Path], until: float) -> None:
        self._promtool = promtool
        self._files = files
        self._until = until
        self._texts: dict[Path, str] = {}

    def usable(self, suites: Sequence[Suite], found: Trials) -> Iterator[Suite]:
        """Those that are about the deployed rules and pass with them; of each it is noted in `found`."""
        said = self._run([(suite, {}) for suite in suites])
        for suite, answer in zip(suites, said, strict=True):
            why = ""
            if not set(suite.rules) & set(self._files.values()):
                why = "it names none of these files of rules"
            elif answer is None:
                why = "promtool did not come to its end"
            elif answer != _PASSED:
                noticed = _noticed(suite, answer)
                why = "with the deployed rules it fails: " + (str(noticed) if noticed else " ".join(answer.split()))
            else:
                yield suite
            found.tests.append(RuleTests(file=suite.path.name, count=len(suite.tests), usable=not why, why=why))

    def of_one(self, usable: Sequence[Suite], mutants: Sequence[Mutant], found: Trials) -> None:
        """Note in `found` what the suites say of `mutants`, all of one alert."""
        rule = mutants[0].rule
        path = self._files[rule.source]
        suites = [suite.of(rule.name) for suite in usable if path in suite.rules and suite.speaks_of(rule.name)]
        if not suites:
            return
        text = only(self._text(path), self._spoken(self._text(path), rule.source, suites))
        # The rule itself goes the same way first: what the writing of the file alone breaks kills nothing.
        whole = [rewritten(text, rule, rule), *(rewritten(text, one.rule, one.changed) for one in mutants)]
        said = self._run([(suite, {path: new}) for new in whole for suite in suites])
        answers = [said[at : at + len(suites)] for at in range(0, len(said), len(suites))]
        fit = [answer == _PASSED for answer in answers[0]]
        found.spoken[rule.name] = sum(fit)
        for mutant, some in zip(mutants, answers[1:], strict=True):
            told = [(suite, answer) for suite, answer, good in zip(suites, some, fit, strict=True) if good]
            failed = next((one for suite, answer in told if (one := _noticed(suite, answer or _PASSED))), None)
            if failed is not None:
                found.failed[mutant.name] = failed
            elif not told or any(answer != _PASSED for _, answer in told):
                found.untold[mutant.name] = _why([answer for _, answer in told])

    def _spoken(self, text: str, source: str, suites: Sequence[Suite]) -> frozenset[str]:
        """The alerts that need to be evaluated: those that the suites speak of, and all where a rule reads alerts."""
        rules = [rule for rule in read_rules(text, source) if rule.kind == "alert"]
        read = [selector for rule in rules for selector in reads(rule.expr)]
        return frozenset(
            rule.name
            for rule in rules
            if any(suite.speaks_of(rule.name) for suite in suites) or any(reads_alert(one, rule.name) for one in read)
        )

    def _text(self, path: Path) -> str:
        if path not in self._texts:
            try:
                self._texts[path] = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as cause:
                raise UsageError(f"{path} can't be read: {cause}") from cause
        return self._texts[path]

    def _run(self, cases: Sequence[tuple[Suite, Mapping[Path, str]]]) -> list[str | None]:
        """What promtool says of each suite on the rules as they are but for the texts that are given; None where it
        did not come to the end of it."""
        with TemporaryDirectory(prefix="gd-") as name:
            folder, names = Path(name), list[str]()
            tests = {suite: suite.text([_rules(place) for place in range(len(suite.rules))]) for suite, _ in cases}
            for number, (suite, changed) in enumerate(cases):
                own = folder / str(number)
                own.mkdir()
                for place, path in enumerate(suite.rules):
                    text = changed.get(path)
                    (own / _rules(place)).write_text(self._text(path) if text is None else text, encoding="utf-8")
                (own / "tests.yml").write_text(tests[suite], encoding="utf-8")
                names.append(f"{number}/tests.yml")
            said = _said(self._promtool, folder, names, self._until)
        return [said.get(one) for one in names]


def _rules(place: int) -> str:
    return f"{place}.rules"


def _noticed(suite: Suite, answer: str) -> Failed | None:
    """The first expectation that was not met, by what promtool said of `suite`."""
    found = _NOTICED.search(answer)
    if answer == _PASSED or found is None:
        return None
    if found["rule"]:
        expected = f"a rule that can be evaluated at {found['when']}: {found['why']}"
    else:
        expected = f"{found['alert'] or json.loads(found['expr'])} at {found['at']}"
    return Failed(file=suite.path.name, test=found["test"] or "", expected=expected)


def _why(answers: Sequence[str | None]) -> str:
    if not answers:
        return "with the deployed rule, written by a program, the rule tests fail"
    if None in answers:
        return "promtool did not come to the end of the rule tests"
    return "promtool refuses the rule: " + " ".join(
        next(answer.split() for answer in answers if answer != _PASSED and answer)
    )


def _said(promtool: str, folder: Path, names: Sequence[str], until: float) -> dict[str, str]:
    """What promtool says of each file in `folder`. It takes one after the other: where it hangs or breaks, nothing is
    said of the one that it was at, and it is begun again with the next."""
    said: dict[str, str] = {}
    left = list(names)
    while left and time.monotonic() < until:
        pieces = _ENDED.split(_output(promtool, folder, left, until))
        answers = [_PASSED if end == _PASSED else text for end, text in zip(pieces[1::2], pieces[2::2], strict=True)]
        if len(answers) > len(left):
            break  # what stands in the tests themselves looks like an answer
        said |= zip(left, answers, strict=False)
        left = left[len(answers) + 1 :]
    return said


def _output(promtool: str, folder: Path, names: Sequence[str], until: float) -> str:
    log = folder / "said"
    command = [promtool, "test", "rules", *names]
    try:
        with (
            log.open("wb") as out,
            subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
            ) as process,
        ):
            heard = -1
            while process.poll() is None and heard < (size := log.stat().st_size) and time.monotonic() < until:
                heard = size
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, min(PATIENCE, until - time.monotonic())))
            process.kill()
    except OSError as cause:
        raise EvidenceMissing(f"promtool: {cause}", hint="`gameday doctor` shows where it is") from cause
    return log.read_text(encoding="utf-8", errors="replace")
