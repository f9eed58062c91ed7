"""`gameday mutate`: rules and recorded runs in, a mutation score out, in every form."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from harness import store
from harness.alerts.rules import read_rules
from harness.errors import UsageError
from harness.model.mutation import Kill, Mutation, Replayed, Tried
from harness.mutate import Asked, write
from harness.mutation.operators import mutants
from harness.sandbox.topology import read_topology
from reports.markdown import escaped
from reports.mutation import html, markdown
from tests.alerts.servers import promtool
from tests.mutation.incident import CALM, RULES, fires, incident

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "mutation.md"


def tried(name: str, fate: str, **more: object) -> Tried:
    plain = {"name": f"A:{name}", "file": "r.yml", "alert": "A", "operator": name, "before": "b", "after": "a"}
    return Tried(**plain, tell="what would tell", fate=fate, **more)  # type: ignore[arg-type]  # a shorthand


KILL = Kill(scenario="s", run_id="r", claim="A fires <soon>", observed="it did not", supposed=True)
FOUND = Mutation(
    tried=(
        tried("one", "killed", kill=KILL),
        tried("two", "survived", why="nobody looked"),
        tried("three", "equivalent"),
        tried("four", "undecided", why="not recorded"),
    ),
    replayed=(Replayed(scenario="s", run_id="r", alert="A", usable=False, why="another rule"),),
    seconds=61.0,
)


def test_the_score_counts_what_could_be_killed() -> None:
    """Killed of killed and survived: what is equivalent or undecided counts neither way, and nothing is no score."""
    whole = FOUND.whole()
    assert (whole.killed, whole.survived, whole.equivalent, whole.undecided, whole.share) == (1, 1, 1, 1, 0.5)
    assert [score.name for score in (*FOUND.by_file(), *FOUND.by_alert())] == ["r.yml", "A"]
    assert Mutation(tried=(), replayed=(), seconds=0).whole().share is None


def test_the_page_says_what_became_of_each() -> None:
    """Each mutant stands where its fate puts it, with what killed it, what would, or why nobody knows."""
    text = markdown(FOUND)
    assert "**1 of 2 killed: 50 %.** 1 equivalent, 1 undecided. It took 1 min 1 s." in text
    assert "| A:one | a | s \\* | A fires &lt;soon&gt;: it did not |" in text
    assert "| A:two | a | what would tell | nobody looked |" in text
    assert "| A:four | a | not recorded |" in text
    assert "- s, A: another rule" in text
    page = html(FOUND)
    assert "A fires &lt;soon&gt;" in page
    assert "s (supposed)" in page


def test_a_form_that_is_not_known_is_refused(tmp_path: Path) -> None:
    """Whatever can't be done is said before anything is tried."""
    (tmp_path / "rules.yml").write_text(RULES)
    asked = Asked(files=(tmp_path / "rules.yml",), runs=tmp_path)
    with pytest.raises(UsageError, match="choose one of"):
        write(asked, "pdf")
    with pytest.raises(UsageError, match="no recorded runs"):
        write(asked, "md")
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


def test_the_page_is_about_the_rules_that_are_deployed() -> None:
    """docs/mutation.md has each mutant of each deployed rule once, and no other. `make mutation` writes it anew."""
    time = read_topology(ROOT / "docker-compose.yml", {}).time
    assert time.prometheus is not None
    jobs = sorted(job["job_name"] for job in yaml.safe_load(time.prometheus.read_text())["scrape_configs"])
    rules = [rule for path in time.rules for rule in read_rules(path.read_text(encoding="utf-8"), path.name)]
    names = [escaped(one.name) for rule in rules if rule.kind == "alert" for one in mutants(rule, jobs)]
    rows = re.findall(r"^\| ([^|]+?:[^|]+?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(names), "run `make mutation`"
