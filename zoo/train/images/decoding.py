"""Images of a list decoded into one file of the cache, by several threads at once."""

import json
import os
import struct
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from torch import Tensor

from converters.data.forks.augment import is_augmented
from converters.data.images.lists import Entry, Pixels, decode_image, image_bytes
from converters.data.images.transform import check
from converters.host.files import whole, write_text
from converters.host.machine import cores
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError
from zoo.runs.sums import Sums, status_of
from zoo.train.images.ragged import Array, Ragged, Size, first_of_each_size

_SHOWN = 5  # lines of a list that a note names
Advance = Callable[[int, int], None]  # images done, images in all
_HEADER = 128  # bytes of a file before its pixels


def cached_pixels(cached: Path, count: int, skip_bad: bool) -> tuple[Array | Ragged, set[int]] | None:
    """The pixels that the cache holds of a list of ``count`` images, and the rows that they lack; None where
    it holds none, or a file that is not whole.
    """
    try:
        pixels = np.asarray(np.load(cached, mmap_mode="r", allow_pickle=False))  # mapped, without its class
        bad = set(json.loads(_bad_rows(cached).read_text())) if skip_bad else set()
        sizes = np.load(_sizes(cached), allow_pickle=False) if pixels.ndim == 1 else None
        is_whole = pixels.dtype == np.uint8 and bad < set(range(count))
        if sizes is None:
            is_whole &= pixels.ndim == 4 and len(pixels) == count
            return (pixels[: count - len(bad)], bad) if is_whole else None
        is_whole &= sizes.dtype == np.int64 and sizes.shape == (count - len(bad), 3) and (sizes > 0).all()
        return (Ragged.of(pixels, sizes), bad) if is_whole else None
    except (OSError, ValueError, EOFError, TypeError):  # TypeError: JSON, and no list
        return None


def _bad_rows(cached: Path) -> Path:
    """Beside an array decoded with ``skip_bad``: the list's rows that it lacks, as JSON."""
    return cached.with_suffix(".bad.json")


def _sizes(cached: Path) -> Path:
    """Beside the bytes of images of sizes of their own: those sizes, (N, 3)."""
    return cached.with_suffix(".sizes.npy")


@dataclass(frozen=True)
class Listed:
    """The images of a list, by row from 0."""

    layer: LayerParameter
    list_path: Path
    entries: Sequence[Entry]
    paths: Sequence[Path]
    skip_bad: bool
    own_sizes: bool = False  # whether the layer takes images of several sizes
    sums: Sums | None = None

    def read(self, row: int) -> Pixels | None:
        """One image, its sum taken on the way; None for a bad one that is to be passed over."""
        path = self.paths[row]
        try:
            status, data = status_of(path), image_bytes(path, self.entries[row].behind)
            if self.sums is not None and status is not None:
                self.sums.take(path, status, data.data)
            return decode_image(path, data, self.layer.image_data_param)
        except InputError as error:
            if self.skip_bad:
                return None
            place = f"{self.list_path}:{self.entries[row].line}"
            raise InputError(f"{place}: {error} (--skip-bad passes over such images)") from None

    def first(self) -> Pixels:
        """The first image that can be read."""
        for row in range(len(self.entries)):
            if (image := self.read(row)) is not None:
                return image
        raise InputError(f"{self.list_path}: none of its {len(self.entries)} images can be read")

    def check(self, pixels: Array | Ragged, bad: Collection[int], mean: Tensor | None) -> None:
        """Raise InputError for the first image that the layer, with its mean image, cannot take; ``pixels``
        are all but those of the ``bad`` rows.
        """
        rows = [row for row in range(len(self.entries)) if row not in bad]
        sizes = first_of_each_size(pixels)
        for place, size in sizes:
            self.check_size(rows[place], size, sizes[0][1])
            if is_augmented(self.layer):  # which decides what size they have by then
                continue
            try:
                check(self.layer, *size, mean)
            except InputError as error:
                raise InputError(f"{self.place(rows[place])}: {error}") from None

    def check_size(self, row: int, size: Size, first: Size) -> None:
        """Raise InputError for an image of another size than the first where all must have one."""
        if size != first and not self.own_sizes:
            sizes = f"{_said(size)}, the first is {_said(first)}"
            raise InputError(f"{self.place(row)} is {sizes}; give new_height and new_width")

    def place(self, row: int) -> str:
        """What messages call an image."""
        return f"{self.list_path}:{self.entries[row].line}: image {self.paths[row]}"


@dataclass
class _Decoded:
    """What was decoded so far: the size of each image, and the rows that were passed over."""

    sizes: list[Size] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)


def decode(target: Path, listed: Listed, advance: Advance) -> None:
    """Fill ``target`` with every image of the list, several threads decoding at once: an array (N, height,
    width, channels) where all have one size, else their bytes one after another, with their sizes beside.
    """
    first = listed.first()
    if not listed.own_sizes:
        check(listed.layer, *first.shape)  # before the work
    with whole(target) as beside, beside.open("r+b") as file:
        if not listed.own_sizes:
            _reserve(file, _HEADER + len(listed.entries) * first.nbytes)
        file.seek(_HEADER)
        decoded = _Decoded()
        _fill(file, listed, decoded, advance)
        has_one = len(set(decoded.sizes)) == 1
        file.write(bytes(len(decoded.bad) * first.nbytes if has_one else 0))  # as many rows as the list has
        shape = (len(listed.entries), *first.shape) if has_one else (file.tell() - _HEADER,)
        file.truncate()
        file.seek(0)
        file.write(_header(shape))
        if not has_one:
            with whole(_sizes(target)) as table:
                np.save(table, np.array(decoded.sizes, np.int64))
        if listed.skip_bad:
            write_text(_bad_rows(target), json.dumps(decoded.bad))


def _fill(file: BinaryIO, listed: Listed, decoded: _Decoded, advance: Advance) -> None:
    """Write the images' bytes one after another."""
    rows = range(len(listed.entries))
    with ThreadPoolExecutor(cores()) as pool:
        try:
            for row, image in enumerate(pool.map(listed.read, rows)):
                if image is None:
                    decoded.bad.append(row)
                else:
                    decoded.sizes.append(image.shape)
                    listed.check_size(row, image.shape, decoded.sizes[0])
                    file.write(np.ascontiguousarray(image).data)
                advance(row + 1, len(rows))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _reserve(file: BinaryIO, size: int) -> None:
    """Ask for so many bytes on disk, where the system can: a full one is told of before the work."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)


def _header(shape: tuple[int, ...]) -> bytes:
    """The beginning of an .npy file of bytes (numpy.lib.format, version 1.0), always as long: the shape is
    known when all is written.
    """
    text = repr({"descr": "|u1", "fortran_order": False, "shape": shape})
    magic = np.lib.format.magic(1, 0)
    padded = text.encode().ljust(_HEADER - len(magic) - 3) + b"\n"
    return magic + struct.pack("<H", len(padded)) + padded


def _said(size: Size) -> str:
    return f"{size[0]}×{size[1]}"


def skip_note(name: str, count: int, lines: Sequence[int] = ()) -> str | None:
    """A line about what --skip-bad passed over, with the first of its ``lines`` in a list where they are
    known; None where it was nothing.
    """
    shown = ", ".join(map(str, lines[:_SHOWN])) + (", …" if len(lines) > _SHOWN else "")
    where = f" (line{'s' * (len(lines) > 1)} {shown})" if lines else ""
    return f"{name}: {count} broken {'entry' if count == 1 else 'entries'} skipped{where}" if count else None
