"""The published study: its pages hold no photograph and no machine's path, and say no figure of their own."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STUDY = ROOT / "docs" / "study"
PAGES = ("README.md", "README.zh-CN.md")
REPORTS = ("report.md", "report.zh.md", "report.html", "report.zh.html")


def figures(text: str) -> list[str]:
    """Numbers with a decimal point, and counts with a comma: what can only have been measured."""
    return re.findall(r"\d+\.\d+|\d+(?:,\d{3})+", text)


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_of_the_answers_is_in_the_report_or_the_committed_rows(page: str) -> None:
    text = (STUDY / page).read_text(encoding="utf-8")
    known = set(figures((STUDY / "report.md").read_text(encoding="utf-8")))
    for name in ("grocery.json", "grocery-bn.json"):
        rows = json.loads((ROOT / "eval" / "results" / name).read_text(encoding="utf-8"))
        known |= {f"{100 * row['top1']:.1f}" for row in rows}
    settings = set(figures((ROOT / "zoo" / "studies" / "grocery.toml").read_text(encoding="utf-8")))
    names = {"0.5", "0.9", "0.99", "0.999", "1.0"}  # Dropout's ratios, BatchNorm's fractions
    found = [figure for figure in figures(text) if figure not in known | settings | names]
    assert len(figures(text)) > 20 and not found


@pytest.mark.parametrize("page", PAGES + REPORTS[:2])
def test_links_lead_somewhere(page: str) -> None:
    text = (STUDY / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert links
    for link in links:
        assert (STUDY / link).exists(), link


@pytest.mark.parametrize("page", REPORTS)
def test_no_photograph_and_no_place_of_a_machine_is_published(page: str) -> None:
    text = (STUDY / page).read_text(encoding="utf-8")
    assert "image/jpeg" not in text and ".jpg" not in text
    assert not re.search(r"(?<![\w.])/(tmp|work|home|root|var|usr)/", text)


def test_no_photograph_lies_there() -> None:
    kinds = {path.suffix for path in STUDY.rglob("*") if path.is_file()}
    assert kinds <= {".md", ".html", ".svg", ".png"}
