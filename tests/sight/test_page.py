"""The page on the deployed rules says what the rules say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness import blind_spots
from harness.errors import UsageError
from harness.model.blindspots import BlindSpots
from tests.documents import ROOT, read

PAGE, PICTURE = "docs/blind-spots.md", "docs/blind-spots.svg"
RULES = ROOT / "fixtures" / "prometheus" / "rules.yml"
ANEW = "write it anew: make blind-spots"


def spots(alert: str = "") -> BlindSpots:
    return blind_spots.blind_spots([], alert, ROOT / "docker-compose.yml", traffic=60.0, runs=None)


@pytest.mark.parametrize("alert", re.findall(r"alert: (\w+)", RULES.read_text(encoding="utf-8")))
def test_the_page_says_what_is_computed(alert: str) -> None:
    """The section of each of the runbook's own alerts equals what is computed of it now."""
    section = _section(blind_spots.page(spots(alert), "x.svg"), alert)
    assert section
    assert section == _section(read(PAGE), alert), ANEW


@pytest.mark.integration
@pytest.mark.parametrize("alert", ["SlowAnswers", "TrafficAbsent", "ProjectServiceDown"])
def test_sections_of_other_shapes_are_fresh(alert: str) -> None:
    """One alert of each other shape that is deployed: its section equals what is computed now."""
    assert _section(blind_spots.page(spots(alert), "x.svg"), alert) == _section(read(PAGE), alert), ANEW


def test_every_deployed_alert_is_on_the_page() -> None:
    """Each has a section or a reason, and so it is in the picture."""
    rules = "".join(path.read_text(encoding="utf-8") for path in sorted(RULES.parent.glob("*rules.yml")))
    page, picture = read(PAGE), read(PICTURE)
    refused = page.partition("\n## Not computed\n")[2].partition("\n## ")[0]
    for alert in re.findall(r"alert: (\w+)", rules):
        assert (f"\n## {alert}\n" in page) != (f"- {alert}: " in refused), ANEW
        assert (f"\n## {alert}\n" in page) == (f">{alert}, " in picture), ANEW


def test_the_picture_can_be_read_by_those_who_do_not_see_it() -> None:
    """It is well formed, and has a title and a description of every row."""
    picture = ElementTree.fromstring(read(PICTURE))  # noqa: S314 - our own file
    name = "{http://www.w3.org/2000/svg}"
    said = picture.findtext(f"{name}desc") or ""
    assert "to page somebody" in (picture.findtext(f"{name}title") or "")
    assert said.count("HTTP503ErrorSpike") == 5
    assert picture.get("role") == "img"


def test_every_form_can_be_written() -> None:
    """Markdown, HTML, SVG and JSON have the same alert; another form is refused."""
    write = blind_spots.write
    compose = ROOT / "docker-compose.yml"
    forms = {
        form: write([], "ProjectServiceDown", compose, form, traffic=60, runs=None) for form in ("md", "html", "svg")
    }
    assert all("ProjectServiceDown" in text for text in forms.values())
    assert "<svg" in forms["html"]
    whole = json.loads(write([RULES], "CriticalServiceDown", compose, "json", traffic=60, runs=None))
    assert whole["rules"][0]["shortest"][0]["length"]["best"] == pytest.approx(60, abs=1)
    for wrong, said in (
        (("", "pdf", 60), "--format"),
        (("Nobody", "md", 60), "no alert Nobody"),
        (("", "md", 0), "--traffic"),
    ):
        alert, form, traffic = wrong
        with pytest.raises(UsageError, match=said):
            write([], alert, compose, form, traffic=traffic, runs=None)


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    """Rules that can't be read are named."""
    with pytest.raises(UsageError, match="nowhere"):
        blind_spots.write([tmp_path / "nowhere.yml"], "", ROOT / "docker-compose.yml", "md", traffic=60, runs=None)


def _section(text: str, alert: str) -> str:
    return text.partition(f"\n## {alert}\n")[2].partition("\n## ")[0].strip()
