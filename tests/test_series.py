"""The series' rows and its page: made from runs, read again, and told from the rows alone."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from asked_cases import TEXTS, asked, write_asking
from benchmark_script import load_script
from report_runs import stand_in

from eval.statistics import difference, interval
from zoo.catalogue import find_study
from zoo.report.read.gather import gather
from zoo.report.say.asked import Asked, asked_of
from zoo.report.say.asked_answer import asked_answer
from zoo.report.say.wording import Words
from zoo.study.expand import expand, overridden
from zoo.study.file import read_study

LANGUAGES = ("en", "zh")


@pytest.fixture(scope="module")
def page() -> ModuleType:
    load_script("series_page")  # so that it lies where what it imports is found
    import series_page

    return series_page


@pytest.fixture(scope="module")
def kept(page: ModuleType) -> ModuleType:
    import series_rows

    return series_rows


@pytest.fixture
def made(kept: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Mapping[str, Any]]:
    """A study's made-up runs, of which one seed diverged, and their rows."""
    stand_in(monkeypatch)
    question = TEXTS | {"yes": "lower", "against": {"dropout0.9": "baseline", "fc": "baseline"}}
    write_asking(tmp_path / "runs", [question, {"en": "Which?"}], failed=["dropout0.9-seed1"])
    path = tmp_path / "runs" / "study.json"
    study = json.loads(path.read_text())
    study["overrides"] = {"data": "/far/photos", "size": 24, "seeds": 3}
    study["runs"][4]["reason"] = f"code 1; {tmp_path.absolute()}/runs/dropout0.9-seed1/log.txt says more"
    path.write_text(json.dumps(study))
    for record in tmp_path.rglob("run.json"):  # as today's runs have it
        about = json.loads(record.read_text())
        about["data"]["TEST"] |= {"content": "cc", "rows": "dd", "skipped": 0}
        record.write_text(json.dumps(about))
    monkeypatch.setattr(kept, "model_columns", lambda model: {"parameters": 300, "macs": 9000})
    rows = kept.rows_of(tmp_path / "runs")
    kept.write_rows(rows, tmp_path / "own.json")
    return tmp_path, json.loads((tmp_path / "own.json").read_text())


def test_rows_are_read_as_the_report_has_them(made: tuple[Path, Mapping[str, Any]], kept: ModuleType) -> None:
    folder, rows = made
    results, study = gather(folder / "runs", None, Words("en"), conditions=(), is_benched=False)
    assert kept.asked_in(rows) == asked_of(results, study)
    assert [run["run"] for run in rows["runs"]] == [entry["name"] for entry in study["runs"]]
    lost = rows["runs"][4]
    assert lost == {"run": "dropout0.9-seed1", "state": "diverged", "reason": "code 1; dropout0.9-seed1/log.txt says more"}  # fmt: skip
    for run in rows["runs"][:4]:
        assert (
            run["seconds"] > 0 and run["processor"] == "CPU (made up)" and run["versions"]["torch"] == "2.13"
        )
        assert 0 < run["top1"] < 1 and run["iterations"] == 20
    assert rows["overrides"] == {"size": 24, "seeds": 3}
    assert [table["missing"] for table in rows["questions"]] == [["fc"], []]
    assert "/far" not in (folder / "own.json").read_text()


def test_intervals_follow_from_the_rows_bits(made: tuple[Path, Mapping[str, Any]], kept: ModuleType) -> None:
    recomputed(made[1], kept)


def recomputed(rows: Mapping[str, Any], kept: ModuleType) -> None:
    rights = {each["label"]: kept.right_of(rows, each["name"]) for each in rows["entrants"]}
    for found in kept.asked_in(rows):
        for each in found.entrants:
            assert interval(rights[each.label], rows["blocks"]) == each.accuracy
            assert rights[each.label].mean(1).tolist() == pytest.approx(each.runs)
        for pair in found.pairs:
            ours, theirs = rights[pair.group.label], rights[pair.other.label]
            assert difference(ours, theirs, rows["blocks"]) == pair.difference


