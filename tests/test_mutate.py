"""`gameday mutate`: rules, rule tests and recorded runs in, a mutation score out, in every form."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from harness import store
from harness.alerts.rules import read_rules
from harness.errors import UsageError
from harness.model.mutation import Failed, Kill, Mutation, Replayed, RuleTests, Tried
from harness.mutate import Asked, _named, write
from harness.mutation.operators import mutants
from harness.sandbox.topology import read_topology
from reports.markdown import escaped
from reports.mutation import html, markdown
from tests.alerts.servers import promtool
from tests.mutation.incident import CALM, RULES, fires, incident
from tests.mutation.test_trial import TESTS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "mutation.md"


def tried(name: str, fate: str, **more: object) -> Tried:
    plain = {"name": f"A:{name}", "file": "r.yml", "alert": "A", "operator": name, "before": "b", "after": "a"}
    return Tried(**plain, tell="what would tell", fate=fate, **more)  # type: ignore[arg-type]  # a shorthand


KILL = Kill(scenario="s", run_id="r", claim="A fires <soon>", observed="it did not", supposed=True)
FAILED = Failed(file="t.yml", test="It fires <late>", expected="A at 5m")
FOUND = Mutation(
    tried=(
        tried("one", "killed", kill=KILL, replayed="killed", tested="killed", failed=FAILED),
        tried("two", "survived", why="nobody looked", replayed="survived", tested="survived"),
        tried("three", "equivalent", why="it is the same", replayed="equivalent", tested="equivalent"),
        tried("four", "undecided", why="not recorded", replayed="undecided", tested="undecided"),
        tried("five", "killed", replayed="survived", tested="killed", failed=FAILED),
    ),
    replayed=(Replayed(scenario="s", run_id="r", alert="A", usable=False, why="another rule"),),
    seconds=61.0,
    tests=(
        RuleTests(file="t.yml", count=2, usable=True),
        RuleTests(file="u.yml", count=1, usable=False, why="it <fails>"),
    ),
)


def test_the_score_counts_what_could_be_killed() -> None:
    """Killed of killed and survived, by all there is or by one kind of witness: what is equivalent or undecided counts
    neither way, and nothing is no score."""
    whole = FOUND.whole()
    assert (whole.killed, whole.survived, whole.equivalent, whole.undecided, whole.share) == (2, 1, 1, 1, 2 / 3)
    assert (FOUND.whole("replayed").share, FOUND.whole("tested").share) == (1 / 3, 2 / 3)
    assert [score.name for score in (*FOUND.by_file(), *FOUND.by_alert())] == ["r.yml", "A"]
    assert Mutation(tried=(), replayed=(), seconds=0).whole().share is None


def test_the_page_says_what_became_of_each() -> None:
    """Each mutant stands where its fate puts it, with what killed it, what would, or why nobody knows; what only a rule
    test kills stands by itself."""
    text = markdown(FOUND)
    assert (
        "**2 of 3 killed: 66.7 %.** By the recorded runs alone: 33.3 %. By the rule tests alone: 66.7 %. "
        "1 equivalent, 1 undecided. It took 1 min 1 s." in text
    )
    assert "| A | 33.3 % | 66.7 % | 2 | 1 | 1 | 1 | 66.7 % |" in text
    assert "| A:one | a | s \\* | A fires &lt;soon&gt;: it did not | yes |" in text
    assert "| A:two | a | what would tell | nobody looked |" in text
    assert "| A:three | a | it is the same |" in text
    assert "| A:four | a | not recorded |" in text
    assert "| A:five | a | t.yml, It fires &lt;late&gt; (A at 5m) | what would tell |" in text
    assert "- u.yml: it &lt;fails&gt;" in text
    assert "- s, A: another rule" in text
    assert "proven of the rule's text, not of the system" in text
    page = html(FOUND)
    assert "A fires &lt;soon&gt;" in page
    assert "s (supposed)" in page
    assert "It fires &lt;late&gt; (A at 5m)" in page
    assert "u.yml: it &lt;fails&gt;" in page


def test_one_kind_of_witness_is_enough() -> None:
    """Without recorded runs, or without rule tests, the page says that these have nothing to say."""
    text = markdown(Mutation(tried=(tried("one", "killed", tested="killed", failed=FAILED),), replayed=(), seconds=1))
    assert "By the recorded runs alone: nothing to go by. By the rule tests alone: 100 %." in text


def test_a_form_that_is_not_known_is_refused(tmp_path: Path) -> None:
    """Whatever can't be done is said before anything is tried."""
    (tmp_path / "rules.yml").write_text(RULES)
    asked = Asked(files=(tmp_path / "rules.yml",), runs=tmp_path)
    with pytest.raises(UsageError, match="choose one of"):
        write(asked, "pdf")
    with pytest.raises(UsageError, match=r"no recorded runs .* and no rule tests"):
        write(asked, "md")
    (tmp_path / "a.yml").write_text("tests: []")
    with pytest.raises(UsageError, match=r"(?s)a\.yml has no rule_files.*b\.yml can't be read"):
        write(replace(asked, tests=(tmp_path / "a.yml", tmp_path / "b.yml")), "md")
    with pytest.raises(UsageError, match="there is no alert Up"):
        write(Asked(files=asked.files, alert="Up", runs=tmp_path), "md")
    with pytest.raises(UsageError, match="can't be read"):
        write(Asked(files=(tmp_path / "none.yml",), runs=tmp_path), "md")


