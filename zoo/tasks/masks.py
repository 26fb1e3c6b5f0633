"""Label maps as pictures: PNG files with a palette, and colours."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.host.files import whole
from zoo.ours import keep_others

LabelMap = NDArray[np.uint8]  # (height, width)
MOST_CLASSES = 256  # of an indexed PNG, and of a palette
_MARK = "caffe-zoo mask"  # in a text of the file, by which it is known again


def palette() -> NDArray[np.uint8]:
    """(256, 3) RGB: the colours of PASCAL VOC's label maps, 0 black, 1 dark red, 2 dark green, …, 255 nearly
    white (VOCdevkit, VOClabelcolormap.m: a label's bits, three at a time, are the colours' high bits).
    """
    labels = np.arange(MOST_CLASSES)
    colours = np.zeros((MOST_CLASSES, 3), np.uint8)
    for turn in range(8):
        for channel in range(3):
            colours[:, channel] |= (((labels >> (3 * turn + channel)) & 1) << (7 - turn)).astype(np.uint8)
    return colours


def coloured(labels: LabelMap) -> NDArray[np.uint8]:
    """(height, width, 3) RGB of a label map."""
    colours: NDArray[np.uint8] = palette()[labels]
    return colours


def check_places(paths: Sequence[Path]) -> None:
    """Raise InputError where :func:`write_mask` would write over a file that it did not write."""
    for path in paths:
        keep_others(path, "mask", _is_mask)


def write_mask(labels: LabelMap, path: Path) -> None:
    """Write a label map as an indexed PNG whose values are the classes, whole or not at all."""
    with whole(path) as beside:
        beside.write_bytes(encoded(labels))


def encoded(labels: LabelMap) -> bytes:
    """The bytes of such a PNG."""
    from PIL import Image, PngImagePlugin

    image, about, data = Image.fromarray(labels, "P"), PngImagePlugin.PngInfo(), io.BytesIO()
    image.putpalette(palette().tobytes())
    about.add_text("Software", _MARK)
    image.save(data, "PNG", pnginfo=about)
    return data.getvalue()


def _is_mask(path: Path) -> bool:
    with path.open("rb") as file:
        return _MARK.encode() in file.read(2000)
