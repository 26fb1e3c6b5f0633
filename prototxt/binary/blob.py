"""A blob inside a binary file: its shape, and where its values lie (BlobProto); and writing one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from prototxt.binary.wire import (
    COUNTED,
    EIGHT_BYTES,
    FOUR_BYTES,
    VARINT,
    Field,
    Source,
    WireError,
    counted,
    signed,
)
from prototxt.caffe_pb2 import BlobShape

MAX_AXES = 32  # kMaxBlobAxes in blob.hpp
_LEGACY_AXES = 4
_DATA, _DIFF, _SHAPE, _DOUBLE_DATA = 5, 6, 7, 8
_RAW_TYPE, _RAW_DATA = 10, 12  # of NVIDIA's Caffe: bytes, and of which type (its enum Type; 0 where unset)
_RAW_ITEMS = tuple(map(np.dtype, ("<f8", "<f4", "<f2", "<i4", "<u4")))
_PIECE = 1 << 18  # values converted in one go
# What holds values, and how wide one is where each has a tag of its own.
_KINDS: dict[int, tuple[np.dtype[np.generic], int]] = {
    _DATA: (np.dtype("<f4"), FOUR_BYTES),
    _DOUBLE_DATA: (np.dtype("<f8"), EIGHT_BYTES),
}


@dataclass(frozen=True)
class Chunk:
    """Values in a row; ``item`` is one as it lies there, with its tag where it has one."""

    offset: int
    count: int
    item: np.dtype[np.generic]

    def read_into(self, source: Source, out: NDArray[np.float32]) -> None:
        """Fill a flat array with these values: in one read where they lie as it holds them."""
        if self.item == out.dtype:
            source.read_into(self.offset, out)
            return
        for start in range(0, self.count, _PIECE):
            piece = np.empty(min(_PIECE, self.count - start), self.item)
            source.read_into(self.offset + start * self.item.itemsize, piece)
            with np.errstate(over="ignore"):  # Caffe's own conversion makes such doubles infinite too
                out[start : start + len(piece)] = piece["value"] if self.item.names else piece


@dataclass
class StoredBlob:
    """A blob's shape, legacy if it is in the four old fields, and its values' places."""

    shape: tuple[int, ...] = ()
    is_legacy: bool = False
    raw: Chunk | None = None
    chunks: dict[int, list[Chunk]] = field(default_factory=lambda: {_DATA: [], _DOUBLE_DATA: []})

    @property
    def values(self) -> list[Chunk]:
        """The chunks that count: NVIDIA's raw data where there are any, else the doubles, else the floats
        (Blob::FromProto, of NVIDIA's Caffe and of BVLC's).
        """
        if self.raw:
            return [self.raw]
        doubles = self.chunks[_DOUBLE_DATA]
        return doubles if any(chunk.count for chunk in doubles) else self.chunks[_DATA]

    @property
    def count(self) -> int:
        """How many values the file has."""
        return sum(chunk.count for chunk in self.values)

    def fits(self, shape: Sequence[int]) -> bool:
        """Blob::ShapeEquals: equal, or the old four axes after ones in front are taken off."""
        ones = (1,) * (_LEGACY_AXES - len(shape)) if self.is_legacy else ()
        return self.shape == (*ones, *shape)

    def problem(self) -> str | None:
        """What is wrong with the blob in itself, in words."""
        if len(self.shape) > MAX_AXES:
            return f"has {len(self.shape)} axes; Caffe takes up to {MAX_AXES}"
        if min(self.shape, default=0) < 0:
            return f"has shape {self.shape}, with a negative size"
        if math.prod(self.shape) == self.count:
            return None
        return f"has shape {self.shape}, {math.prod(self.shape)} values, but {self.count} are stored"

    def read_into(self, source: Source, out: NDArray[np.float32]) -> None:
        """Fill a flat array of ``count`` values."""
        start = 0
        for chunk in self.values:
            chunk.read_into(source, out[start : start + chunk.count])
            start += chunk.count


def find_blob(source: Source, start: int, end: int) -> StoredBlob:
    """The blob whose message lies at ``start`` to ``end``. Raises WireError where that is none."""
    dims: list[int] = []
    legacy: dict[int, int] = {}
    blob, raw, raw_type = StoredBlob(), None, 0
    while start < end:
        field = source.field(start, end)
        if field.number in _KINDS:
            start = _add_chunk(source, start, field, end, blob)
            continue
        if field.number <= _LEGACY_AXES and field.wire == VARINT:
            legacy[field.number] = signed(field.value)
        elif field.number == _SHAPE and field.wire == COUNTED:
            dims += _dims(source, field.start, field.end)
        elif field.number == _RAW_TYPE and field.wire == VARINT:
            raw_type = field.value
        elif field.number == _RAW_DATA and field.wire == COUNTED:
            raw = field
        start = field.end
    blob.raw = _raw_chunk(raw, raw_type) if raw else None
    blob.is_legacy = bool(legacy)
    blob.shape = tuple(legacy.get(axis, 0) for axis in range(1, _LEGACY_AXES + 1)) if legacy else tuple(dims)
    return blob


def _add_chunk(source: Source, start: int, field: Field, end: int, blob: StoredBlob) -> int:
    """Note the values of the field at ``start``, packed or one by one, and say where they end."""
    item, wire = _KINDS[field.number]
    chunks = blob.chunks[field.number]
    if field.wire == COUNTED:
        chunks.append(_whole_values(field, item))
    elif field.wire == wire and field.start - start == 1:
        tagged = np.dtype([("tag", "u1"), ("value", item)])
        chunks.append(Chunk(start, source.run(start, end, tagged), tagged))
        return start + chunks[-1].count * tagged.itemsize
    elif field.wire == wire:  # a tag written longer than need be
        chunks.append(Chunk(field.start, 1, item))
    return field.end


def _raw_chunk(field: Field, kind: int) -> Chunk:
    """The values of NVIDIA's raw_data. Raises WireError for a type that it does not have."""
    if kind >= len(_RAW_ITEMS):
        raise WireError(f"raw_data of type {kind}, which NVIDIA's Caffe does not have")
    return _whole_values(field, _RAW_ITEMS[kind])


