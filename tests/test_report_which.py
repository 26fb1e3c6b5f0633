"""The report's first figure: which variant to ship, who beats whom, and what is said of it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report_runs import SHARES, stand_in, write_article, write_bench, write_run

from eval.statistics import Interval
from zoo.bench.row import is_told_slower
from zoo.cli import main
from zoo.plots.column import Cell, Panel, Value
from zoo.plots.panels import Panels, narrow, wide
from zoo.report.read.gather import gather
from zoo.report.say.choice import Candidate, Relation, beats, by_own_intervals, choose, relation
from zoo.report.say.verdict import int8, ship
from zoo.report.say.wording import Words, bounds, percent

EN = Words("en")


def row(**changes: Any) -> Any:
    """A row of the bench, as far as a choice reads it."""
    about = {"processor": "p", "threads": 2, "provider": "cpu", "batch": 1, "run": "a", "gap_run": None}
    times = {"latency_p50_ms": 1.0, "latency_spread": 0.1, "latency_floor": 0.01, "model_bytes": 1_000_000}
    return about | times | changes


def candidate(label: str, top1: float, runs: int = 3, small: Any = None, **changes: Any) -> Candidate:
    known = Interval(top1, top1 - 0.05, top1 + 0.05, over_seeds=runs > 1)
    return Candidate(label, known, row(run=label, **changes), small, top1 - 0.01 if small else None)


def always(stand: Relation) -> Callable[[Candidate, Candidate], Relation]:
    """Every pair stands so."""
    return lambda ours, theirs: stand


@pytest.fixture(scope="module")
def article(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The article's study with sizes and latencies that differ, and its reports."""
    folder = tmp_path_factory.mktemp("which")
    write_article(folder)
    path = folder / "bench.json"
    rows = json.loads(path.read_text())
    for each in rows:
        place = sorted(SHARES).index(each["variant"].removeprefix("xavier+"))
        each["model_bytes"] = (2_000_000 + 150_000 * place) // (4 if each["precision"] == "int8" else 1)
        each["latency_p50_ms"] *= 1 + place / 10
    path.write_text(json.dumps(rows))
    with pytest.MonkeyPatch.context() as patch:
        stand_in(patch)
        for language in ("en", "zh"):
            assert main(["report", str(folder), "--lang", language, "--no-images"]) == 0
    return folder


def forms(page: str) -> list[str]:
    """The wide and the narrow form of the first figure."""
    return re.findall(r"<svg .*?</svg>", page[page.index('<figure class="forms">') :])[:2]


@pytest.mark.parametrize("name", ["report.html", "report.zh.html"])
def test_the_figure_shows_the_rows_figures(article: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch)
    results, _ = gather(article, None, EN)
    drawn = forms((article / name).read_text(encoding="utf-8"))
    assert len(drawn) == 2
    for svg in drawn:
        said = re.search(r"<desc [^>]*>(.*?)</desc>", svg)
        assert said and 'role="img"' in svg and "<title " in svg
        numbers = re.findall(r"<tspan[^>]*>([^<]*)</tspan>([^<]*)</text>", svg)
        assert len(numbers) == 3 * len(SHARES)
        for place, group in enumerate(results.groups):
            full, small = results.row(group), results.row(group, "int8")
            assert full and small
            interval = results.interval(group)
            sizes = f"{full['model_bytes'] / 1e6:.2f}", f" / {small['model_bytes'] / 1e6:.2f}"
            times = f"{full['latency_p50_ms']:.2f}", f" / {small['latency_p50_ms']:.2f}"
            top1 = f"{100 * interval.mean:.1f}", f" / {100 * results.top1_at(group, 'int8')[0]:.1f}"
            assert [numbers[place + len(SHARES) * column] for column in range(3)] == [top1, sizes, times]
            for figure in (percent(interval.mean), bounds(interval), f"{full['model_bytes']:,}"):
                assert figure in said[1]


def test_marks_stand_where_their_figures_lie(article: Path) -> None:
    """The accuracies' marks, on one axis: as far apart as the figures."""
    for svg in forms((article / "report.html").read_text(encoding="utf-8")):
        values = [float(x) for x in re.findall(r"<tspan[^>]*>([\d.]+)<", svg)][: len(SHARES)]
        places = [float(x) for x in re.findall(r'<circle cx="([\d.]+)" cy="[\d.]+" r="4.2"/></?', svg)]
        pairs = sorted(zip(values, places[: len(SHARES)], strict=True))
        scale = (pairs[-1][1] - pairs[0][1]) / (pairs[-1][0] - pairs[0][0])
        assert scale > 0
        for value, place in pairs:
            assert place == pytest.approx(pairs[0][1] + scale * (value - pairs[0][0]), abs=0.3)


