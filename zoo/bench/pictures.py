"""The labelled pictures that a net's accuracy is measured over, of a list or of its own database."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from converters.data.forks.label_lists import entries_of
from converters.data.images.pixels import PixelSource
from converters.data.opening import open_data
from converters.data.order import evenly
from converters.host.files import encoded, write_text
from converters.host.places import existing_folder
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError
from zoo.data.demo import CLASS_LIST, VAL_LIST
from zoo.data.folders import Classes, class_folders, find_split
from zoo.preparation import Preparation
from zoo.runs.sums import short
from zoo.terminal.progress import counting
from zoo.train.images.dataset import ImageSet, check_labels, of_classes, open_images
from zoo.train.images.places import cache_folder, image_base

Array = np.ndarray[Any, np.dtype[Any]]
_BATCH = 64  # pictures at most


class Pictures(ABC):
    """``count`` labelled pictures; ``name`` is what tables call the whole, ``content`` its sum, if any."""

    def __init__(self, name: str, count: int, preparation: Preparation, content: str | None = None) -> None:
        self.name, self.count, self.preparation, self.content = name, count, preparation, content

    @abstractmethod
    def read(self, rows: Sequence[int]) -> tuple[Sequence[Array], Sequence[int]]:
        """The pixels, (height, width, channels), and the labels of those rows."""

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Each picture once: (N·crops, C, H, W) data and (N,) labels. Raises InputError as the preparation's
        ``tensor`` does.
        """
        size = self.preparation.layer.image_data_param.batch_size
        size = max(1, min(size if size > 1 else _BATCH, _BATCH) // self.preparation.crops)
        for start in range(0, self.count, size):
            yield self._batch(range(start, min(start + size, self.count)))

    def _batch(self, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        pictures, labels = self.read(rows)
        try:
            data = self.preparation.tensor(pictures)
        except InputError as error:
            raise error.reworded(f"{self.name}: {error}") from None
        return data, torch.tensor(labels, dtype=torch.float32)

    def spread(self, count: int) -> Iterator[Tensor]:
        """The centres of ``count`` pictures, spread evenly over all."""
        plain = replace(self.preparation, crops=1)
        rows = evenly(self.count, count)
        for start in range(0, len(rows), _BATCH):
            yield plain.tensor(self.read(rows[start : start + _BATCH])[0])


class Listed(Pictures):
    """The pictures of a list, which are decoded once and kept."""

    def __init__(self, name: str, images: ImageSet, preparation: Preparation) -> None:
        super().__init__(name, len(images.labels), preparation, images.content)
        self.images = images

    def read(self, rows: Sequence[int]) -> tuple[Sequence[Array], Sequence[int]]:
        """From the decoded array."""
        return list(self.images.pixels[rows]), self.images.labels[rows].tolist()


class Stored(Pictures):
    """The pictures of the net's own database."""

    def __init__(self, name: str, source: PixelSource, preparation: Preparation, classes: int) -> None:
        super().__init__(name, source.rounds.count, preparation)
        self.source, self.classes = source, classes

    def read(self, rows: Sequence[int]) -> tuple[Sequence[Array], Sequence[int]]:
        """From the database. Raises InputError for a label that no output stands for."""
        samples = [self.source.sample(row) for row in rows]
        for sample in samples:
            if not 0 <= np.min(sample.label) <= np.max(sample.label) < self.classes:
                raise InputError(
                    f"{sample.name}: label {sample.label} is out of range for {self.classes} classes"
                )
        return [sample.pixels for sample in samples], [int(np.max(sample.label)) for sample in samples]


def listed(
    path: Path,
    name: str,
    preparation: Preparation,
    places: Sequence[Path],
    classes: int,
    ignored: frozenset[int],
) -> Listed:
    """A list's pictures; relative paths of it count from one of ``places`` or from its own folder.

    Raises InputError, naming list and line, for a picture that cannot be read and a label that none of
    ``classes`` outputs stands for and that is not ``ignored``.
    """
    check_labels(path, classes, ignored, ignores_negative=True, layer=preparation.layer)
    layer = _with_root(preparation.layer, path, places)
    with counting(f"decoding {path.name}") as advance:
        images = of_classes(open_images(layer, path, places, advance), classes)
    if not len(images.labels):
        raise InputError(f"{path}: no label of it is among the net's {classes} classes")
    return Listed(name, images, preparation)


def numbered(path: Path, name: str, preparation: Preparation, places: Sequence[Path], count: int) -> Listed:
    """A list's pictures with ``count`` numbers each, as :func:`listed` has those with a class."""
    layer = _with_root(preparation.layer, path, places)
    with counting(f"decoding {path.name}") as advance:
        return Listed(name, open_images(layer, path, places, advance, label_size=count), preparation)


def _with_root(layer: LayerParameter, path: Path, places: Sequence[Path]) -> LayerParameter:
    """The layer without its root_folder where the list's pictures lie without it."""
    bare = LayerParameter()
    bare.CopyFrom(layer)
    bare.image_data_param.ClearField("root_folder")
    entries = entries_of(layer, path)
    for each in (layer, bare):
        base = image_base(each.image_data_param, path, entries, [*places, path.parent])
        if base.path(entries[0].path).is_file():
            return each
    return bare


def stored(
    layer: LayerParameter, preparation: Preparation, places: Sequence[Path], classes: int
) -> Stored | None:
    """What the net's own database holds; None where the layer reads no pictures with labels."""
    plain = LayerParameter()
    plain.CopyFrom(layer)
    for field in ("crop_size", "mirror", "mean_file", "mean_value", "scale"):  # which the preparation minds
        plain.transform_param.ClearField(field)
    source = open_data(plain, "TEST", places=places)
    if not isinstance(source, PixelSource):
        source.close()
        return None
    return Stored(plain.data_param.source or plain.name, source, preparation, classes)


def list_of_folder(folder: Path) -> tuple[Path, int | None]:
    """(the list of a folder's pictures, how many class folders it was made of): its list_val_shuffle.txt, as
    ``zoo data import`` writes it, or one that is made of its class folders, or of those of val/ where it is
    split: labels count them by name.

    Raises InputError for a folder with neither.
    """
    existing_folder(folder, "--data ")
    if (folder / VAL_LIST).is_file():
        return folder / VAL_LIST, None
    train, val = find_split(folder) or (folder, folder)
    names = sorted({path.name for side in (train, val) for path in class_folders(side)})
    text = _lines(val, names)
    if not text:
        raise InputError(f"--data {folder}: has neither {VAL_LIST} nor class folders with pictures")
    path = cache_folder() / "lists" / short(encoded(text)) / f"{folder.name or 'val'}.txt"
    write_text(path, text)
    write_text(path.parent / CLASS_LIST, "".join(f"{name}\n" for name in names))
    return path, len(names)


def _lines(side: Path, names: Sequence[str]) -> str:
    """A list of the pictures in the class folders of ``side``, labelled by their places in ``names``."""
    classes = Classes(side)
    lines = [
        f"{picture.absolute()} {names.index(path.name)}\n"
        for path in classes.paths
        for picture in classes.pictures(path)
    ]
    classes.tell_left_out()
    return "".join(lines)
