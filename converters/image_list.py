"""ImageData's list file and how it reads an image (image_data_layer.cpp, io.cpp)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prototxt.caffe_pb2 import ImageDataParameter
from prototxt.errors import InputError

Pixels = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]


@dataclass(frozen=True)
class Entry:
    """One line of a list: an image's path as written, its label, and the line's number from 1."""

    path: str
    label: int
    line: int


def read_list(path: Path) -> list[Entry]:
    """The entries of a list file: ``path label``, split at the last blank, so paths may hold blanks.

    Raises InputError, naming file and line, for a line without a whole label of 0 or more, and for a
    list without entries.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a list ({error})") from None
    entries = [_entry(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not entries:
        raise InputError(f"{path}: the list is empty")
    return entries


def _entry(path: Path, number: int, line: str) -> Entry:
    name, _, label = line.strip().rpartition(" ")
    if not name or not label.isdecimal():
        tab = "; what stands there is a tab, and no blank" if "\t" in line else ""
        shown = line.strip().replace("\t", "\\t")
        raise InputError(
            f'{path}:{number}: "{shown}" is not "path label", a label being a whole number from 0{tab}'
        )
    return Entry(name.strip(), int(label), number)


def read_image(path: Path, param: ImageDataParameter) -> Pixels:
    """An image as (height, width, 3) BGR, or (…, 1) with is_color false, resized bilinearly to
    new_height × new_width where they are given.

    Raises InputError for a file that is missing, is no image, or is cut short.
    """
    import cv2

    if not path.is_file():
        raise InputError(f"image {path} is missing")
    # Caffe's imread fills up a JPEG that was cut short with grey; decoding from memory refuses it.
    data = np.fromfile(path, np.uint8)
    flag = cv2.IMREAD_COLOR if param.is_color else cv2.IMREAD_GRAYSCALE
    try:
        image = cv2.imdecode(data, flag) if len(data) else None
    except cv2.error as error:  # more pixels than OpenCV allows
        raise InputError(f"image {path} cannot be decoded ({' '.join(str(error.err).split())})") from None
    if image is None:
        raise InputError(f"image {path} cannot be decoded")
    if param.new_height and param.new_width:
        try:
            image = cv2.resize(image, (param.new_width, param.new_height))
        except cv2.error:  # it cannot have the memory, or not so many columns
            size = f"{param.new_height}×{param.new_width}"
            raise InputError(f"image {path} cannot be resized to {size}") from None
    return image.reshape(image.shape[0], image.shape[1], -1).astype(np.uint8, copy=False)