def test_the_picture_comes_first_and_conditions_after_the_answers(article: Path) -> None:
    for name, departed in (
        ("report.html", "Not as in the article: "),
        ("report.zh.html", "与文章不同之处："),
    ):
        page = (article / name).read_text(encoding="utf-8")
        marks = ("<h1>", '<figure class="forms">', '<p class="verdict">', departed, '<div class="answers">')
        places = [page.index(mark) for mark in (*marks, "<dl>")]
        assert places == sorted(places), name
    text = (article / "report.md").read_text(encoding="utf-8")
    assert text.index("report-figures/which.svg") < text.index("**If accuracy counts: ")
    assert text.index("Not as in the article: ") < text.index("## The answers") < text.index("- **Seeds**")


def test_answers_are_lines_with_what_they_rest_on_behind_them(article: Path) -> None:
    for page_name, text_name in (("report.html", "report.md"), ("report.zh.html", "report.zh.md")):
        page = (article / page_name).read_text(encoding="utf-8")
        text = (article / text_name).read_text(encoding="utf-8").replace("\\", "")
        found = re.findall(
            r'<details class="(?:yes|no|open)"><summary><span>(.*?)</span> <strong>(.*?)</strong></summary>(.*?)'
            r"</details>",
            page,
        )
        assert len(found) == 9 and "<article" not in page
        for question, said, rest in found:
            rests_on = [sentence.strip() for sentence in re.findall("<p>(.*?)</p>", rest)]
            assert rests_on and all(rests_on)
            lines = "".join(f"\n  - {sentence}" for sentence in rests_on)
            assert f"- {question} **{said}**{lines}\n" in text


def test_who_is_more_accurate_beats_whom_it_costs_no_more_than() -> None:
    plain, better = candidate("a", 0.6), candidate("b", 0.7)
    assert beats(better, plain, always("above")) and not beats(better, plain, always("open"))
    for cost in ({"model_bytes": 1_060_000}, {"latency_p50_ms": 1.3}):
        assert not beats(candidate("b", 0.7, **cost), plain, always("above")), cost
    assert beats(candidate("b", 0.7, model_bytes=1_040_000), plain, always("above"))  # of one size
    assert not beats(Candidate("b", better.accuracy), plain, always("above"))  # its size is not known


def test_who_is_cheaper_beats_only_whom_it_equals() -> None:
    plain = candidate("a", 0.6)
    for gain in ({"model_bytes": 900_000}, {"latency_p50_ms": 0.7}):
        cheaper = candidate("b", 0.59, **gain)
        assert beats(cheaper, plain, always("equal")) and not beats(cheaper, plain, always("open")), gain
    assert not beats(candidate("b", 0.6), plain, always("equal"))  # better in nothing


def test_a_latency_is_slower_only_where_it_is_told() -> None:
    assert is_told_slower(row(latency_p50_ms=1.2), row()) and not is_told_slower(row(), row())
    assert not is_told_slower(row(latency_p50_ms=1.05), row())  # their rounds overlap
    assert not is_told_slower(row(latency_p50_ms=1.2, latency_spread=0.4), row())
    assert not is_told_slower(row(latency_p50_ms=1.2, processor="q"), row())  # of another machine
    fc = {"latency_p50_ms": 1.05, "gap_run": "a", "run": "b", "to_gap": 1.05, "to_gap_told_apart": True}
    assert is_told_slower(row(**fc), row()) and not is_told_slower(row(), row(**fc))  # by paired rounds
    fc |= {"to_gap_told_apart": False, "latency_p50_ms": 1.2}
    assert not is_told_slower(row(**fc), row())


def test_relations_follow_the_claims() -> None:
    assert relation(Interval(0.1, 0.05, 0.15, True)) == "above"
    assert relation(Interval(0.0, -0.02, 0.02, True)) == "equal"
    assert relation(Interval(0.0, -0.05, 0.05, True)) == "open"
    assert relation(Interval(-0.3, -0.4, -0.2, False)) == "below"  # of these nets
    assert relation(Interval(-0.3, -0.4, -0.2, True, too_few=True)) == "open"
    assert by_own_intervals(candidate("a", 0.5), candidate("b", 0.61)) == "below"
    assert by_own_intervals(candidate("a", 0.5), candidate("b", 0.59)) == "open"