def as_rows(found: Asked) -> dict[str, Any]:
    """Rows that say what is made up; of each entrant the runs that were planned."""
    columns = {"parameters": 12345, "macs": 678900, "seconds": 65.0}
    runs = []
    for each in found.entrants:
        for seed in range(each.planned):
            row = {"run": f"{each.name}-seed{seed}", "state": "diverged", "reason": "the loss is nan"}
            if seed < len(each.runs):
                row |= {"state": "finished", "top1": each.runs[seed], "iterations": 7, "images_per_step": 32}
                row |= {"seconds": 65.0, "processor": "CPU (a clock)"}
            runs.append(row)
    return {
        "title": "t",
        "overrides": {},
        "data": {"TRAIN": 1406, "TEST": 1228},
        "entrants": [asdict(each) | columns for each in found.entrants],
        "questions": [
            {
                "question": asdict(found.question),
                "entrants": [each.name for each in found.entrants],
                "pairs": [
                    {
                        "ours": pair.group.label,
                        "theirs": pair.other.label,
                        "difference": asdict(pair.difference),
                    }
                    for pair in found.pairs
                ],
                "missing": list(found.missing),
                "chance": found.chance,
            }
        ],
        "runs": runs,
        "blocks": [],
    }


WIDTH = ("width16-16-32-32-64", "baseline")
CASES = {
    "win": (asked({WIDTH: (-0.1, -0.02)}, "lower"), "yes"),
    "opposite": (asked({WIDTH: (0.02, 0.1)}, "lower"), "no"),
    "tie": (asked({WIDTH: (-0.05, 0.04)}, "lower"), "open"),
    "one seed": (asked({WIDTH: (-0.1, -0.02)}, "lower", runs=1), "open"),
    "failed": (asked({WIDTH: (-0.1, -0.02)}, "lower", planned=4), "yes"),
    "part": (asked({WIDTH: (-0.1, -0.02), ("width32-32-32-32-64", "baseline"): (-0.1, 0.02)}, "lower"), "part"),
    "against": (asked({WIDTH: (0.02, 0.1), ("width32-32-32-32-64", "baseline"): (-0.1, 0.02)}, "lower"), "against"),
    "mixed": (asked({WIDTH: (0.02, 0.1), ("width32-32-32-32-64", "baseline"): (-0.1, -0.02)}, "lower"), "mixed"),
}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("case", CASES)
def test_the_page_says_what_the_rows_show(
    case: str, language: str, page: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, claim = CASES[case]
    rows = as_rows(found)
    monkeypatch.setattr(page, "read_rows", lambda name: rows if name == "width" else None)
    words, texts = Words(language), page.TEXTS[language]
    text = page.section("width", language, texts)
    (asks,) = read_study(find_study("width")).questions
    said = texts["said width"]
    assert text.startswith(
        f"{said}\n\n    zoo study width --data GroceryStoreDataset\n\n### {asks.text(language)}\n"
    )
    unescaped = text.replace("\\", "")
    assert f"**{asked_answer(found, words).verdict}**" in unescaped and texts[f"claim {claim}"] in text
    assert "| width16-16-32-32-64 |" in text and "12,345" in text and "678,900" in text
    assert text.count("diverged" if language == "en" else "发散") == (2 if case == "failed" else 0)
    assert f"(series/{'width' if language == 'en' else 'width.zh'}.svg)" in text
    line = next(each for each in page.summary(language, texts).splitlines() if each.startswith("| width "))
    assert texts[f"short {claim}"] in line
    picture = page.picture("width", 1, language)
    assert "width16-16-32-32-64: top-1 60.0%" in picture.replace("：", ": ") and "background: #fff" in picture


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_rows_the_page_has_no_figure(
    language: str, page: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "read_rows", lambda name: None)
    texts = page.TEXTS[language]
    assert page.pictures() == {}
    for name in page.ordered():
        text = page.section(name, language, texts)
        assert text.endswith(texts["none"]) and ".svg" not in text and "|" not in text and "%" not in text
    lines = [line for line in page.summary(language, texts).splitlines() if re.match(r"\| [\w-]+ \|", line)][
        1:
    ]
    assert len(lines) == sum(len(page.questions(name)) for name in page.ordered()) >= 12
    assert all(line.endswith(f"| {texts['none short']} | – | – |") for line in lines)


def test_the_languages_say_the_same(page: ModuleType) -> None:
    english, chinese = (page.TEXTS[language] for language in LANGUAGES)
    assert english.keys() == chinese.keys() >= {f"said {name}" for name in page.ordered()}
    for key, text in english.items():
        other = chinese[key]
        assert type(text) is type(other) and (isinstance(text, str) or len(text) == len(other)), key
        assert set(re.findall(r"{(\w+)}", str(text))) == set(re.findall(r"{(\w+)}", str(other))), key


def committed() -> list[str]:
    folder = Path(__file__).parents[1] / "eval" / "results" / "series"
    return sorted(path.stem for path in folder.glob("*.json"))


@pytest.mark.parametrize("name", committed())
def test_committed_rows_are_of_todays_study(name: str, kept: ModuleType) -> None:
    rows = kept.read_rows(name)
    study = read_study(find_study(name))
    asks = [(each.yes, dict(each.against)) for each in study.questions]
    assert asks == [(each.question.yes, dict(each.question.against)) for each in kept.asked_in(rows)] and asks
    assert rows["overrides"] == {}
    planned = expand(overridden(study, rows["overrides"]), name)
    assert [run["run"] for run in rows["runs"]] == [run.name for run in planned]
    for run in rows["runs"]:
        assert "top1" not in run or (run["processor"] and run["versions"]["torch"] and run["seconds"] > 0)


def test_a_study_of_which_no_run_ended_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    series = load_script("series")
    begun: list[str] = []
    monkeypatch.setattr(series, "planned", lambda name, options: [])
    monkeypatch.setattr(series, "zoo", lambda words: begun.append(words[1]) or {"skip": 130}.get(words[1], 1))
    command = ["--data", "photos", "--runs", str(tmp_path / "runs"), "--rows", str(tmp_path / "rows")]
    (tmp_path / "runs" / "width").mkdir(parents=True)
    (tmp_path / "runs" / "depth").mkdir()
    assert series.main(["width", "depth", *command]) == 0
    assert capsys.readouterr().err.count("no rows: ") == 2 and not (tmp_path / "rows").exists()
    assert series.main(["skip", "width", *command]) == 130  # interrupted: the next is not begun
    assert begun == ["width", "depth", "skip"]


TINY = """title = "tiny"
solver = "demo_solver"
seeds = [0, 1]
max_iter = 2
batch_size = 4
size = 32
set = "test_interval: 1 test_iter: 1"
[[runs]]
variants = ["xavier+baseline", "xavier+fc"]
[[questions]]
en = "Does the head matter?"
yes = "lower"
against = { "xavier+fc" = "xavier+baseline" }
"""


@pytest.mark.slow
def test_a_study_is_estimated_trained_and_kept_and_once_more_only_kept(
    kept: ModuleType, root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    series = load_script("series")
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(TINY)
    command = ["tiny.toml", "--data", root, "--runs", "runs", "--rows", "rows", "--jobs", "1"]
    assert series.main([*command, "--estimate"]) == 0
    said = capsys.readouterr().err
    assert "the series: 4 runs, 8 iterations; measuring a few steps" in said and "the series: about " in said
    assert not Path("runs").exists()
    assert series.main([*command, "--seeds", "1"]) == 0
    assert len(json.loads(Path("rows/tiny.json").read_text())["runs"]) == 2
    assert series.main(command) == 0
    assert "the series: 2 of 4 runs left, 4 of 8 iterations" in capsys.readouterr().err
    written = Path("rows/tiny.json").read_text()
    (found,) = kept.asked_in(json.loads(written))
    assert [len(each.runs) for each in found.entrants] == [2, 2] and found.chance > 0
    recomputed(json.loads(written), kept)
    Path("rows/tiny.json").unlink()
    assert series.main(command) == 0  # nothing is left to train
    assert Path("rows/tiny.json").read_text() == written and "measuring a few" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", committed())
def test_committed_intervals_follow_from_their_bits(name: str, kept: ModuleType) -> None:
    recomputed(kept.read_rows(name), kept)
