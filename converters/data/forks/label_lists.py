"""Lists of images with several labels a line, as the fork of the tuning series' author reads them
(longpeng2008/Caffe_Long: io.cpp, ReadImagesList)."""

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from converters.data.images.lists import Entry, read_list
from converters.layers.checks import positive
from converters.layers.parts.caffe_long import is_of_caffe_long
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError
from prototxt.rawbytes import text_of

Kind = Literal["int", "float"]

_BLANKS = rb"[ \t\n\v\f\r]*"
_INT = re.compile(_BLANKS + rb"([+-]?)0*([0-9]+)")
_MOST_DIGITS = 10  # of an int
# What a stream takes for a float's text, before it is known to be one.
_FLOAT = re.compile(_BLANKS + rb"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]*)(?:(?<=[0-9.])[eE][+-]?[0-9]*)?)")
_WHOLE_FLOAT = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def entries_of(layer: LayerParameter, path: Path, label_size: int | None = None) -> list[Entry]:
    """The entries of a list as a layer of images and labels reads it: the fork's by :func:`read_labelled`,
    Caffe's by :func:`converters.data.images.lists.read_list`, where ``label_size`` may say how many labels.

    Raises InputError as these do, and where the layer says another number of labels.
    """
    if not is_of_caffe_long(layer):
        return read_list(path, label_size)
    own = layer.image_data_param.label_size
    positive(layer, label_size=own)
    if label_size not in (None, own):
        raise InputError(f"reads {own} labels a line, and not {label_size}, as is asked", layer.name)
    return read_labelled(path, own, "float" if layer.type == "ImageRegressionData" else "int")


def tells_classes(layer: LayerParameter, label_size: int | None = None) -> bool:
    """Whether the labels of such a layer are one whole number an image."""
    if not is_of_caffe_long(layer):
        return label_size is None
    return layer.image_data_param.label_size == 1 and layer.type == "ImageData"


def read_labelled(path: Path, label_size: int, kind: Kind = "int") -> list[Entry]:
    """The entries of a list whose lines are an image and its labels, parted by white space: the first
    ``label_size`` labels of each. Numbers are read as C++'s ``>>`` reads them: 3.9 as an int is 3, and ends
    the line, as any other word does.

    Raises InputError, naming file and line, for a line with another number of labels than the first, which
    an empty one has, and for a list without entries, or with fewer labels.
    """
    try:
        status = path.stat()
        return list(_entries(path, label_size, kind, status.st_size, status.st_mtime_ns))
    except OSError as error:
        raise InputError(f"{path}: cannot be read as a list ({error})") from None


@lru_cache(maxsize=4)  # a run asks for its lists again and again
def _entries(path: Path, label_size: int, kind: Kind, size: int, moment: int) -> list[Entry]:
    """The entries of the list as it is at that size and time."""
    lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    lines = lines if lines[-1] else lines[:-1]  # what ends in a newline has no line behind it
    if not lines:
        raise InputError(f"{path}: the list is empty")
    entries = [_entry(line, number, kind) for number, line in enumerate(lines, 1)]
    first = len(entries[0].labels)
    for entry in entries:
        if not entry.path or len(entry.labels) != first:
            counts = f"{len(entry.labels)} labels, the first line {first}"
            raise InputError(f"{path}:{entry.line}: {counts}: all lines have as many{_about_blanks(entry)}")
    if first < label_size:
        counts = f"{first} labels, and label_size asks for {label_size}"
        raise InputError(f"{path}:1: {counts}{_about_blanks(entries[0])}")
    return [replace(entry, labels=entry.labels[:label_size]) for entry in entries]


def _entry(line: bytes, number: int, kind: Kind) -> Entry:
    name, *rest = line.split(maxsplit=1) or [b""]
    labels = tuple(_READERS[kind](rest[0])) if rest else ()
    behind = rest[0].strip() if rest and len(rest[0].split()) > len(labels) else b""
    return Entry(text_of(name), labels, number, text_of(behind))


def _about_blanks(entry: Entry) -> str:
    """What an error adds where a line's name is likely to have gone on behind its first blank."""
    if not entry.behind:
        return ""
    return f'; the name is "{entry.path}", and "{entry.behind}" the rest: no name has a blank in such a list'


def _ints(text: bytes) -> Iterator[float]:
    place = 0
    while (found := _INT.match(text, place)) and len(found[2]) <= _MOST_DIGITS:
        value = int(found[1] + found[2])
        if not -(2**31) <= value < 2**31:
            return
        yield value
        place = found.end()


def _floats(text: bytes) -> Iterator[float]:
    place = 0
    while (found := _FLOAT.match(text, place)) and _WHOLE_FLOAT.fullmatch(found[1]):
        with np.errstate(over="ignore"):
            value = float(np.float32(found[1].decode()))
        if np.isinf(value):
            return
        yield value
        place = found.end()


_READERS: dict[Kind, Callable[[bytes], Iterator[float]]] = {"int": _ints, "float": _floats}
