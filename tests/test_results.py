"""The pages' tables and examples are what the committed figures and recorded examples give."""

import json
import re
from pathlib import Path
from types import ModuleType

import pytest
from benchmark_script import load_script

ROOT = Path(__file__).parents[1]
KEYS = {
    "name", "run", "variant", "head", "seed", "precision", "runtime", "provider", "processor", "threads", "batch",
    "latency_p50_ms", "latency_p90_ms", "latency_p99_ms", "latency_spread", "images_per_second", "model_bytes",
    "top1", "top1_low", "top1_high", "top5", "images", "version_python",
}  # fmt: skip


@pytest.fixture(scope="module")
def results() -> ModuleType:
    return load_script("results")


def test_the_pages_blocks_are_the_committed_figures(results: ModuleType) -> None:
    for path in results.PAGES:
        text = path.read_text(encoding="utf-8")
        assert "<!-- results: " in text, path.name
        assert results.filled(text) == text, f"{path.name}: run `make readme`"
        assert text.count("<!-- results:") == len(results._BLOCK.findall(text)), (
            f"{path.name}: a block is open"
        )


def test_the_committed_picture_is_what_is_drawn_now(results: ModuleType) -> None:
    assert list(results.outdated()) == [], "run `make readme`"
    picture = (ROOT / "docs" / "which.svg").read_text(encoding="utf-8")
    assert picture.startswith("<svg ") and "background: #fff" in picture and "href" not in picture
    title, description = (re.search(rf"<{tag} id=[^>]*>(.+?)</{tag}>", picture) for tag in ("title", "desc"))
    assert title and description
    rows = re.findall(
        r"^\| (\S+) \| 3 \| ([\d.]+) ± \S+ \| (\S+)% \|", results.first_table("report.md"), re.M
    )
    assert len(rows) == 6
    for group, top1, interval in rows:
        assert f"{group}: top-1 {top1}%, 95% interval {interval}%" in description[1], group
        assert f">{top1}</tspan>" in picture, group


def test_a_picture_of_single_runs_and_one_of_changed_rows(
    results: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = results.which_picture("demo", {})
    rows = results.rows_of("demo")
    row = next(row for row in rows if row["variant"] == "xavier+bn+fc" and row["precision"] == "fp32")
    top1, low, high = (f"{100 * row[key]:.1f}" for key in ("top1", "top1_low", "top1_high"))
    assert f"bn+fc: top-1 {top1}%, 95% interval {low}–{high}%" in picture and "these nets" in picture
    for row in rows:
        row["model_bytes"] += 77_000_000
    (tmp_path / "demo.json").write_text(json.dumps(rows), encoding="utf-8")
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    fp32, int8 = (
        next(
            each["model_bytes"]
            for each in rows
            if (each["variant"], each["precision"]) == (row["variant"], kind)
        )
        for kind in ("fp32", "int8")
    )
    assert f">{fp32 / 1e6:.1f}</tspan> / {int8 / 1e6:.1f}<" in results.which_picture("demo", {})


def test_a_changed_figure_changes_the_block(
    results: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = json.loads((results.RESULTS / "untrained.json").read_text(encoding="utf-8"))
    rows[0]["latency_p50_ms"] = 12345.678
    (tmp_path / "untrained.json").write_text(json.dumps(rows), encoding="utf-8")
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    text = "before\n<!-- results: bench -->\nstale text\n<!-- /results -->\nafter\n"
    made = results.filled(text)
    assert "12345.68" in made and "stale text" not in made
    assert made.startswith("before\n<!-- results: bench -->\n") and made.endswith(
        "<!-- /results -->\nafter\n"
    )
    with pytest.raises(KeyError):
        results.filled("<!-- results: nothing -->\n<!-- /results -->")


def test_every_row_has_its_environment() -> None:
    for path in (ROOT / "eval" / "results").glob("*.json"):
        for row in json.loads(path.read_text(encoding="utf-8")):
            assert set(row) >= KEYS, path.name
            assert row["processor"] and row["threads"] >= 1
