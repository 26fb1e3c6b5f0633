"""The report of nets that tell numbers: who is better, against what is told always, in both languages."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from test_numbers_runs import AGES, BENCH, told_by, trained, write_pictures, write_run

from eval.statistics import Floats
from prototxt.caffe_pb2 import NetParameter
from zoo.bench.models import Model
from zoo.cli import main
from zoo.plots.charts import to_svg
from zoo.plots.scatter import scatter
from zoo.report.measure.summed import Summed
from zoo.report.read.figures import Figures
from zoo.report.read.runs import FinishedRun, Group
from zoo.report.say.figures_section import figures_section, figures_verdict, signed
from zoo.report.say.scatter_section import each_number, scatters
from zoo.report.say.wording import Words
from zoo.report.write.document import Paragraph, Table
from zoo.tasks.maps import Maps
from zoo.tasks.numbers import Numbers

LANGUAGES = ("en", "zh")
IMAGES = 60


def made_up(errors: dict[str, Sequence[float]], images: int = IMAGES, spread: float = 0.3) -> Figures:
    """Groups of runs whose mean errors are about these, a run each, and a guess whose error is 5."""
    drawn, groups, summed = np.random.default_rng(0), list[Group](), dict[Path, Summed]()
    common = drawn.normal(0, spread, images)
    for index, (label, means) in enumerate(errors.items()):
        runs = []
        for seed, mean in enumerate(means):
            run = FinishedRun(Model(label, Path(f"{label}-{seed}/model.onnx"), NetParameter()), ())
            error = np.abs(mean + common + drawn.normal(0, spread / 10, images))
            sums = np.stack([error, np.full(images, 5.0), np.ones(images)], 1)
            summed[run.path] = Summed(Numbers((5.0,)), "", sums, error[:, None], np.zeros((images, 1)))
            runs.append(run)
        groups.append(Group(label, index, tuple(runs), frozenset({label} if index else ())))
    return Figures(folder=Path("runs"), title="", groups=groups, rows={}, summed=summed)


def verdict(figures: Figures, language: str = "en") -> list[str]:
    blocks = figures_verdict(figures, Words(language))
    return [block.text for block in blocks if isinstance(block, Paragraph)]


def test_a_clear_win_is_shown() -> None:
    best, guess = verdict(made_up({"a": [2.0, 2.1, 2.05], "b": [4.0, 4.1, 4.05]}))
    assert best.startswith("a is shown to be better than every other: mean absolute error 2.0")
    assert re.match(
        r"Telling the median of the training list always comes to 5.00; a is better than that by", guess
    )


def test_a_tie_is_not_told() -> None:
    best, _ = verdict(made_up({"a": [2.0, 2.6, 2.2], "b": [2.1, 2.5, 2.3]}))
    assert best.startswith("It cannot be told which is the best of a, b")


def test_single_runs_say_nothing_of_trainings() -> None:
    best, _ = verdict(made_up({"a": [3.0], "b": [2.0]}))
    assert best.startswith("Of these runs b was the best (mean absolute error 2.0")
    assert "single run" in best


def test_few_photographs_tell_nothing() -> None:
    best, guess = verdict(made_up({"a": [3.0, 3.1], "b": [2.0, 2.1]}, images=12))
    assert "fewer than 20 photographs are too few" in best and "fewer than 20" in guess


def test_a_net_that_has_learned_nothing_does_not_beat_the_guess() -> None:
    alone, guess = verdict(made_up({"a": [5.02]}))
    assert alone.startswith("a: mean absolute error 5.0") and "is not shown" in guess


def test_a_net_that_is_shown_to_be_worse_than_the_guess_is_said_to_be() -> None:
    """About two worse than the guess's 5: an interval that leaves out 0 on the other side."""
    _, guess = verdict(made_up({"a": [7.0, 7.1, 7.05]}))
    said = re.search(r"; a is worse than that by (\S+) \(95% interval (\S+) to (\S+)\)\.$", guess)
    assert said is not None
    mean, low, high = map(float, said.groups())
    assert 1.8 < low < mean < high < 2.3


