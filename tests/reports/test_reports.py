"""Reports of a whole run: as they looked when last seen, complete, self-contained, and safe with hostile text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.model.judgement import Judgement
from harness.model.record import AlertEvidence, Record
from harness.model.verdict import Control, Outcome, Verdict, worst
from reports import console, html, junit, markdown
from tests.reports import golden, outage

Render = Callable[[Record, Judgement], str]
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"q\" 'q' {{ 7*7 }} ]]> --> | `x` [a](http://evil)"


def _plain(record: Record, judgement: Judgement) -> str:
    assert record
    return console.summary(judgement, Path("runs/llm_outage/20260101-000000"), False)


FORMS: list[tuple[str, Render]] = [
    ("html", html.render),
    ("md", markdown.render),
    ("xml", junit.render),
    ("txt", _plain),
]
STORIES: list[tuple[str, Record, Judgement]] = [
    ("pass", outage.record(), outage.judgement()),
    ("control", outage.record(Control.NO_MITIGATION), outage.failed()),
    ("broken", outage.empty(), outage.broke()),
]


@pytest.mark.parametrize(("form", "render"), FORMS, ids=[form for form, _ in FORMS])
@pytest.mark.parametrize(("story", "record", "judgement"), STORIES, ids=[story for story, _, _ in STORIES])
def test_golden(story: str, record: Record, judgement: Judgement, form: str, render: Render) -> None:
    """Every form of report reads as it did when somebody last read it."""
    text = render(record, judgement)
    assert text == render(record, judgement)
    golden.check(f"{story}.{form}", text if text.endswith("\n") else text + "\n")


class _Page(HTMLParser):
    """Collects what a browser would see: elements, attributes and text; complains of elements left open."""

    VOID = frozenset({"meta", "br", "link", "img", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(("story", "record", "judgement"), STORIES, ids=[story for story, _, _ in STORIES])
def test_the_page_needs_nothing_else(story: str, record: Record, judgement: Judgement) -> None:
    """The page is well-formed, small, runs no script and asks for no other file."""
    assert story
    text = html.render(record, judgement)
    page = _Page(text)
    assert len(text.encode()) < 1_500_000
    assert {"script", "link", "img", "iframe", "object"}.isdisjoint(page.names)
    asked = [value for name, value in page.attributes if name in {"src", "href", "action", "data", "style"}]
    assert all(re.fullmatch(r"left:[\d.]+%;width:[\d.]+%", value) for value in asked)
    assert not re.search(r"@import|url\((?!#)", text)
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert [name for name, _ in page.attributes if name.startswith("on")] == []


def test_the_verdict_comes_first() -> None:
    """The first words after the date are the outcome, the scenario and why."""
    text = " ".join(_Page(html.render(*STORIES[1][1:])).text.partition("gameday report")[2].split())
    assert text.startswith("2026-01-01 00:00:00 UTC INVALID llm_outage A claim that can't turn red proves nothing: ")


def _hostile() -> tuple[Record, Judgement]:
    """The whole run with hostile text wherever a stranger could put one."""
    whole = outage.record()
    command = replace(whole.steps[0].commands[0], output=EVIL + "\x00\x1b[31m\x08", text=EVIL, refused=EVIL)
    effect = replace(whole.steps[0].effects[0], claim=EVIL, before=EVIL, after=None)
    step = replace(whole.steps[0], name=EVIL, source=EVIL, finding=EVIL, accepted=EVIL, problem=EVIL)
    step = replace(step, commands=(command,), effects=(effect,))
    fault = replace(whole.faults[0], description=EVIL, problem=EVIL)
    fault = replace(fault, during=(replace(fault.during[0], measured=EVIL, intended=EVIL),))
    alerts = replace(whole.alerts, problems=(EVIL,), gaps=(replace(whole.alerts.gaps[0], problem=EVIL, source=EVIL),))
    alerts = replace(alerts, rules=(replace((whole.alerts.rules or ())[0], name=EVIL, expr=EVIL),))
    record = replace(
        whole,
        scenario=replace(whole.scenario, name=EVIL, hypothesis=EVIL, source=EVIL),
        run_id=EVIL,
        versions={EVIL: EVIL},
        error=EVIL,
        windows=tuple(replace(span, name=EVIL) if span.kind == "observe" else span for span in whole.windows),
        events=tuple(replace(event, kind=EVIL, subject=EVIL) for event in whole.events),
        faults=(fault,),
        steps=(step,),
        loads=(replace(whole.loads[0], plan=EVIL, target=EVIL, problem=EVIL, window=EVIL),),
        alerts=alerts,
        samples=tuple(replace(sample, name=EVIL, error=EVIL, status=0, ok=False) for sample in whole.samples[:500]),
    )
    verdict = Verdict(claim=EVIL, outcome=Outcome.FAIL, observed=EVIL, limit=EVIL, resolution=EVIL, evidence=(EVIL,))
    times = {EVIL: replace(outage.times()["recovery"], said=EVIL), "recovery": outage.times()["recovery"]}
    said = Judgement(scenario=EVIL, outcome=Outcome.FAIL, verdicts=(verdict,), times=times, findings=(EVIL,))
    return record, said


def test_hostile_text_stays_text_in_html() -> None:
    """Whatever a server, a runbook or a label says, it is text on the page and never markup."""
    record, judgement = _hostile()
    text = html.render(record, judgement, log_paths={EVIL: EVIL})
    page = _Page(text)
    assert {"script", "img"}.isdisjoint(page.names)
    assert EVIL in page.text
    assert "{{ 7*7 }}" in page.text
    assert not re.search("[\x00\x08\x1b]", html.render(record, judgement).partition("<svg")[2].partition("</svg>")[0])


def test_hostile_text_stays_text_in_markdown() -> None:
    """Hostile text makes no HTML, no link, no extra table cell and closes no code block."""
    record, judgement = _hostile()
    fence = "````\nend\n```\n"
    step = replace(record.steps[0], commands=(replace(record.steps[0].commands[0], text=fence),))
    text = markdown.render(replace(record, steps=(step,)), judgement)
    outside = re.sub(r"(?ms)^(`{3,})\w*\n.*?^\1$", "", text)
    assert "<script" not in outside
    assert not re.search(r"(?<!\\)\]\(", outside)
    assert not re.search(r"(?<!\\)`", outside.replace("`--control", ""))
    assert markdown.fenced(fence) == "`````text\n````\nend\n```\n`````"
    rows = [line for line in outside.splitlines() if line.startswith("| FAIL")]
    assert rows
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 6 for row in rows)


def test_junit_is_xml_whatever_is_in_it() -> None:
    """Control characters and markup leave the XML readable, and nothing of the text is lost."""
    record, judgement = _hostile()
    bad = "\x00\x0b\ufffe\ud800 fine \U0001f600"
    verdict = replace(judgement.verdicts[0], claim=bad + EVIL, observed=bad)
    root = ElementTree.fromstring(junit.render(record, replace(judgement, verdicts=(verdict,))))  # noqa: S314 - ours
    case = next(root.iter("testcase"))
    assert case.attrib["name"] == "\ufffd\ufffd\ufffd\ufffd fine \U0001f600" + EVIL


@pytest.mark.parametrize(
    ("outcome", "vacuous", "child", "kind"),
    [
        (Outcome.PASS, False, "system-out", None),
        (Outcome.FAIL, False, "failure", "FAIL"),
        (Outcome.UNKNOWN, False, "error", "UNKNOWN"),
        (Outcome.INVALID, False, "error", "INVALID"),
        (Outcome.INVALID, True, "error", "VACUOUS"),
        (Outcome.PASS, True, "error", "VACUOUS"),  # whatever the judge left in it: vacuous is no pass
        (Outcome.ERROR, False, "error", "ERROR"),
    ],
)
def test_junit_outcomes(outcome: Outcome, vacuous: bool, child: str, kind: str | None) -> None:
    """Only PASS is a passed test case; FAIL is a failure and all that is not known an error."""
    verdict = Verdict(claim="c", outcome=outcome, observed="o", vacuous=vacuous)
    judgement = Judgement(scenario="s", outcome=outcome, verdicts=(verdict,))
    root = ElementTree.fromstring(junit.render(outage.empty(), judgement))  # noqa: S314 - ours
    case = next(root.iter("testcase"))
    assert [part.tag for part in case] == [child]
    assert case[0].get("type") == kind
    suite = next(root.iter("testsuite"))
    assert int(suite.attrib["failures"]) + int(suite.attrib["errors"]) == (child != "system-out")


def test_nothing_judged_is_no_green_suite() -> None:
    """A run in which nothing was claimed shows as an error in CI, and as such on the page."""
    judgement = Judgement(scenario="s", outcome=worst([]), verdicts=())
    root = ElementTree.fromstring(junit.render(outage.empty(), judgement))  # noqa: S314 - ours
    assert next(root.iter("testsuite")).attrib["errors"] == "1"
    assert "nothing is proven" in html.render(outage.empty(), judgement)
    assert "UNKNOWN" in console.summary(judgement, None, False)


def test_several_runs_are_one_junit_file() -> None:
    """Each run is a suite of its own."""
    root = ElementTree.fromstring(junit.render_all([story[1:] for story in STORIES]))  # noqa: S314 - ours
    assert [suite.attrib["tests"] for suite in root] == ["10", "13", "1"]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_the_headline_says_the_outcome_and_why(outcome: Outcome) -> None:
    """Every form names the outcome and the claim that decided it."""
    verdicts = (
        Verdict(claim="good", outcome=Outcome.PASS, observed="fine"),
        Verdict(claim="decisive", outcome=outcome, observed="seen"),
    )
    judgement = Judgement(scenario="s", outcome=outcome, verdicts=verdicts)
    expected = "All 2 claims hold." if outcome is Outcome.PASS else "decisive — seen."
    for render in (html.render, markdown.render, _plain):
        text = render(outage.record(), judgement)
        assert outcome.value in text[: text.index(expected)]


def test_the_console_is_plain_without_a_terminal() -> None:
    """No escape sequences in a log, some on a terminal, and never those that came from the run."""
    evil = replace(outage.failed(), findings=("\x1b[2Jgone",))
    assert "\x1b" not in console.summary(evil, None, False)
    coloured = console.summary(evil, None, True, width=100)
    assert "\x1b[" in coloured
    assert "\x1b[2J" not in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured).splitlines()[0] == " INVALID   llm_outage"


def test_the_console_names_the_report(tmp_path: Path) -> None:
    """The last line is the path of the report, whole, even where it is long or has spaces."""
    folder = tmp_path / ("a folder with spaces " * 8).strip()
    folder.mkdir()
    (folder / "report.html").touch()
    assert console.summary(outage.judgement(), folder, False).splitlines()[-1].endswith(str(folder / "report.html"))


@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_times_say_their_resolution(scale: float) -> None:
    """A time is told with its resolution, and with its wall time where that is another."""
    times = {"recovery": replace(outage.times()["recovery"], wall_seconds=756.0 / scale)}
    text = markdown.render(outage.record(), replace(outage.judgement(), times=times))
    said = "12 min 36 s ± 4.5 s" + (" runbook time = 12.6 s wall" if scale > 1 else "")
    assert f"| {said} |" in text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"alerts": AlertEvidence()}, "Prometheus&#39; record could not be read"),
        ({"alerts": replace(outage.record().alerts, notifications=())}, "no notification"),
        ({"alerts": replace(outage.record().alerts, notifications_read=False, notifications=())}, "the receiver could"),
        ({"steps": ()}, "no step was run"),
        ({"samples": ()}, "no request failed"),
    ],
)
def test_a_link_that_was_not_seen_is_shown_as_such(changed: dict[str, object], said: str) -> None:
    """The chain keeps the place of a link for which there is no evidence, and says so."""
    record = replace(outage.record(), **changed)  # type: ignore[arg-type]  # its own fields
    text = html.render(record, outage.judgement())
    row = next(line for line in text.splitlines() if said in line and "<time>" in line)
    assert "unseen" in row
    assert "<time>—</time>" in row


@pytest.mark.parametrize("render", [html.render, markdown.render])
def test_what_can_not_be_taken_back_is_said(render: Render) -> None:
    """A step that was performed and that the runbook has no way back from says so; one that was left out does not."""
    record = outage.record()
    first, *others = record.steps
    gap = replace(first, no_undo="nobody wrote it")
    assert "nobody wrote it" in render(replace(record, steps=(gap, *others)), outage.judgement())
    left_out = replace(record, steps=(replace(gap, skipped=True), *others))
    assert "nobody wrote it" not in render(left_out, outage.judgement())
