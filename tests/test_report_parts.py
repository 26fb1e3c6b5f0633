"""The report's parts: what may be claimed, curves, labels, words and charts."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from report_runs import stand_in, write_bench, write_run

from eval.statistics import Interval
from zoo.bench.models import find_runs
from zoo.cli.choices import LANGUAGES
from zoo.plots.charts import new_figure, style, to_svg
from zoo.report.read import gather
from zoo.report.read.learning import curve, thinned
from zoo.report.read.runs import group_runs, partners, read_run
from zoo.report.say.accuracy_section import real_or_not
from zoo.report.say.claims import is_equal, order, ratios, shown, side, together
from zoo.report.say.wording import Words, bracketed, percent, points, read_texts, spread
from zoo.report.write.as_html import as_html
from zoo.report.write.as_markdown import as_markdown
from zoo.report.write.document import Document, Heading, Paragraph, Section, Table
from zoo.report.write.figures import confusion_chart

_SENTENCE = ("group", "baseline", "ours", "theirs", "difference", "least")


def between(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, True)


def test_a_side_is_told_only_where_the_interval_leaves_0_out() -> None:
    assert side(between(0.001, 0.2)) == "above" and side(between(-0.2, -0.001)) == "below"
    assert side(between(0.0, 0.2)) == "open" and side(between(-0.1, 0.0)) == "open"


def test_single_runs_claim_nothing_about_trainings() -> None:
    alone = Interval(0.2, 0.1, 0.3, over_seeds=False)
    assert side(alone) == "open" and shown(alone) == "these"
    assert shown(Interval(0.0, -0.01, 0.01, over_seeds=False)) == "open"
    assert not is_equal(Interval(0.0, -0.01, 0.01, over_seeds=False))
    assert shown(between(0.1, 0.2)) == "above"


def test_too_few_photographs_are_said_to_be_too_few() -> None:
    found = Interval(1.0, 0.2, 1.0, over_seeds=True, too_few=True)
    assert side(found) == "open" and shown(found) == "few"
    assert not is_equal(Interval(0.0, -0.01, 0.01, over_seeds=True, too_few=True))
    assert real_or_not(found, Words("en")) == "too few images"
    assert "real" not in Words("en")(f"accuracy.{shown(found)}", **dict.fromkeys(_SENTENCE, ""))


def test_equal_needs_the_whole_interval() -> None:
    assert is_equal(between(-0.03, 0.03)) and is_equal(between(0.01, 0.02))
    assert not is_equal(between(-0.031, 0.0)) and not is_equal(between(0.0, 0.031))


@pytest.mark.parametrize(
    ("ours", "theirs", "expected", "chance"),
    [
        ([1, 2, 3], [4, 5, 6], "below", 0.1),
        ([4, 5, 6], [1, 2, 3], "above", 0.1),
        ([1, 2, 3, 4], [5, 6, 7, 8], "below", 2 / 70),
        ([1, 5], [4, 6], "open", 1 / 3),
        ([1, 2], [2, 3], "open", 1 / 3),  # a tie is no order
        ([1], [2], "open", 1.0),
        ([], [2, 3], "open", 1.0),
        ([1, 2, 3, float("inf")], [0.1, 0.2, 0.3, 0.4], "above", 2 / 70),
    ],
)
def test_orders_with_their_chance(
    ours: list[float], theirs: list[float], expected: str, chance: float
) -> None:
    found = order(ours, theirs)
    assert found.side == expected and found.chance == pytest.approx(chance)
    assert found.is_rare == (expected != "open" and chance <= 0.05)


def test_ratios_run_over_every_pair() -> None:
    found = ratios([1, 2], [4, 8])
    assert found is not None and (found.mean, found.low, found.high) == (4, 2, 8)
    assert ratios([0, 1], [1, 2]) is None and ratios([], [1]) is None


def test_sides_together() -> None:
    assert together(["open", "open"]) == "open" == together([])
    assert together(["above", "above"]) == "above"
    assert together(["above", "open"]) == "mixed" == together(["above", "below"])


def test_a_curve_is_the_mean_over_what_all_seeds_have() -> None:
    one = [{"iteration": i, "loss": float(i)} for i in (0, 2, 4)]
    two = [{"iteration": 0, "loss": 2.0}, {"iteration": 4, "loss": 8.0}, {"iteration": 5, "loss": None}]
    found = curve([(one, [0, 1, 2]), (two, [0, 3, 4])], "loss")
    assert found is not None
    assert found.iterations == (0, 4) and found.seconds == (0, 2.5) and found.mean == (1, 6)
    assert found.low == (0, 4) and found.high == (2, 8)
    assert curve([(one, [0, 1, 2])], "accuracy") is None and curve([], "loss") is None


def test_thinned_keeps_the_ends() -> None:
    found = thinned(range(1001), 400)
    assert len(found) == 400 and found[0] == 0 and found[-1] == 1000
    assert thinned([1, 2], 400) == [1, 2]


def groups(folder: Path, planned: tuple[str, ...] = ()):  # type: ignore[no-untyped-def]
    return group_runs([read_run(model) for model in find_runs(folder)[0]], planned)


def test_groups_are_named_by_what_tells_them_apart(tmp_path: Path) -> None:
    for variant in ("fc", "bn+fc", "bn", "dropout0.9", "dropout0.5", "baseline"):
        write_run(tmp_path, variant)
        write_run(tmp_path, variant, 1)
    found = groups(tmp_path)
    assert [group.label for group in found] == ["baseline", "dropout0.5", "dropout0.9", "bn", "fc", "bn+fc"]
    assert all(len(group.runs) == 2 and group.runs[0].seed == 0 for group in found)
    pairs = [(gap.label, fc.label) for gap, fc in partners(found)]
    assert pairs == [("baseline", "fc"), ("bn", "bn+fc")]
    assert found[0].first.images_per_step == 6


def test_a_study_gives_order_and_names(tmp_path: Path) -> None:
    for name, text in (("b", "base_lr: 1"), ("a", "base_lr: 2")):
        write_run(tmp_path, name=f"{name}-seed0", options={"set": text})
    assert [group.label for group in groups(tmp_path)] == ["a", "b"]
    assert [group.label for group in groups(tmp_path, ("b-seed0", "a-seed0"))] == ["b", "a"]


def test_options_tell_apart_what_folders_do_not_name(tmp_path: Path) -> None:
    write_run(tmp_path, name="one", options={"net": "/far/deep.prototxt"})
    write_run(tmp_path, name="two", options={"net": "wide.prototxt", "size": 64})
    assert {group.label for group in groups(tmp_path)} == {
        "baseline net=deep",
        "baseline net=wide size=64",
    }


def test_a_variant_at_two_settings_is_named_by_its_folder(tmp_path: Path) -> None:
    write_run(tmp_path, name="xavier+baseline-seed0")
    write_run(tmp_path, "bn", name="xavier+bn-seed0", options={"batch_size": 3})
    write_run(tmp_path, "bn", name="xavier+bn-fast-seed0", options={"set": "base_lr: 1"})
    assert [group.label for group in groups(tmp_path)] == ["baseline", "bn", "bn-fast"]


def test_the_languages_have_the_same_texts() -> None:
    texts = {language: read_texts(language) for language in LANGUAGES}
    english = texts.pop("en")
    for language, found in texts.items():
        assert found.keys() == english.keys(), language
        for key, text in found.items():
            names = [set(re.findall(r"{(\w+)}", each)) for each in (text, english[key])]
            assert names[0] == names[1], (language, key)


def test_every_text_is_used() -> None:
    """A key stands in the code in full, or is made of a part there and a name."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in Path("zoo/report").rglob("*.py"))
    told = set(re.findall(r'"([a-z_]+(?:\.[a-z_0-9]+)?)"', code))
    made = [*re.findall(r'f"([a-z_]+)\.', code), "departure", "state", "steady", "speed"]
    for key in read_texts("en"):
        assert key in told or key.split(".")[0] in made, key


