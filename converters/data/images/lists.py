"""ImageData's list file and how it reads an image (image_data_layer.cpp, io.cpp)."""

import codecs
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from prototxt.caffe_pb2 import ImageDataParameter
from prototxt.errors import InputError
from prototxt.rawbytes import bytes_of, readable, text_of
from prototxt.text import to_stderr

Pixels = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]
Bytes = np.ndarray[tuple[int], np.dtype[np.uint8]]


_C_INT = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)")  # what atoi reads of a text


@dataclass(frozen=True)
class Entry:
    """One line of a list: an image's path as written, its labels, and the line's number from 1.

    A path keeps its bytes, whatever they encode: those that are no text are surrogates (prototxt.rawbytes).
    """

    path: str
    labels: tuple[float, ...]
    line: int
    behind: str = ""  # what stands behind the path and is not all labels, where a blank ends a path

    @property
    def label(self) -> int:
        """The one label of a list that is read as Caffe reads it."""
        return int(self.labels[0])


def read_list(path: Path, label_size: int | None = None) -> list[Entry]:
    """The entries of a list file as Caffe reads them (image_data_layer.cpp): what stands before a line's
    last blank is the path, the rest a whole number by ``atoi``, so that -1 is a label, 1.5 is 1 and a word
    is 0; a line on stderr tells of such. With ``label_size`` the last that many words are numbers.

    Raises InputError, naming file and line, for a line without a label (Caffe takes all of it for the path)
    or without ``label_size`` numbers, and for a list without entries. Empty lines are passed over.
    """
    try:
        status = path.stat()
        return list(_entries(path, label_size, status.st_size, status.st_mtime_ns))
    except OSError as error:
        raise InputError(f"{path}: cannot be read as a list ({error})") from None


@lru_cache(maxsize=4)  # a run asks for its lists again and again: classes, labels, the pictures' shape
def _entries(path: Path, label_size: int | None, size: int, moment: int) -> list[Entry]:
    """The entries of the list as it is at that size and time."""
    lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    named = [(number, text_of(line)) for number, line in enumerate(lines, 1) if line.strip()]
    if not named:
        raise InputError(f"{path}: the list is empty")
    if label_size is not None:
        return [_numbers(path, number, line, label_size) for number, line in named]
    entries = [_entry(path, number, line) for number, line in named]
    odd = [f'{path}:{number}: "{line.strip()}"' for number, line in named if not _is_whole(line)]
    if odd:
        to_stderr(f"{odd[0]}: no whole number, read as Caffe's atoi reads it ({len(odd)} such lines)")
    return entries


def _entry(path: Path, number: int, line: str) -> Entry:
    name, _, label = line.rpartition(" ")
    if not name.strip() or not label.strip():
        tab = "; what stands there is a tab, and no blank" if "\t" in line else ""
        shown = line.strip().replace("\t", "\\t")
        raise InputError(f'{path}:{number}: "{shown}" is not "path label", parted by a blank{tab}')
    return Entry(name, (_atoi(label),), number)


def _is_whole(line: str) -> bool:
    label = line.rpartition(" ")[2].strip()
    return not label or re.fullmatch(r"[+-]?[0-9]+", label) is not None


def _atoi(text: str) -> int:
    """A C int: the digits that ``text`` begins with, after white space and a sign; 0 where it has none."""
    match = _C_INT.match(text)
    value = max(-(2**63), min(int(match[1]), 2**63 - 1)) if match else 0
    return (value + 2**31) % 2**32 - 2**31


def _numbers(path: Path, number: int, line: str, size: int) -> Entry:
    words = line.rsplit(maxsplit=size)
    try:
        labels = tuple(float(word) for word in words[1:])
    except ValueError:
        labels = ()
    if len(labels) != size:
        raise InputError(f'{path}:{number}: "{line.strip()}" is not a path and {size} numbers')
    return Entry(words[0].strip(), labels, number)


def read_image(path: Path, param: ImageDataParameter, behind: str = "") -> Pixels:
    """An image as (height, width, 3) BGR, or (…, 1) with is_color false, resized bilinearly to
    new_height × new_width where they are given. ``behind`` is :func:`image_bytes`'s.

    Raises InputError for a file that is missing, is no image, or is cut short.
    """
    return decode_image(path, image_bytes(path, behind), param)


def image_bytes(path: Path, behind: str = "") -> Bytes:
    """The bytes of an image's file. Raises InputError where it is missing, with what may be the reason;
    ``behind`` is what its line has behind the blank that ended the path, and that is not read.
    """
    if not path.is_file():
        raise InputError(f"image {path} is missing{_likely_reason(path, behind)}")
    return np.fromfile(path, np.uint8)


def _likely_reason(path: Path, behind: str) -> str:
    """Why an image that a list names may not be there: what lists of Windows have otherwise, or a blank."""
    name = str(path)
    if "\\" in name and _is_read_otherwise(name.replace("\\", "/")):
        return '; it is there with "/" for each backslash, which parts no folders here: write the list so'
    if _is_read_otherwise(name):
        return "; the file's name is in UTF-8, and the list's or root_folder's is not: convert it to UTF-8"
    return f'; "{behind}" stands behind it: no name has a blank in such a list' if behind else ""


def _is_read_otherwise(name: str) -> bool:
    """Whether a file is there by a name in UTF-8 that stands in GBK in the list or in root_folder. What of a
    list's name is UTF-8 by chance (图 in GBK is) is GBK as the rest of it is.
    """
    parts = Path(name).parts
    tails = (_from_gbk(str(Path(*parts[at:]))) for at in range(len(parts)))
    names = [Path(*parts[:at], tail) for at, tail in enumerate(tails) if tail]
    return any(each.is_file() for each in [Path(readable(name)), *names])


def _from_gbk(name: str) -> str | None:
    try:
        return bytes_of(name).decode("gbk")
    except UnicodeDecodeError:
        return None


def decode_image(path: Path, data: Bytes, param: ImageDataParameter) -> Pixels:
    """:func:`read_image` of the bytes that ``path`` holds."""
    import cv2

    # Caffe's imread fills up a JPEG that was cut short with grey; decoding from memory refuses it.
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
