"""Pictures of a run's validation list with their masks, the true ones and those that nets tell."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from converters.data.forks.cropping import crop_corner
from converters.data.forks.pairs import PairSource
from converters.data.images.transform import means
from eval.accuracy import run_outputs
from eval.runtime import open_session
from prototxt.errors import about
from zoo.bench.label_maps import LabelMaps, judged_pairs
from zoo.bench.models import Model
from zoo.tasks.maps import told_map
from zoo.tasks.masks import LabelMap

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class MaskedPicture:
    """A validation picture, (height, width, 3) RGB, and its true mask, as the TEST net has them."""

    pixels: Pixels
    mask: LabelMap


def masked_pictures(model: Model, places: list[int]) -> list[MaskedPicture]:
    """The pictures of the run's validation list that stand at these places among those that can be read, as
    the run's sums have them.
    """
    return [shown(pairs, images, labels) for pairs, images, labels in _served(model, places)]


def told_masks(model: Model, places: list[int]) -> list[LabelMap]:
    """What the run's net tells of them."""
    session = open_session(model.path)
    with about(str(model.where)):
        return [told_map(run_outputs(session, images)[0]) for _, images, _ in _served(model, places)]


def _served(model: Model, places: list[int]) -> list[tuple[LabelMaps, Tensor, Tensor]]:
    pairs = judged_pairs(model)
    rows = [pairs.readable[place] for place in places]
    return [(pairs, images, labels) for row in rows for images, labels in pairs.batches([row])]


def shown(pairs: LabelMaps, images: Tensor, labels: Tensor) -> MaskedPicture:
    """The first of (N, C, H, W) images and (N, 1, H, W) labels that the list serves."""
    pixels = _undone(pairs.source, images[0].permute(1, 2, 0).numpy())
    colours = pixels[..., ::-1] if pixels.shape[2] == 3 else pixels.repeat(3, 2)
    return MaskedPicture(np.ascontiguousarray(colours), labels[0, 0].numpy().astype(np.uint8))


def _undone(source: PairSource, image: Any) -> Pixels:
    """The pixels that mean and scale of a data layer were taken of; a mean image counts where the middle was
    cropped, as in TEST.
    """
    taken: Any = means(source.layer, image.shape[2])
    if source.mean is not None:
        row, column = crop_corner(tuple(source.mean.shape[:2]), image.shape[:2], None)
        taken = source.mean.numpy()[row : row + image.shape[0], column : column + image.shape[1]]
    pixels = image / (source.layer.transform_param.scale or 1) + (0 if taken is None else taken)
    return np.asarray(np.clip(np.rint(pixels), 0, 255), np.uint8)