def test_the_verdict_says_what_counts_and_what_cannot_be_told() -> None:
    pair = [candidate("a", 0.6), candidate("b", 0.75, model_bytes=1_500_000, latency_p50_ms=2.0)]
    said = ship(choose(pair, by_own_intervals), EN)
    assert said == (
        "If accuracy counts: b (75.0%), shown to be more accurate than every other; if size counts: a (1.00 MB); "
        "if latency counts: a (1.00 ms)."
    )
    alike = choose([candidate("a", 0.6), candidate("b", 0.62)], always("open"))
    assert alike.unbeaten == alike.candidates == alike.smallest == alike.fastest
    assert ship(alike, EN) == (
        "If accuracy counts: it cannot be told, no other is shown to be below the highest (b, 62.0%); if size "
        "counts: any, since all files are within 5% of the smallest (1.00 MB); if latency counts: it cannot be "
        "told, no other is shown to be slower than the fastest (1.00 ms)."
    )


def test_of_many_the_verdict_names_few() -> None:
    many = [candidate(f"net{place}", 0.6 + place / 1000) for place in range(9)]
    large = [candidate(f"large{place}", 0.3, model_bytes=2_000_000) for place in range(4)]
    assert "if size counts: any but large0 (1.00 MB" in ship(choose([*many, large[0]], by_own_intervals), EN)
    said = ship(choose([*many, *large], by_own_intervals), EN)
    assert "it cannot be told between 9 of the 13 (in bold) (highest: net8, 60.8%)" in said


@pytest.mark.parametrize("language", ["en", "zh"])
def test_single_runs_and_few_photographs_claim_nothing_of_trainings(language: str) -> None:
    words = Words(language)
    single = choose([candidate("a", 0.3, runs=1), candidate("b", 0.7, runs=1)], by_own_intervals)
    assert [each.label for each in single.unbeaten] == ["b"] and not single.is_over_seeds
    assert words("which.best_these", group="b", top1="70.0%") in ship(single, words)
    few = [Candidate("a", Interval(0.3, 0, 1, True, too_few=True)), Candidate("b", Interval(0.7, 0, 1, True))]
    assert ship(choose(few, by_own_intervals), words) == words(
        "which.verdict_accuracy", accuracy=words("which.best_few", least=20, group="b", top1="70.0%")
    )


def test_int8_is_told_as_the_rows_have_it() -> None:
    ratio = {"to_fp32": 0.5, "to_fp32_told_apart": True, "model_bytes": 250_000}
    pair = [candidate("a", 0.6, small=row(**ratio)), candidate("b", 0.7, small=row(**ratio, run="b"))]
    assert int8(pair, EN).startswith(
        "As int8, files are 4.0× smaller, calls 2.0× as fast, and top-1 changes by −1.0"
    )
    assert "not shown to be faster" in int8([candidate("a", 0.6, small=row(model_bytes=1))], EN)
    assert int8([candidate("a", 0.6)], EN) == ""


def test_without_a_bench_the_figure_is_of_accuracy_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    for variant in ("baseline", "bn"):
        write_run(tmp_path, variant)
    (tmp_path / "bench.json").write_text("[]")
    assert main(["report", str(tmp_path), "--no-images"]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "zoo bench has measured nothing of these runs" in page
    assert all("top-1, %" in svg and "latency" not in svg and "ONNX" not in svg for svg in forms(page))


def test_one_run_has_a_figure_and_nothing_to_choose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch)
    write_run(tmp_path)
    write_bench(tmp_path)
    assert main(["report", str(tmp_path), "--no-images"]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Only baseline was trained, so there is nothing to choose" in page
    assert all("ONNX, kB" in svg and "beat" not in svg and "700" not in svg for svg in forms(page))


def test_names_are_escaped_and_wrapped() -> None:
    name = "<i>a-name & of-a-setting-that-nobody-shortened-ever</i> 名字很长很长很长很长很长很长很长很长"
    cell = Cell(Value(50, 40, 60), None, is_best=True)
    figure = Panels("t", "d", (name,), (True,), (Panel("p", (cell,), False, 1),), "f", "", "w", "b", "s")
    for svg in (wide(figure), narrow(figure)):
        lines = re.findall(r'<text x="18"[^>]*>(.*?)</text>', svg)
        assert len(lines) > 1 and "<i>" not in svg and "&lt;i&gt;" in lines[0]