def _whole_values(field: Field, item: np.dtype[np.generic]) -> Chunk:
    count, odd = divmod(field.end - field.start, item.itemsize)
    if odd:
        raise WireError(f"{field.end - field.start} bytes from byte {field.start} on are no whole values")
    return Chunk(field.start, count, item)


def _dims(source: Source, start: int, end: int) -> list[int]:
    """BlobShape's only field, packed or not."""
    dims = []
    while start < end:
        field = source.field(start, end)
        start = field.end
        if field.number == 1 and field.wire == VARINT:
            dims.append(signed(field.value))
        elif field.number == 1 and field.wire == COUNTED:
            dims += _packed(source, field.start, field.end)
    return dims


def _packed(source: Source, start: int, end: int) -> list[int]:
    values = []
    while start < end:
        value, start = source.varint(start, end)
        values.append(signed(value))
    return values


def write_blob(
    file: BinaryIO,
    number: int,
    shape: Sequence[int],
    blob: NDArray[np.float32],
    diff: NDArray[np.float32] | None = None,
) -> None:
    """A blob as the field ``number``, in the bytes that protobuf would write (Blob::ToProto)."""
    size, dims = _bytes(shape), _encoded(shape)
    file.write(counted(number, _inner_size(shape, diff is not None)))
    for field_number, values in ((_DATA, blob), (_DIFF, diff)):
        if size and values is not None:
            file.write(counted(field_number, size))
            file.write(values.astype("<f4", copy=False).reshape(-1).view(np.uint8).data)
    file.write(dims)


def blob_size(number: int, shape: Sequence[int], has_diff: bool = False) -> int:
    """How many bytes :func:`write_blob` writes."""
    inner = _inner_size(shape, has_diff)
    return len(counted(number, inner)) + inner


def _inner_size(shape: Sequence[int], has_diff: bool) -> int:
    size = _bytes(shape)
    values = len(counted(_DATA, size)) + size if size else 0
    return values * (2 if has_diff else 1) + len(_encoded(shape))


def _encoded(shape: Sequence[int]) -> bytes:
    """The field ``shape``, which Caffe does not write for a blob of no axes."""
    dims = BlobShape(dim=shape).SerializeToString()
    return counted(_SHAPE, len(dims)) + dims if shape else b""


def _bytes(shape: Sequence[int]) -> int:
    return 4 * math.prod(shape)
