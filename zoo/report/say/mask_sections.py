"""What a report shows of label maps: the IoU of each class, and pictures with their masks."""

import cv2
import numpy as np

from eval.segmentation import class_ious, mean_iou
from zoo.report.measure.masks import masked_pictures, told_masks
from zoo.report.measure.pictures import encoded_picture
from zoo.report.read.figures import Figures
from zoo.report.read.runs import Group
from zoo.report.say.figures_section import best_of
from zoo.report.say.wording import Words, percent
from zoo.report.write.document import Block, Paragraph, Picture, Pictures, Section, Table
from zoo.tasks.maps import names_of
from zoo.tasks.masks import LabelMap, coloured, palette

_SHOWN = 5  # pictures
_SIDE, _SWATCH = 140, 40  # pixels


def class_section(figures: Figures, words: Words) -> Section:
    """The IoU of each class, the mean over each group's runs."""
    names = class_names(figures)
    ious = [_ious(figures, group) for group in figures.groups]
    rows = tuple(
        (name, *("–" if np.isnan(each[place]) else percent(each[place]) for each in ious))
        for place, name in enumerate(names)
    )
    columns = (words("column.class"), *(group.label for group in figures.groups))
    table = Table(words.judged("iou.caption"), columns, rows, note=words("iou.note"))
    return Section("classes", words("iou.title"), (table,))


def class_names(figures: Figures) -> list[str]:
    """The classes' names, or their numbers."""
    return names_of(figures.first.record.get("class_names") or (), len(_ious(figures, figures.groups[0])))


def _ious(figures: Figures, group: Group) -> list[float]:
    """Of each class the mean over the group's runs; nan where one has none."""
    return [float(value) for value in class_ious(figures.sums(group).sum(1)).mean(0)]


def masks_section(figures: Figures, words: Words) -> Section:
    """Some pictures with their masks, the true one and what the first run of each group tells."""
    best = best_of(figures)
    rows = looked_at(figures, best)
    told = [(group, told_masks(group.first.model, rows)) for group in figures.groups]
    blocks: list[Block] = [Paragraph(words("masks.intro", group=best.label)), _legend(figures, words)]
    for place, (row, shown) in enumerate(zip(rows, masked_pictures(figures.first.model, rows), strict=True)):
        pictures = [
            Picture(f"mask-{place}-picture", "png", _enlarged(shown.pixels), words("masks.picture")),
            Picture(f"mask-{place}-true", "png", _drawn(shown.mask), words("masks.true")),
        ]
        for group, masks in told:
            score = percent(float(image_ious(figures, group)[row]))
            caption = words("masks.told", group=group.label, value=score)
            pictures.append(Picture(f"mask-{place}-{group.index}", "png", _drawn(masks[place]), caption))
        blocks.append(Pictures(words("masks.caption", row=row + 1), tuple(pictures), _SIDE))
    return Section("masks", words.judged("masks.title"), tuple(blocks))


def looked_at(figures: Figures, group: Group) -> list[int]:
    """Pictures from the one that the group's first run tells worst to the one that it tells best."""
    order = np.argsort(image_ious(figures, group), kind="stable")
    places = np.linspace(0, len(order) - 1, min(_SHOWN, len(order))).round().astype(int)
    return [int(order[place]) for place in places]


def image_ious(figures: Figures, group: Group) -> list[float]:
    """(N,): the mean IoU of each picture by itself, of the group's first run."""
    return [float(value) for value in np.nan_to_num(mean_iou(figures.summed[group.first.path].sums)[:, 0])]


def _legend(figures: Figures, words: Words) -> Pictures:
    """A swatch of each class's colour."""
    swatches = [
        Picture(f"mask-class-{label}", "png", _swatch(label), name)
        for label, name in enumerate(class_names(figures))
    ]
    return Pictures(words("masks.legend"), tuple(swatches), 2 * _SWATCH)


def _swatch(label: int) -> bytes:
    return encoded_picture(np.full((_SWATCH, 2 * _SWATCH, 3), palette()[label], np.uint8))


def _drawn(mask: LabelMap) -> bytes:
    return _enlarged(coloured(mask))


def _enlarged(pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> bytes:
    """An RGB picture at the report's size; what is enlarged shows its pixels."""
    scale = _SIDE / max(pixels.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return encoded_picture(
        np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=how), np.uint8)
    )
