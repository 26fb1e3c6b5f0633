"""Images of a list decoded into one array on disk, by several threads at once."""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters.data.images.lists import Entry, Pixels, decode_image, image_bytes
from converters.data.images.transform import check
from converters.host.files import whole, write_text
from converters.host.machine import cores
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError
from zoo.runs.sums import Sums, status_of

Advance = Callable[[int, int], None]  # images done, images in all
Array = np.ndarray[tuple[int, int, int, int], np.dtype[np.uint8]]


def cached_pixels(cached: Path, count: int, skip_bad: bool) -> tuple[Array, set[int]] | None:
    """The pixels that the cache holds of a list of ``count`` images, and the rows that they lack; None where
    it holds none, or a file that is not whole.
    """
    try:
        pixels: Array = np.load(cached, mmap_mode="r", allow_pickle=False)
        bad = set(json.loads(_bad_rows(cached).read_text())) if skip_bad else set()
    except (OSError, ValueError, EOFError, TypeError):  # TypeError: JSON, and no list
        return None
    is_whole = pixels.dtype == np.uint8 and pixels.ndim == 4 and len(pixels) == count
    return (pixels[: count - len(bad)], bad) if is_whole and bad < set(range(count)) else None


def _bad_rows(cached: Path) -> Path:
    """Beside an array decoded with ``skip_bad``: the list's rows that it lacks, as JSON."""
    return cached.with_suffix(".bad.json")


@dataclass(frozen=True)
class Listed:
    """The images of a list, by row from 0."""

    layer: LayerParameter
    list_path: Path
    entries: Sequence[Entry]
    paths: Sequence[Path]
    skip_bad: bool
    sums: Sums | None = None

    def read(self, row: int) -> Pixels | None:
        """One image, its sum taken on the way; None for a bad one that is to be passed over."""
        path = self.paths[row]
        try:
            status, data = status_of(path), image_bytes(path)
            if self.sums is not None and status is not None:
                self.sums.take(path, status, data.data)
            return decode_image(path, data, self.layer.image_data_param)
        except InputError as error:
            if self.skip_bad:
                return None
            place = f"{self.list_path}:{self.entries[row].line}"
            raise InputError(f"{place}: {error} (--skip-bad passes over such images)") from None

    def first(self) -> Pixels:
        """The first image that can be read, whose size all must have."""
        for row in range(len(self.entries)):
            if (image := self.read(row)) is not None:
                return image
        raise InputError(f"{self.list_path}: none of its {len(self.entries)} images can be read")

    def of_size(self, row: int, image: Pixels, first: Pixels) -> Pixels:
        """The image, or InputError where its size is not the first one's."""
        if image.shape != first.shape:
            raise InputError(
                f"{self.list_path}:{self.entries[row].line}: image {self.paths[row]} is {_size(image)}, the "
                f"first is {_size(first)}; give new_height and new_width"
            )
        return image


def decode(target: Path, listed: Listed, advance: Advance) -> None:
    """Fill ``target`` with every image of the list, several threads decoding at once."""
    first = listed.first()
    check(listed.layer, *first.shape)
    with whole(target) as beside:
        array = _allocated(beside, (len(listed.entries), *first.shape))
        bad = _fill(array, listed, first, advance)
        array.flush()
        if listed.skip_bad:
            write_text(_bad_rows(target), json.dumps(bad))


def _fill(
    array: np.ndarray[Any, np.dtype[np.uint8]], listed: Listed, first: Pixels, advance: Advance
) -> list[int]:
    """Put the images into ``array``, one after another; the rows that were passed over."""
    bad: list[int] = []
    rows = range(len(listed.entries))
    with ThreadPoolExecutor(cores()) as pool:
        try:
            for row, image in enumerate(pool.map(listed.read, rows)):
                if image is None:
                    bad.append(row)
                else:
                    array[row - len(bad)] = listed.of_size(row, image, first)
                advance(row + 1, len(rows))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return bad


def _allocated(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """A new array mapped from ``path``, its bytes reserved: on a full disk a write into a hole would kill
    the process, where this raises OSError.
    """
    array: np.memmap[Any, np.dtype[np.uint8]] = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _size(image: Pixels) -> str:
    return f"{image.shape[0]}×{image.shape[1]}"