@pytest.mark.integration
def test_recorded_runs_are_read_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a rules file and a folder of runs to the score, and the same score again."""
    monkeypatch.setattr("harness.mutate._promtool", promtool)
    (tmp_path / "rules.yml").write_text(RULES)
    folder = tmp_path / "the runs" / "api_down" / "20260101-000000"
    folder.mkdir(parents=True)
    record = incident(CALM, fires(8))
    store.save_record(record, folder)
    asked = Asked(files=(tmp_path / "rules.yml",), alert="Down", runs=tmp_path / "the runs")
    said: list[str] = []
    found = json.loads(write(asked, "json", said.append))
    assert said[-1].startswith("1 of 1 runs")
    assert {one["fate"] for one in found["tried"]} >= {"survived"}


@pytest.mark.integration
def test_rule_tests_need_no_recorded_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules and their tests alone make a score; tests that can't be used make none, and not one of zero."""
    monkeypatch.setattr("harness.mutate._promtool", promtool)
    (tmp_path / "rules.yml").write_text(RULES)
    (tmp_path / "tests.yml").write_text(TESTS)
    (tmp_path / "wrong.yml").write_text(TESTS.replace("4m30s", "5m"))
    asked = Asked(files=(tmp_path / "rules.yml",), tests=(tmp_path / "tests.yml",), runs=tmp_path)
    found = json.loads(write(asked, "json"))
    assert {(one["fate"], one["replayed"], one["tested"]) for one in found["tried"]} == {("killed", None, "killed")}
    with pytest.raises(UsageError, match=r"(?s)none of the rule tests can be used.*with the deployed rules it fails"):
        write(replace(asked, tests=(tmp_path / "wrong.yml",)), "json")


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """Two teams may each have a rules.yml."""
    paths = tuple(tmp_path / team / "rules.yml" for team in ("a", "b"))
    assert _named(paths) == {str(path): path for path in paths}
    assert _named(paths[:1]) == {"rules.yml": paths[0]}


def test_the_page_is_about_the_rules_that_are_deployed() -> None:
    """docs/mutation.md has each mutant of each deployed rule once, and no other. `make mutation` writes it anew."""
    time = read_topology(ROOT / "docker-compose.yml", {}).time
    assert time.prometheus is not None
    jobs = sorted(job["job_name"] for job in yaml.safe_load(time.prometheus.read_text())["scrape_configs"])
    rules = [rule for path in time.rules for rule in read_rules(path.read_text(encoding="utf-8"), path.name)]
    names = [escaped(one.name) for rule in rules if rule.kind == "alert" for one in mutants(rule, jobs)]
    rows = re.findall(r"^\| ([^|]+?:[^|]+?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(names), "run `make mutation`"
