"""--list: every table, caption and title whose figures are of that list names it; whose list it is is checked."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from report_runs import measured, stand_in, write_article
from tiny import write_run
from train_runs import train

from eval.robustness import Condition
from prototxt.errors import InputError
from zoo.bench.command import trained
from zoo.bench.images import check_classes
from zoo.bench.models import HERE, Elsewhere, Model
from zoo.cli import main
from zoo.report.command import compose
from zoo.report.measure.measured import Measured
from zoo.report.read import gather
from zoo.report.say.wording import Words
from zoo.report.write.as_markdown import as_markdown
from zoo.report.write.document import AnswerList, Charts, Document, Table, TwoForms

BENCH = ["--runs", "1", "--batch-sizes", "1", "--threads", "1"]


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], Document]:
    """The article's study as a document in a language, judged by the runs' own list or by other.txt."""
    folder = tmp_path_factory.mktemp("article")
    write_article(folder)
    (folder / "other.txt").write_text("".join(f"{row}.png {row % 3}\n" for row in range(60)))
    own = json.loads((folder / "bench.json").read_text())
    rows = [row | {"list": "other.txt", "content": "cc", "top1": 0.9 * row["top1"]} for row in own]
    (folder / "bench.json").write_text(json.dumps(own + rows))

    @cache
    def composed(language: str, is_other: bool) -> Document:
        with pytest.MonkeyPatch.context() as patch:
            stand_in(patch)
            patch.setattr(gather, "measure_run", answers_on_other if is_other else measured)
            patch.setattr(gather, "open_list", lambda *_: SimpleNamespace(content="cc"))
            where = Elsewhere(list=folder / "other.txt") if is_other else HERE
            words = Words(language, "other.txt" if is_other else None)
            return compose(*gather.gather(folder, None, words, where), words, has_photographs=True)

    return composed


def answers_on_other(model: Model, conditions: Sequence[Condition]) -> Measured:
    """What the same nets answer on the other list: less, and otherwise."""
    plain = measured(model, conditions)
    wrong = [(label + 1) % 3 if row % 5 else label for row, label in enumerate(plain.labels)]
    return replace(
        plain,
        predictions=wrong,
        in_top5=[bool(row % 7) for row in range(len(wrong))],
        confidence=[share * share for share in plain.confidence],
        robustness={
            key: "0" * at + right[at:] for at, (key, right) in enumerate(plain.robustness.items(), 3)
        },
    )


def shown(blocks: Iterable[Any]) -> Iterator[tuple[str, object]]:
    """(caption, figures) of everything that shows some."""
    for block in blocks:
        if isinstance(block, Table):
            yield block.caption, block.rows
        elif isinstance(block, Charts):
            yield from ((chart.caption, chart.svg) for chart in block.charts)
        elif isinstance(block, TwoForms):
            yield block.title, block.wide
        elif isinstance(block, AnswerList):
            yield from ((answer.question, answer.sentences) for answer in block.answers)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_whatever_is_of_another_list_names_it(language: str, documents: Any) -> None:
    own, other = (list(shown(documents(language, is_other).blocks())) for is_other in (False, True))
    assert len(own) == len(other) > 20
    for (plain, before), (caption, after) in zip(own, other, strict=True):
        assert ("other.txt" in caption) == (before != after), caption
        assert "other.txt" not in plain
    titles = {section.key: section.title for section in documents(language, True).sections}
    of_it = {key for key, title in titles.items() if "other.txt" in title}
    assert of_it == {"accuracy", "heads", "robustness", "confusion", "worst", "maps"}
    text = as_markdown(documents(language, True), "figures")
    assert Words(language)("which.judged", list="other.txt") in text
    assert text.count("zoo report") and "--list other.txt" in text and " cc" in text


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of three named classes, a twin of its list and one of other pictures."""
    folder = tmp_path_factory.mktemp("other")
    (folder / "data").mkdir()
    solver = write_run(folder / "data", max_iter=2)
    (folder / "data" / "classes.txt").write_text("cat\ndog\nfox\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        assert train(solver, "--root", "data", "--output", "runs/a") == 0
        for name in ("far", "near"):
            shutil.copytree("data", name)
        Path("far/val.txt").write_text(Path("data/train.txt").read_text())
        for options in ([], ["--list", "far/val.txt", "--plot", "plots", "--csv", "rows.csv"]):
            assert main(["bench", "runs", *BENCH, *options]) == 0
    return folder


def rows_of(folder: Path) -> dict[str | None, list[dict[str, Any]]]:
    rows = json.loads((folder / "runs" / "bench.json").read_text())
    return {name: [row for row in rows if row["list"] == name] for name in {row["list"] for row in rows}}


def test_rows_on_the_runs_own_list_stay(run: Path) -> None:
    rows = rows_of(run)
    assert {name: own[0]["images"] for name, own in rows.items()} == {None: 6, str(run / "far/val.txt"): 15}
    assert "top-1 accuracy on val.txt" in (run / "plots" / "accuracy.svg").read_text()


def test_a_list_is_known_by_what_it_holds(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """near/val.txt is the run's own list to the byte, far/val.txt another of the same name."""
    monkeypatch.chdir(run)
    by_list = {name: own[0]["top1"] for name, own in rows_of(run).items()}
    model = trained(Path("runs"))[0]
    for name, top1 in (("near/val.txt", by_list[None]), ("far/val.txt", by_list[str(run / "far/val.txt")])):
        where = Elsewhere(list=Path(name))
        results, _ = gather.gather(Path("runs"), None, Words("en", "val.txt"), where)
        assert results.top1_at(results.baseline, "fp32") == [top1], name
    shutil.copytree("far", "third")
    Path("third/val.txt").write_text("class 1_2.png 1\n")
    results, _ = gather.gather(Path("runs"), None, Words("en"), Elsewhere(list=Path("third/val.txt")))
    assert results.top1_at(results.baseline, "fp32") == [] and results.row(results.baseline) is not None
    assert model.record is not None


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("cat\nfox\ndog\n", "class 1 fox, not dog"),
        ("cat\ndog\n", "class 2 unset, not fox"),
        ("cat\ndog\nfox\nzebra\n", "class 3 zebra, not unset"),
    ],
)
def test_a_list_of_other_classes_is_refused(
    names: str,
    said: str,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(run)
    shutil.copytree("data", tmp_path / "data")
    path = tmp_path / "data" / "val.txt"
    (tmp_path / "data" / "classes.txt").write_text(names)
    for command in (["bench", "runs", *BENCH], ["report", "runs"]):
        assert main([*command, "--list", str(path)]) == 2
        assert f"{path}: the classes.txt beside it has {said}" in capsys.readouterr().err.splitlines()[-1]
    (tmp_path / "data" / "classes.txt").unlink()
    check_classes(trained(Path("runs"), Elsewhere(list=path))[0])  # nothing to compare
    path.write_text("class 1_2.png 7\n")
    with pytest.raises(InputError, match="label 7 is out of range for 3 classes"):
        trained(Path("runs"), Elsewhere(list=path))
