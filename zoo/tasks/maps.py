"""A class a pixel: label maps, by pixel accuracy and intersection over union (IoU)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from torch import Tensor

from converters.graph import Graph, Node
from converters.layers.registry import record_of
from eval.segmentation import class_ious, mean_iou, pixel_accuracy, pixel_counts
from eval.statistics import Floats
from prototxt.errors import InputError
from zoo.tasks.masks import MOST_CLASSES, LabelMap
from zoo.tasks.task import Columns, Quantity, SummedTask, figures
from zoo.variants.sizing import ignored_labels

VOID = 255  # what PASCAL VOC marks borders with, and most lists leave out


@dataclass(frozen=True)
class Maps(SummedTask):
    """The task of a segmentation net; pixels with ``ignored`` labels do not count."""

    ignored: frozenset[int] = frozenset({VOID})

    name: ClassVar[str] = "maps"
    title: ClassVar[str] = "label maps"
    quantities: ClassVar[tuple[Quantity, ...]] = (
        Quantity("mean_iou", "mean IoU", mean_iou),
        Quantity("pixel_accuracy", "pixel accuracy", pixel_accuracy),
    )

    @classmethod
    def told(cls, graph: Graph) -> Self | None:
        """Of a net with a layer that scores classes against what a list of images and label maps holds."""
        judges = [node.layer for node in graph.nodes if _judges_maps(node, graph)]
        return cls(frozenset(ignored_labels(judges))) if judges else None

    def sums(self, answers: Tensor, truth: Tensor) -> Floats:
        """As :func:`eval.segmentation.pixel_counts`."""
        return pixel_counts(answers, truth, self.ignored)

    def columns(self, sums: Floats) -> Columns:
        """Besides the quantities the IoU of each class, None of one that is neither told nor there."""
        ious = figures(class_ious, sums)
        own = {"class_iou": [figure.mean for figure in ious]}
        own |= {"class_iou_low": [figure.low for figure in ious]}
        own |= {"class_iou_high": [figure.high for figure in ious]}
        return super().columns(sums) | own


def _judges_maps(node: Node, graph: Graph) -> bool:
    """Whether a layer scores classes against a label map of the data, as it is or made smaller."""
    if not record_of(node.layer).scores_classes:
        return False
    needed = {node.inputs[1]}
    for each in reversed(graph.nodes):
        if needed.intersection(each.outputs):
            needed.update(each.inputs)
            tops = record_of(each.layer).data_tops
            if tops is not None and tops.are_pairs and needed.intersection(each.outputs[1:]):
                return True
    return False


def names_of(names: Sequence[str], count: int) -> list[str]:
    """The names of ``count`` classes of pixels; their numbers where these are the names of other classes:
    of another number, as those of pictures in the same folder are.
    """
    return list(names) if len(names) == count else list(map(str, range(count)))


def told_map(scores: Tensor) -> LabelMap:
    """(H, W): the class that a picture's (C, H, W) scores name for each pixel, as
    :func:`eval.segmentation.pixel_counts` counts it. Raises InputError for more classes than a mask can hold.
    """
    if len(scores) > MOST_CLASSES:
        raise InputError(f"tells {len(scores)} classes, and a mask's pixels have {MOST_CLASSES} values")
    return np.asarray(scores.argmax(0).numpy(), np.uint8)