def test_the_difference_is_that_of_the_means() -> None:
    figures = made_up({"a": [2.0, 2.2], "b": [4.0, 4.1]})
    own = [figures.values(group, figures.task.main) for group in figures.groups]
    difference = figures.difference(figures.groups[1], figures.groups[0], figures.task.main)
    assert difference.mean == pytest.approx(np.mean(own[1]) - np.mean(own[0]))
    assert difference.low < difference.mean < difference.high and difference.over_seeds
    assert figures.between(figures.groups[0], *reversed(Numbers.quantities)).mean == pytest.approx(
        5 - np.mean(own[0])
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_table_has_the_figures(language: str) -> None:
    figures = made_up({"a": [2.0, 2.2], "b": [4.0, 4.1]})
    table = next(
        block for block in figures_section(figures, Words(language)).blocks if isinstance(block, Table)
    )
    assert len({len(row) for row in table.rows} | {len(table.columns)}) == 1
    mean = np.mean(figures.values(figures.groups[0], figures.task.main))
    assert table.rows[0][2].startswith(f"{mean:.2f} ± ") and table.rows[0][4] == "5.00"
    assert table.rows[1][5].startswith("+1.9") or table.rows[1][5].startswith("+2.0")


def test_differences_have_their_sign() -> None:
    mae, iou = Numbers.quantities[0], Maps.quantities[0]
    assert [signed(mae, value) for value in (-12.34, 0.0, 0.5678)] == ["−12.3", "0.00", "+0.568"]
    assert signed(mae, 0.5678, is_plain=True) == "0.568" and signed(mae, -2, is_plain=True) == "−2.00"
    assert signed(iou, -0.0123) == "−1.2"  # points


def test_the_scatter_has_a_point_a_picture() -> None:
    drawn = np.random.default_rng(0).normal(size=(2, 37)).tolist()
    figure = scatter(drawn[0], drawn[1], ("true", "told"))
    (points,) = (line for line in figure.axes[0].lines if line.get_marker() == "o")
    assert np.array_equal(points.get_xdata(), drawn[1]) and np.array_equal(points.get_ydata(), drawn[0])
    assert "<svg" in to_svg(figure)
    many = scatter([1.0] * 50_000, [2.0] * 50_000, ("true", "told"))
    assert max(len(np.atleast_1d(line.get_xdata())) for line in many.axes[0].lines) == 1000


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_of_several_numbers_has_its_errors(language: str) -> None:
    true = np.array([[1.0, 10], [4, 20], [6, 30], [7, 40]])
    told = true + np.array([[1.0, 10], [-2, 0], [3, -20], [6, 10]])
    task = Numbers((5.0, 30.0))
    sums = task.sums(torch.from_numpy(told), torch.from_numpy(true))
    run = FinishedRun(Model("a", Path("a/model.onnx"), NetParameter()), ())
    group = Group("a", 0, (run,), frozenset())
    summed = {run.path: Summed(task, "", sums, told, true)}
    figures = Figures(folder=Path("runs"), title="", groups=[group], rows={}, summed=summed)
    table = each_number(figures, Words(language))
    assert table is not None and len(table.columns) == 5
    assert [(row[1], row[2], row[4]) for row in table.rows] == [("1", "3.00", "2.00"), ("2", "10.0", "10.0")]
    charts = scatters(figures, group, Words(language))
    assert charts is not None and len(charts.charts) == 2
    assert each_number(made_up({"a": [2.0]}), Words(language)) is None


def mean_error(run: Path, folder: Path) -> float:
    true: Floats = np.array(AGES["val.txt"], float)
    return float(np.abs(told_by(run, folder)[:, 0] - true).mean())


def test_a_folder_of_runs_is_reported_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(tmp_path, AGES)
    run = trained(write_run(tmp_path))
    folder = run.parent
    assert main(["bench", str(folder), *BENCH]) == 0
    for language in LANGUAGES:
        capsys.readouterr()
        assert main(["report", str(folder), "--lang", language]) == 0
        said = capsys.readouterr().out
        assert Numbers.quantities[0].text(mean_error(run, tmp_path)) in said
        name = "report" if language == "en" else f"report.{language}"
        text = (folder / f"{name}.md").read_text(encoding="utf-8")
        assert text.index("told-0-1.svg") < text.index("**baseline") and "{" not in text
    text = (folder / "report.md").read_text(encoding="utf-8")
    worst = re.findall(r"!\[told (\S+), true (\S+)\]", text)
    true = np.array(AGES["val.txt"], float)
    order = np.argsort(-np.abs(told_by(run, tmp_path)[:, 0] - true))
    assert [float(each.replace("−", "-")) for _, each in worst] == true[order].tolist()
    assert "mean absolute error" in (folder / "report.html").read_text(encoding="utf-8")
