"""Images of a list, decoded once and mapped from a cache on disk."""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from converters.data.forks.augment import is_augmented
from converters.data.forks.label_lists import entries_of, tells_classes
from converters.data.images.lists import Entry
from converters.data.images.transform import open_mean
from converters.host.files import locked
from converters.host.machine import free_memory
from converters.host.places import Base
from prototxt.caffe_pb2 import ImageDataParameter, LayerParameter
from prototxt.errors import InputError
from prototxt.rawbytes import bytes_of
from zoo.runs.sums import RowSums, prints, status_of
from zoo.train.images.decoding import Advance, Listed, cached_pixels, decode
from zoo.train.images.places import cache_folder, images_in, sums_of
from zoo.train.images.ragged import Array, Ragged


@dataclass(frozen=True)
class ImageSet:
    """What an ImageData layer serves: (N, H, W, C) pixels, or where images have sizes of their own as many,
    and (N,) whole labels, or where they are several or no classes (N, K) float32 ones, in the list's order.

    ``paths`` are the images' own, as the list has them, counted from ``base``; ``lines`` where they stand
    in it. ``bad`` are the lines whose images could not be read and were passed over. ``rows``,
    ``content`` and ``row_sums`` are the list's :func:`zoo.runs.sums.prints`.
    """

    layer: LayerParameter
    list_path: Path
    pixels: Array | Ragged
    labels: np.ndarray[Any, np.dtype[Any]]
    paths: tuple[str, ...]
    lines: tuple[int, ...]
    base: Base
    mean: Tensor | None = None
    bad: tuple[int, ...] = ()
    rows: str = ""
    content: str = ""
    row_sums: RowSums = field(default_factory=lambda: np.empty((0, 2), np.int32))

    @property
    def skipped(self) -> int:
        """How many images of the list were passed over."""
        return len(self.bad)

    @property
    def are_apart(self) -> bool:
        """Whether each image is treated by itself: it has a size of its own, or is varied before the crop."""
        return isinstance(self.pixels, Ragged) or is_augmented(self.layer)

    @property
    def array(self) -> Array:
        """The pixels where images are not treated each by itself."""
        assert not isinstance(self.pixels, Ragged)
        return self.pixels


def open_images(
    layer: LayerParameter,
    list_path: Path,
    places: Sequence[Path],
    advance: Advance,
    skip_bad: bool = False,
    label_size: int | None = None,
) -> ImageSet:
    """Decode the list's images, or map them where the cache has them.

    ``places`` are the folders that relative image paths may count from, as :func:`images_in` says. Raises
    InputError naming list and line for a missing or broken image, one of another size than the first
    (without new_height, new_width and crop_size), or one smaller than the crop; ``skip_bad`` passes over
    those that are missing or broken, ``label_size`` is ``entries_of``'s.
    """
    found = images_in(layer, list_path, places, label_size)
    entries, paths, base = found.entries, found.paths, found.base
    mean = open_mean(layer, [*places, list_path.parent])
    sums = sums_of(list_path, base.folder)
    listed = Listed(layer, list_path, entries, paths, skip_bad, takes_own_sizes(layer), sums)
    pixels, bad = _decoded(listed, advance)
    listed.check(pixels, bad, mean)
    readable = [entry for row, entry in enumerate(entries) if row not in bad]
    labels = _labels(readable, tells_classes(layer, label_size))
    names, lines = tuple(entry.path for entry in readable), tuple(entry.line for entry in readable)
    broken = tuple(entry.line for row, entry in enumerate(entries) if row in bad)
    fingerprints = prints(entries, paths, sums)
    return ImageSet(layer, list_path, pixels, labels, names, lines, base, mean, broken, *fingerprints)


def _decoded(listed: Listed, advance: Advance) -> tuple[Array | Ragged, set[int]]:
    """The list's pixels, mapped from the cache, and the rows that were passed over."""
    key = _key(listed.list_path, listed.layer.image_data_param, listed.paths)
    key += "-skipping" if listed.skip_bad else ""
    cached, count = cache_folder() / "images" / f"{key}.npy", len(listed.entries)
    found = cached_pixels(cached, count, listed.skip_bad)
    if found is None:
        with locked(cache_folder() / "locks" / key):  # of several runs that begin at once, one decodes
            found = cached_pixels(cached, count, listed.skip_bad)
            if found is None:
                decode(cached, listed, advance)
                found = cached_pixels(cached, count, listed.skip_bad)
    assert found is not None, cached
    return found


