"""The pictures: who is taken for whom, what no net recognises, first filters, where GAP nets look."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from eval.confusion import confusion, recall, worst
from eval.robustness import PixelBatch
from zoo.report.measure.pictures import activation_maps, encoded_picture, first_filters, validation_pixels
from zoo.report.read.results import Results
from zoo.report.read.runs import Group
from zoo.report.say.wording import Words, percent
from zoo.report.write import figures
from zoo.report.write.document import (
    Block,
    Chart,
    Charts,
    Foldable,
    Paragraph,
    Picture,
    Pictures,
    Section,
    Table,
)

_WORST, _LOOKED_AT = 12, 6
SIDE = 140  # pixels of a photograph in the report: six in a row
_SHEET = 170
_HEAT = 0.6  # the map's share of an overlay where it is 1


def confusion_section(results: Results, words: Words) -> Section:
    """A confusion matrix a group, summed over its runs, and how often each class is recognised."""
    blocks = [_confusion(results, group, index == 0, words) for index, group in enumerate(results.groups)]
    intro = Paragraph(words("confusion.intro"))
    return Section("confusion", words.judged("confusion.title"), (intro, *blocks, _recalls(results, words)))


def _counts(results: Results, group: Group) -> Any:
    runs = results.of(group)
    return confusion(runs[0].labels, [item.predictions for item in runs], len(results.class_names))


def _confusion(results: Results, group: Group, is_open: bool, words: Words) -> Foldable:
    names = results.class_names
    figure = figures.confusion_chart(
        _counts(results, group), names, words("axis.predicted"), words("axis.true")
    )
    caption = words.judged("confusion.caption", group=group.label, runs=len(group.runs))
    chart = Chart.of(f"confusion-{group.index}", caption, figure, is_wide=True)
    return Foldable(group.label, (Charts((chart,)),), is_open)


def _recalls(results: Results, words: Words) -> Table:
    shares = [recall(_counts(results, group)) for group in results.groups]
    rows = [
        (name, *("–" if recalls[index] is None else percent(recalls[index] or 0.0) for recalls in shares))
        for index, name in enumerate(results.class_names)
    ]
    columns = (words("column.class"), *(group.label for group in results.groups))
    return Table(words.judged("recall.caption"), columns, tuple(rows))


def worst_section(results: Results, words: Words) -> Section | None:
    """The photographs that most runs of all groups get wrong; None where there is none."""
    runs = [run for group in results.groups for run in results.of(group)]
    labels = runs[0].labels
    rows = worst(labels, [run.predictions for run in runs], [run.confidence for run in runs], _WORST)
    if not rows:
        return None
    pixels = validation_pixels(results.first.model, rows)
    pictures = []
    for place, (row, image) in enumerate(zip(rows, pixels, strict=True), 1):
        answers = [run.predictions[row] for run in runs]
        wrong = [answer for answer in answers if answer != labels[row]]
        caption = words(
            "worst.picture",
            true=results.class_names[labels[row]],
            named=results.class_names[max(sorted(set(wrong)), key=wrong.count)],
            wrong=len(wrong),
            runs=len(runs),
        )
        pictures.append(Picture(f"worst-{place}", "jpeg", jpeg(image), caption))
    return Section(
        "worst",
        words.judged("worst.title"),
        (Pictures(words.judged("worst.caption"), tuple(pictures), SIDE),),
    )


def jpeg(image: PixelBatch) -> bytes:
    """An RGB photograph, encoded at the report's size."""
    scale = SIDE / max(image.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return encoded_picture(cv2.resize(image, None, fx=scale, fy=scale, interpolation=how), "jpeg")  # type: ignore[arg-type]


def filters_section(results: Results, words: Words) -> Section | None:
    """The first layer's filters of each group's first run; None where no net begins with a convolution."""
    sheets = [(group, first_filters(group.first.model)) for group in results.groups]
    pictures = tuple(
        Picture(f"filters-{group.index}", "png", _sheet(filters), group.label)
        for group, filters in sheets
        if filters is not None
    )
    if not pictures:
        return None
    blocks = (Paragraph(words("filters.intro")), Pictures(words("filters.caption"), pictures, _SHEET))
    return Section("filters", words("filters.title"), blocks)


def _sheet(filters: PixelBatch) -> bytes:
    """(n, h, w, 3) RGB filters side by side on a transparent sheet, enlarged without smoothing; PNG."""
    count, height, width, _ = filters.shape
    columns = int(np.ceil(np.sqrt(count)))
    lines = -(-count // columns)
    zoom = max(1, _SHEET // (columns * (width + 1)))
    sheet = np.zeros((lines * (height * zoom + 2), columns * (width * zoom + 2), 4), np.uint8)
    for index, tile in enumerate(filters):
        top, left = (index // columns) * (height * zoom + 2), (index % columns) * (width * zoom + 2)
        large = tile.repeat(zoom, 0).repeat(zoom, 1)
        sheet[top : top + height * zoom, left : left + width * zoom, :3] = large
        sheet[top : top + height * zoom, left : left + width * zoom, 3] = 255
    return encoded_picture(sheet)


def maps_section(results: Results, words: Words) -> Section | None:
    """Class activation maps of the GAP groups' first runs, over the same photographs; None without any."""
    rows = _looked_at(results)
    pixels = validation_pixels(results.first.model, rows)
    blocks: list[Block] = []
    for group in results.groups:
        maps = activation_maps(group.first.model, rows)
        if maps is None:
            continue
        pictures = [
            Picture(f"map-{group.index}-{place}", "jpeg", jpeg(_overlaid(image, heat)), caption)
            for place, (image, heat, caption) in enumerate(
                zip(pixels, maps, _named(results, group, rows, words), strict=True), 1
            )
        ]
        blocks.append(Pictures(group.label, tuple(pictures), SIDE))
    if not blocks:
        return None
    return Section("maps", words.judged("maps.title"), (Paragraph(words("maps.intro")), *blocks))


def _looked_at(results: Results) -> list[int]:
    """Photographs of different classes, spread over the classes: of each the one that the baseline's first
    run is surest of, right in one half and wrong in the other where there are such."""
    measured = results.measured[results.baseline.first.path]
    classes = sorted(set(measured.labels))
    chosen = [classes[round(i)] for i in np.linspace(0, len(classes) - 1, min(_LOOKED_AT, len(classes)))]
    rows = []
    for place, label in enumerate(chosen):
        members = [row for row, true in enumerate(measured.labels) if true == label]
        wanted = [row for row in members if measured.right[row] == (place % 2 == 0)] or members
        rows.append(max(wanted, key=lambda row: (measured.confidence[row], -row)))
    return rows


def _named(results: Results, group: Group, rows: Sequence[int], words: Words) -> list[str]:
    measured, names = results.measured[group.first.path], results.class_names
    return [
        words(
            "maps.right" if measured.right[row] else "maps.wrong",
            true=names[measured.labels[row]],
            named=names[measured.predictions[row]],
            confidence=f"{100 * measured.confidence[row]:.0f}%",
        )
        for row in rows
    ]


def _overlaid(image: PixelBatch, heat: np.ndarray[Any, np.dtype[np.float32]]) -> PixelBatch:
    """An RGB photograph under its (H, W) map of 0 to 1: the more there is in the map, the more it covers."""
    colours = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    share = _HEAT * heat[..., None]
    return np.asarray((1 - share) * image + share * colours).round().astype(np.uint8)