def test_numbers_as_they_are_written() -> None:
    assert percent(0.1234) == "12.3%" and points(-0.0123) == "−1.2" and points(-0.0001) == "0.0"
    assert spread([0.5]) == "50.0%" and spread([0.4, 0.6]) == "50.0 ± 14.1%"
    assert bracketed(between(-0.1, 0.2)) == "+5.0 [−10.0, +20.0]"
    words = Words("en")
    assert [words.duration(s) for s in (1.26, 60, 600, 9000, None)] == [
        "1.3 s",
        "60 s",
        "10.0 min",
        "2.5 h",
        "–",
    ]
    assert Words("zh").duration(600) == "10.0 分"


def test_whatever_a_text_holds_is_escaped() -> None:
    nasty = "<script>alert('1')</script> & | * [a](b)"
    blocks = (Paragraph(nasty), Heading(nasty), Table(nasty, (nasty,), ((nasty,),), note=nasty))
    document = Document("en", nasty, blocks, (Section("a", nasty, blocks),), nasty, nasty)
    page, text = as_html(document), as_markdown(document, "f")
    assert "<script" not in page and page.count("&lt;script&gt;") >= 12
    assert not re.search(r"(?<!\\)<", text) and "[a](b)" not in text


def test_charts_share_no_names_and_follow_the_page() -> None:
    found = []
    for height in (1, 2):
        figure = new_figure()
        with style():
            figure.subplots().plot([0, height], marker="o")
        found.append(to_svg(figure))
    names = [set(re.findall(r' id="([^"]*)"', svg)) for svg in found]
    assert names[0] and names[1] and not names[0] & names[1]
    for svg in found:
        ElementTree.fromstring(svg)
        assert (
            "currentColor" in svg and "<metadata" not in svg and "<style" not in svg and "#010203" not in svg
        )
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
        assert used and used <= set(re.findall(r' id="([^"]*)"', svg))


def test_a_confusion_matrix_of_a_class_without_images() -> None:
    svg = to_svg(confusion_chart(np.array([[3.0, 1], [0, 0]]), ["a", "b"], "x", "y"))
    assert ">75<" in svg and ">25<" in svg and "nan" not in svg.lower()


def test_what_no_bench_has_measured_is_measured_of_the_runs_that_were_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch)
    for variant, is_finished in (("baseline", True), ("bn", True), ("fc", False)):
        write_run(tmp_path, variant, finished=is_finished)
    write_bench(tmp_path)
    path = tmp_path / "bench.json"
    rows = json.loads(path.read_text())
    path.unlink()
    names: list[str] = []
    monkeypatch.setattr(
        "zoo.report.read.gather.measure_models",
        lambda models, settings: names.extend(model.path.parent.name for model in models) or rows,
    )
    results, _ = gather.gather(tmp_path, None, Words("en"))
    assert names == ["baseline-seed0", "bn-seed0"] and results.row(results.baseline) is not None
    assert capsys.readouterr().err.count("fc-seed0: not finished, left out") == 1
    assert json.loads(path.read_text()) == rows
