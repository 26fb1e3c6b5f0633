"""A ``.caffemodel``: which layers hold which blobs, and where; and writing one.

Of a layer's definition only the name is read: the field numbers of the rest clash between forks of Caffe.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from prototxt.binary.blob import StoredBlob, blob_size, find_blob, write_blob
from prototxt.binary.wire import COUNTED, Field, Source, WireError, counted
from prototxt.caffe_pb2 import LayerParameter, NetParameter
from prototxt.forks import drop_fork_fields
from prototxt.rawbytes import serialized, text_of, to_message

# How a layer of each syntax is laid out: the numbers of its name, its blobs and the V0 layer inside.
_NET_LAYERS, _NET_LAYER = 2, 100
_BLOBS = 7
_LONGEST_NAME = 1 << 16


@dataclass(frozen=True)
class Layout:
    """The field numbers of a layer's name and blobs, and of a layer of older syntax in it."""

    name: int
    blobs: int
    inner: int = 0


_V0 = Layout(name=1, blobs=50)
_LAYOUTS = {_NET_LAYER: Layout(name=1, blobs=_BLOBS), _NET_LAYERS: Layout(name=4, blobs=6, inner=1)}


@dataclass
class StoredLayer:
    """A layer's name and blobs as a file has them."""

    name: str = ""
    blobs: list[StoredBlob] = field(default_factory=list)


def find_layers(source: Source) -> list[StoredLayer]:
    """Every layer, in any syntax, in the file's order. Raises WireError where the file is not a net.

    A net with ``layers`` has no other: Caffe drops ``layer`` beside them (UpgradeV1Net).
    """
    layers: dict[int, list[StoredLayer]] = {_NET_LAYERS: [], _NET_LAYER: []}
    start = 0
    while start < source.size:
        field = source.field(start, source.size)
        start = field.end
        if field.number in _LAYOUTS and field.wire == COUNTED:
            layers[field.number].append(StoredLayer())
            _find_layer(source, field, layers[field.number])
    return layers[_NET_LAYERS] or layers[_NET_LAYER]


def _find_layer(source: Source, field: Field, layers: list[StoredLayer]) -> None:
    """Read the last of ``layers`` from its field, with its name or place in what goes wrong."""
    layer = layers[-1]
    try:
        _read_layer(source, field.start, field.end, _LAYOUTS[field.number], layer)
    except WireError as error:
        called = f'"{layer.name}"' if layer.name else str(len(layers) - 1)
        raise WireError(f"layer {called}: {error}") from None


def _read_layer(source: Source, start: int, end: int, layout: Layout, layer: StoredLayer) -> None:
    while start < end:
        field = source.field(start, end)
        start = field.end
        if field.wire != COUNTED:
            continue
        if field.number == layout.name:
            layer.name = _text(source, field.start, field.end)
        elif field.number == layout.blobs:
            layer.blobs.append(_read_blob(source, field.start, field.end, len(layer.blobs)))
        elif layout.inner and field.number == layout.inner:
            _read_layer(source, field.start, field.end, _V0, layer)


def _read_blob(source: Source, start: int, end: int, index: int) -> StoredBlob:
    try:
        return find_blob(source, start, end)
    except WireError as error:
        raise WireError(f"blob {index}: {error}") from None


def _text(source: Source, start: int, end: int) -> str:
    if end - start > _LONGEST_NAME:
        raise WireError(f"a name of {end - start} bytes at byte {start}")
    return to_message(text_of(source.peek(start, end - start)))


def write_net_name(file: BinaryIO, name: str) -> None:
    """The head of a .caffemodel."""
    file.write(serialized(NetParameter(name=name)))


def write_layer(
    file: BinaryIO,
    layer: LayerParameter,
    shapes: Sequence[Sequence[int]],
    blobs: Iterable[NDArray[np.float32]],
    diffs: Iterable[NDArray[np.float32]] | None = None,
) -> None:
    """A layer's definition with its blobs, whose arrays are taken one after the other, and their diffs.

    The bytes are those that protobuf would write, fields by number, without a second copy of the blobs. What
    only forks have is left out: they read weights by layer and blob, and our numbers are not theirs.
    """
    head, tail = _around_blobs(layer)
    framed = sum(blob_size(_BLOBS, shape, diffs is not None) for shape in shapes)
    file.write(counted(_NET_LAYER, len(head) + framed + len(tail)) + head)
    left = repeat(None) if diffs is None else diffs
    for shape, blob, diff in zip(shapes, blobs, left, strict=False):
        write_blob(file, _BLOBS, shape, blob, diff)
    file.write(tail)


def _around_blobs(layer: LayerParameter) -> tuple[bytes, bytes]:
    """A layer's definition as bytes, before and after where its blobs belong."""
    head, tail = LayerParameter(), LayerParameter()
    for part in (head, tail):
        part.CopyFrom(layer)
        part.ClearField("blobs")
        drop_fork_fields(part)
    for declared, _ in layer.ListFields():
        (tail if declared.number < _BLOBS else head).ClearField(declared.name)
    return serialized(head), serialized(tail)