def takes_own_sizes(layer: LayerParameter) -> bool:
    """Whether a layer takes images of several sizes: each is cut to one, by crop_size or by the rules of the
    series author's fork.
    """
    return bool(layer.transform_param.crop_size) or is_augmented(layer)


def _labels(entries: Sequence[Entry], are_classes: bool) -> np.ndarray[Any, np.dtype[Any]]:
    if are_classes:
        return np.array([entry.label for entry in entries], np.int64)
    return np.array([entry.labels for entry in entries], np.float32)


def label_shape(layer: LayerParameter, label_size: int | None = None) -> tuple[int, ...]:
    """Of an image's labels in an :class:`ImageSet`."""
    if tells_classes(layer, label_size):
        return ()
    return (layer.image_data_param.label_size if label_size is None else label_size,)


def first_shape(
    layer: LayerParameter,
    list_path: Path,
    places: Sequence[Path],
    skip_bad: bool = False,
    label_size: int | None = None,
) -> tuple[int, int, int]:
    """(height, width, channels) of the first of the list's images that can be read. Raises InputError as
    :func:`open_images` does.
    """
    found = images_in(layer, list_path, places, label_size)
    return Listed(layer, list_path, found.entries, found.paths, skip_bad).first().shape


def _key(list_path: Path, param: ImageDataParameter, paths: Sequence[Path]) -> str:
    """A name for the decoded array that changes with the list, the resize and every image file."""
    digest = hashlib.sha256(list_path.read_bytes())
    digest.update(repr((param.new_height, param.new_width, param.is_color)).encode())
    for path in paths:
        status = status_of(path)
        if status is None:
            digest.update(bytes_of(f"{path} missing\n"))
        else:
            digest.update(bytes_of(f"{path.resolve()} {status[0]} {status[1]}\n"))
    return digest.hexdigest()[:32]


def check_labels(
    list_path: Path,
    classes: int,
    ignored: Collection[int] = (),
    ignores_negative: bool = False,
    layer: LayerParameter | None = None,
) -> None:
    """Raise InputError, naming list and line, for a label that ``classes`` outputs cannot stand for and
    that is none of ``ignored``. The list is read as ``layer`` reads it, by default as Caffe does.
    """
    for entry in entries_of(layer or LayerParameter(), list_path):
        is_ignored = entry.label in ignored or (ignores_negative and entry.label < 0)
        if not 0 <= entry.label < classes and not is_ignored:
            raise InputError(
                f"{list_path}:{entry.line}: label {entry.label} is out of range for {classes} classes"
            )


def of_classes(images: ImageSet, classes: int | None) -> ImageSet:
    """The images whose labels are among ``classes``, which Accuracy counts; others' are ignored ones."""
    rows = np.flatnonzero((images.labels >= 0) & (images.labels < (classes or images.labels.max() + 1)))
    if len(rows) == len(images.labels):
        return images
    return replace(
        images,
        pixels=images.pixels[rows],
        labels=images.labels[rows],
        paths=tuple(images.paths[row] for row in rows),
        lines=tuple(images.lines[row] for row in rows),
    )


def memory_note(images: ImageSet) -> str | None:
    """A line for the user where the array is larger than the memory that is free."""
    free = free_memory()
    if free is None or images.pixels.nbytes <= free:
        return None
    sizes = f"{images.pixels.nbytes / 2**30:.1f} GiB, more than the {free / 2**30:.1f} GiB of free memory"
    return f"{images.list_path}: the decoded images take {sizes}: they are read from disk as they are needed"


def fingerprint(images: ImageSet) -> str:
    """A short name of the data itself, for telling whether two runs saw the same."""
    pixels = images.pixels
    shape = pixels.sizes.tolist() if isinstance(pixels, Ragged) else list(pixels.shape)
    about = json.dumps([shape, images.labels.tolist()])
    digest = hashlib.sha256(about.encode())
    for image in pixels[:: max(1, len(pixels) // 64)]:
        digest.update(image.tobytes())
    return digest.hexdigest()[:16]
