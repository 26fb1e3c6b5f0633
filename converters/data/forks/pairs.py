"""Lists of images with their label maps, and the sources that read them (image_seg_data_layer.cpp)."""

import codecs
from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from converters.data.images.lists import decode_image, image_bytes
from converters.data.images.transform import less_mean, means
from converters.data.order import Rounds, drawn_skip, sample_generator
from converters.data.rows import RowSource
from converters.data.source import BadRecordError, SourceOptions
from converters.host.places import base_of_list, find
from prototxt.caffe_pb2 import ImageDataParameter, LayerParameter
from prototxt.errors import InputError
from prototxt.rawbytes import text_of

Array = NDArray[Any]
_GREY = ImageDataParameter(is_color=False)


@dataclass(frozen=True)
class PairEntry:
    """A line of a list: an image's path as written, what stands after it, "" where nothing does, the line's
    number from 1, and where there are more than two words all but the first.
    """

    image: str
    label: str
    line: int
    behind: str = ""


@dataclass(frozen=True)
class Pair:
    """An image, (height, width, channels) uint8, and its label map, (height, width) uint8; ``name`` is what
    messages call them.
    """

    name: str
    image: Array
    labels: Array


@dataclass(frozen=True)
class Varied:
    """A pair after all that changes it: (height, width, channels) float, (height, width); the size that the
    image had when it was read.
    """

    name: str
    image: Array
    labels: Array
    read_size: tuple[int, int]


def read_pairs(path: Path, is_labelled: bool = True) -> list[PairEntry]:
    """The lines of a list of images and what labels them, parted by blanks; further words are passed over,
    and so are empty lines.

    Raises InputError, naming file and line, for a line without a label where it ``is_labelled``, and for a
    list without entries.
    """
    try:
        lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read as a list ({error})") from None
    entries = [_entry(path, n, line.split(), is_labelled) for n, line in enumerate(lines, 1) if line.strip()]
    if not entries:
        raise InputError(f"{path}: the list is empty")
    return entries


def _entry(path: Path, number: int, words: list[bytes], is_labelled: bool) -> PairEntry:
    if is_labelled and len(words) < 2:
        raise InputError(f'{path}:{number}: "{text_of(words[0])}" is an image without a label')
    behind = text_of(b" ".join(words[1:])) if len(words) > 2 else ""
    return PairEntry(text_of(words[0]), text_of(words[1]) if len(words) > 1 else "", number, behind)


def paired_names(path: Path) -> list[str]:
    """The images and label maps that a list names."""
    return [name for entry in read_pairs(path, False) for name in (entry.image, entry.label) if name]


class PairSource(RowSource[Pair]):
    """Images and label maps in the list's order, or shuffled anew each round; each pair is varied by numbers
    drawn for it, and the mean and scale are of the image alone.

    ``resize_labels`` is how label maps take the new size, ``mean`` the mean image, (height, width, channels),
    of layers that have one.
    """

    resize_labels = cv2.INTER_NEAREST
    mean: Tensor | None = None

    def __init__(
        self, layer: LayerParameter, options: SourceOptions, param: Any, is_labelled: bool = True
    ) -> None:
        if bool(param.new_height) != bool(param.new_width):
            raise InputError("new_height and new_width are given together or not at all", layer.name)
        sides = {"new_height": param.new_height, "new_width": param.new_width}
        self.reads = ImageDataParameter(is_color=param.is_color, **sides)
        self.list_path = find(param.source, options.places)
        self.entries = read_pairs(self.list_path, is_labelled)
        names = [entry.image for entry in self.entries]
        self.base = base_of_list(self.list_path, param, names, options.places)
        skip = drawn_skip(options.seed, layer, param.rand_skip, len(self.entries))
        rounds = Rounds(len(self.entries), param.shuffle, options.seed, skip)
        super().__init__(layer, options, rounds, param.batch_size)
        self.shapes = self._shapes()

    def read(self, row: int) -> Pair:
        """The image of an entry and its label map, in the new size where there is one."""
        entry = self.entries[row]
        path = self.base.path(entry.image)
        try:
            image = decode_image(path, image_bytes(path, entry.behind), self.reads)
            labels = self.label_map(entry, (image.shape[0], image.shape[1]))
        except InputError as error:
            raise BadRecordError(f"{self.list_path}:{entry.line}: {error}", self.layer.name) from None
        return Pair(f"{self.list_path}:{entry.line}: image {path}", image, labels)

    def label_map(self, entry: PairEntry, size: tuple[int, int]) -> Array:
        """The label map of an entry whose image has ``size``: its grey values. Raises InputError for a file
        that is no image, or has another size.
        """
        path = self.base.path(entry.label)
        labels: Array = decode_image(path, image_bytes(path, entry.behind), _GREY)[:, :, 0]
        if self.reads.new_height:
            labels = cv2.resize(labels, (size[1], size[0]), interpolation=self.resize_labels)
        if labels.shape != size:
            theirs = f"{labels.shape[0]}×{labels.shape[1]}"
            raise InputError(f"label map {path} is {theirs}, its image {size[0]}×{size[1]}")
        return labels

    @abstractmethod
    def varied(self, pair: Pair, drawn: np.random.Generator) -> Varied:
        """The pair as it is served but for mean and scale, changed by what is ``drawn``."""

    def batch(self, index: int) -> dict[str, Tensor]:
        """(batch, channels, height, width), (batch, 1, height, width) and, of a third top, the heights and
        widths of the images as read, (batch, 1, 1, 2).

        Raises InputError naming the record that is broken or has another size than the first of the batch.
        """
        every = self.of_batch(lambda place, pair: self._drawn(index, place, pair), index)
        self.check_sizes([(each.name, each.image.shape) for each in every])
        return dict(zip(self.layer.top, self._tops(every), strict=False))

    def alone(self, row: int) -> dict[str, Tensor]:
        """What a row of the list gives by itself, a batch of one. Raises InputError as :meth:`batch`."""
        tops = self._tops([self._drawn(row, 0, self.read(row))])
        return dict(zip(self.layer.top, tops, strict=False))

    def _drawn(self, index: int, place: int, pair: Pair) -> Varied:
        """The pair as it is served."""
        try:
            varied = self.varied(pair, sample_generator(self.options.seed, index, place))
        except InputError as error:
            raise InputError(f"{pair.name}: {error}", self.layer.name) from None
        return replace(varied, image=less_mean(self.layer, varied.image))

    def _tops(self, every: list[Varied]) -> list[Tensor]:
        images = torch.from_numpy(np.stack([each.image for each in every]))
        labels = torch.from_numpy(np.stack([each.labels for each in every])).float()
        most = images.shape[1:3]
        sizes = [[min(most[0], each.read_size[0]), min(most[1], each.read_size[1])] for each in every]
        return [
            images.permute(0, 3, 1, 2).contiguous(),
            labels[:, None],
            torch.tensor(sizes, dtype=torch.float32)[:, None, None],
        ]

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        first = self._drawn(0, 0, self.sample(0))
        height, width, channels = first.image.shape
        means(self.layer, channels)
        shapes = ((channels, height, width), (1, *first.labels.shape), (1, 1, 2))
        return {top: (self.batch_size, *shape) for top, shape in zip(self.layer.top, shapes, strict=False)}
