"""The report of nets that tell label maps: the verdict, class by class, and pictures with their masks."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
from mask_runs import rows

from converters.weights.mean_image import write_mean
from prototxt.text import parse_net
from zoo.bench.command import trained
from zoo.bench.label_maps import label_maps
from zoo.bench.models import Elsewhere
from zoo.cli import main
from zoo.report.figures_report import unanswered
from zoo.report.measure.masks import masked_pictures, shown, told_masks
from zoo.report.measure.summed import Summed, sum_run
from zoo.report.read.figures import Figures
from zoo.report.say.figures_section import figures_verdict
from zoo.report.say.mask_sections import class_names, class_section, looked_at
from zoo.report.say.wording import Words
from zoo.report.write.document import Paragraph
from zoo.study.study_json import StudyJson
from zoo.tasks.maps import Maps
from zoo.tasks.masks import palette

IMAGES = 60
NONE = np.empty((0, 0))


def figures_of(shares: dict[str, list[float]], names: tuple[str, ...] = ()) -> Figures:
    """Made-up groups, a run for each share: that part of each of two classes' 100 pixels is told rightly. A
    third class is neither told nor there.
    """
    groups: list[Any] = []
    summed = {}
    for index, (label, own) in enumerate(shares.items()):
        runs = []
        for seed, share in enumerate(own):
            path = Path(f"{label}-{seed}")
            right = np.random.default_rng([index, seed]).binomial(100, share, (IMAGES, 2)).astype(float)
            told, true = right + (100 - right)[:, ::-1], np.full((IMAGES, 2), 100.0)
            sums = [np.concatenate([each, np.zeros((IMAGES, 1))], 1) for each in (right, told, true)]
            summed[path] = Summed(Maps(), "", np.concatenate(sums, 1), NONE, NONE)
            runs.append(SimpleNamespace(path=path, record={"class_names": list(names)}))
        groups.append(SimpleNamespace(label=label, index=index, runs=runs, first=runs[0], variant=index))
    return Figures(folder=Path("runs"), title="", groups=groups, rows={}, summed=summed)


@pytest.mark.parametrize(
    ("shares", "begins"),
    [
        ({"baseline": [0.9, 0.91, 0.9], "bn": [0.7, 0.71, 0.7]}, "baseline is shown to be better"),
        ({"baseline": [0.9, 0.91, 0.9], "bn": [0.9, 0.9, 0.91]}, "It cannot be told which is the best of"),
        ({"baseline": [0.9], "bn": [0.7]}, "Of these runs baseline was the best (mean IoU 8"),
        ({"baseline": [0.9]}, "baseline: mean IoU 8"),
    ],
)
def test_the_verdict_is_by_mean_iou(shares: dict[str, list[float]], begins: str) -> None:
    (verdict,) = figures_verdict(figures_of(shares), Words("en"))
    assert verdict.text.startswith(begins)  # type: ignore[union-attr]


def ious_of(figures: Figures) -> list[float]:
    """Of each picture, by hand."""
    sums = figures.summed[Path("baseline-0")].sums
    return [sum(row[k] / (row[3 + k] + row[6 + k] - row[k]) for k in (0, 1)) / 2 for row in sums]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_a_study_asks_of_such_nets_is_not_passed_over(language: str) -> None:
    study = cast(StudyJson, {"runs": [], "questions": [{"en": "Is it so?", "zh": "是吗？"}]})
    figures, words = figures_of({"baseline": [0.9]}), Words(language)
    (said,) = unanswered(figures, study, words)
    assert said == Paragraph(words("figures.asked", question={"en": "Is it so?", "zh": "是吗？"}[language]))
    assert unanswered(figures, None, words) == []


def test_pictures_go_from_the_worst_to_the_best() -> None:
    made = figures_of({"baseline": [0.8]})
    ious, shown = ious_of(made), looked_at(made, made.groups[0])
    assert len(shown) == 5
    assert [ious[row] for row in shown] == sorted(ious[row] for row in shown)
    assert ious[shown[0]] == min(ious) and ious[shown[-1]] == max(ious)


def test_names_of_other_classes_are_not_taken_and_without_pixels_there_is_no_figure() -> None:
    made = figures_of({"baseline": [0.8, 0.9]}, names=("ground",))
    assert class_names(made) == ["0", "1", "2"]
    (table,) = class_section(made, Words("en")).blocks
    assert [row[0] for row in table.rows] == ["0", "1", "2"]  # type: ignore[union-attr]
    assert table.rows[2][1] == "–"  # type: ignore[union-attr]
    sums = [made.summed[Path(f"baseline-{seed}")].sums.sum(0) for seed in (0, 1)]
    mean = np.mean([each[0] / (each[3] + each[6] - each[0]) for each in sums])
    assert table.rows[0][1] == f"{100 * mean:.1f}%"  # type: ignore[union-attr]


def test_the_report_of_a_run_in_both_languages(masks: Path) -> None:
    (row,) = rows()
    for language, words in (("en", "Pictures and their masks"), ("zh", "图片和它们的掩码")):
        command = ["report", "runs", "--lang", language, "--output", f"{language}.html"]
        assert main(command) == 0
        text = Path(f"{language}.md").read_text()
        assert words in text and f"{row['mean_iou']:.1%}" in text and "triangle" in text
        true = cv2.imread(f"{language}-figures/mask-0-true.png")[..., ::-1]
        assert {tuple(colour) for colour in true.reshape(-1, 3)} <= {tuple(each) for each in palette()[:5]}
        assert len(list(Path(f"{language}-figures").glob("mask-?-picture.png"))) == 5
    assert main([*command, "--no-images"]) == 0
    assert words not in Path(f"{language}.md").read_text()


def test_a_picture_is_shown_as_its_file_has_it(masks: Path) -> None:
    assert main(["report", "runs", "--output", "pictures.html"]) == 0
    shown = cv2.imread("pictures-figures/mask-4-picture.png")
    files = [cv2.imread(str(path)) for path in sorted(Path("data/images").glob("val_*"))]
    large = [cv2.resize(each, shown.shape[1::-1], interpolation=cv2.INTER_NEAREST) for each in files]
    assert any(np.array_equal(each, shown) for each in large)


def test_pictures_behind_a_broken_one_are_those_that_were_measured(masks: Path, tmp_path: Path) -> None:
    """A run that passes over broken pairs has no sums of them: the third picture is then the list's fourth."""
    for each in ("data", "runs"):
        shutil.copytree(each, tmp_path / each)
    (tmp_path / "data/images/val_0002.png").write_bytes(b"no picture")
    record = tmp_path / "runs/masks/run.json"
    about = json.loads(record.read_text())
    about["options"]["skip_bad"] = True
    record.write_text(json.dumps(about))
    (model,) = trained(tmp_path / "runs", Elsewhere(list=tmp_path / "data/masks_val.txt"))
    assert len(sum_run(model).sums) == 5
    shown = masked_pictures(model, [0, 2, 4])
    for picture, number in zip(shown, (1, 4, 6), strict=True):
        assert np.array_equal(picture.pixels[..., ::-1], cv2.imread(f"data/images/val_{number:04d}.png"))
    assert len(told_masks(model, [0, 2, 4])) == 3


def test_a_mean_image_is_put_back(masks: Path, tmp_path: Path) -> None:
    mean = np.random.default_rng(0).integers(0, 256, (3, 64, 64)).astype(np.float32)
    write_mean(tmp_path / "mean.binaryproto", mean)
    text = f"""layer {{ name: "data" type: "ImageSegData" top: "data" top: "label"
      transform_param {{ crop_size: 40 scale: 0.5 mean_file: "{tmp_path}/mean.binaryproto" }}
      image_data_param {{ source: "masks_val.txt" batch_size: 1 }} }}"""
    pairs = label_maps(parse_net(text).layer[0], Path("data/masks_val.txt").absolute(), [])
    ((images, labels),) = pairs.batches([2])
    picture, file = shown(pairs, images, labels), cv2.imread("data/images/val_0003.png")
    assert np.array_equal(picture.pixels[..., ::-1], file[12:52, 12:52])
