"""JUnit: the verdicts in the XML that CI servers read: one test suite per run, one test case per claim."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from xml.etree import ElementTree

from harness.model.judgement import Judgement
from harness.model.record import Record
from harness.model.verdict import Outcome, Verdict
from reports.words import label, say_time, why

# Characters that XML 1.0 can't hold, not even escaped (its production 2, "Char").
_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(record: Record, judgement: Judgement) -> str:
    """The XML of one run."""
    return render_all([(record, judgement)])


def render_all(runs: Iterable[tuple[Record, Judgement]]) -> str:
    """The XML of several runs. FAIL is a failure; UNKNOWN, INVALID and ERROR are errors, with the outcome as their
    type: nobody knows whether the system is well."""
    root = ElementTree.Element("testsuites", name="gameday")
    for record, judgement in runs:
        root.append(_suite(record, judgement))
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _suite(record: Record, judgement: Judgement) -> ElementTree.Element:
    verdicts = judgement.verdicts or (
        Verdict(claim="something was claimed", outcome=Outcome.UNKNOWN, observed="nothing was judged"),
    )
    failures = sum(verdict.outcome is Outcome.FAIL for verdict in verdicts)
    passes = sum(map(_passed, verdicts))
    suite = ElementTree.Element(
        "testsuite",
        name=_fit(judgement.scenario),
        tests=str(len(verdicts)),
        failures=str(failures),
        errors=str(len(verdicts) - passes - failures),
        skipped="0",
        time=f"{record.ended - record.began:.3f}",
        timestamp=datetime.fromtimestamp(record.began, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
    )
    properties = ElementTree.SubElement(suite, "properties")
    facts = {
        "outcome": judgement.outcome.value,
        "why": why(judgement),
        "run": record.run_id,
        "control": record.control.value,
        "time_scale": f"{record.time_scale:g}",
        **{f"time.{name}": say_time(time) for name, time in judgement.times.items()},
    }
    for name, value in facts.items():
        ElementTree.SubElement(properties, "property", name=_fit(name), value=_fit(value))
    for verdict in verdicts:
        suite.append(_case(judgement.scenario, verdict))
    if judgement.findings:
        ElementTree.SubElement(suite, "system-out").text = _fit("findings:\n" + "\n".join(judgement.findings))
    return suite


def _case(scenario: str, verdict: Verdict) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=_fit(f"gameday.{scenario}"), name=_fit(verdict.claim), time="0")
    said = [f"observed: {verdict.observed}"]
    said += [f"limit: {verdict.limit}"] if verdict.limit else []
    said += [f"resolution: {verdict.resolution}"] if verdict.resolution else []
    said += [f"evidence: {line}" for line in verdict.evidence]
    text = _fit("\n".join(said))
    if _passed(verdict):
        ElementTree.SubElement(case, "system-out").text = text
        return case
    kind = "failure" if verdict.outcome is Outcome.FAIL else "error"
    problem = ElementTree.SubElement(case, kind, type=label(verdict), message=_fit(verdict.observed))
    problem.text = text
    return case


def _passed(verdict: Verdict) -> bool:
    return verdict.outcome is Outcome.PASS and not verdict.vacuous


def _fit(text: str) -> str:
    return _UNFIT.sub("\ufffd", text)
