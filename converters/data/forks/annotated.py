"""AnnotatedData: an LMDB of images with boxes, as SSD reads it (annotated_data_layer.cpp)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from converters.data.database import open_database
from converters.data.datum import datum_pixels
from converters.data.forks.annotations import Objects, objects_of, parse_annotated
from converters.data.forks.colours import check_distortion
from converters.data.forks.picture import Picture, served, varied
from converters.data.forks.sampling import check_samplers
from converters.data.images.transform import check, less_mean, open_mean
from converters.data.order import Rounds, sample_generator
from converters.data.rows import RowSource
from converters.data.source import BadRecordError, SourceOptions
from converters.host.places import find
from converters.layers.parts.fed import cropped
from prototxt.caffe_pb2 import AnnotatedDatum, LayerParameter
from prototxt.errors import InputError

Array = NDArray[Any]


@dataclass(frozen=True)
class Annotated:
    """A record: its picture, and its one label where it is ``labelled`` by that and not by boxes."""

    name: str
    picture: Picture
    label: int
    has_boxes: bool


@dataclass(frozen=True)
class Served:
    """What a record puts on the tops: (height, width, channels) float32, and what is in it."""

    record: Annotated
    image: Array
    objects: Objects


class AnnotatedSource(RowSource[Annotated]):
    """Records in the order of their keys, round after round; each picture is varied by numbers drawn for it.

    A batch's labels are a line a box, as many as its pictures have together, or one line of -1.
    """

    def __init__(self, layer: LayerParameter, options: SourceOptions) -> None:
        _check_fields(layer)
        param = layer.data_param
        self.database = open_database(find(param.source, options.places), param.backend)
        try:
            rounds = Rounds(len(self.database.keys), False, options.seed)
            super().__init__(layer, options, rounds, param.batch_size)
            self.mean = open_mean(layer, options.places)
            first = self.sample(0)
            self.has_boxes = first.has_boxes
            self.shapes = self._shapes(first)
        except BaseException:
            self.database.close()
            raise

    def read(self, row: int) -> Annotated:
        """The record with the ``row``-th key."""
        key = self.database.keys[row]
        name = f"{self.database.path}: record {key.decode(errors='backslashreplace')}"
        try:
            return self._of_record(name, parse_annotated(self.database.get(key)))
        except InputError as error:
            raise BadRecordError(f"{name} {error}", self.layer.name) from None

    def _of_record(self, name: str, record: AnnotatedDatum) -> Annotated:
        image = datum_pixels(record.datum, self.layer.transform_param)
        if image.dtype != np.uint8:
            raise InputError("has no bytes for an image: float_data is not read with boxes")
        has_boxes = record.HasField("type") or self.layer.annotated_data_param.HasField("anno_type")
        picture = Picture(image, objects_of(record), record.datum.encoded)
        return Annotated(name, picture, record.datum.label, has_boxes)

    def batch(self, index: int) -> dict[str, Tensor]:
        """(batch, channels, height, width); (1, 1, boxes, 8), or (batch, 1, 1, 1) of records that have one
        label each.

        Raises InputError naming the record that is broken, has no boxes where the first has, or another size.
        """
        every = self.of_batch(lambda place, record: self._served(index, place, record), index)
        self.check_sizes([(each.record.name, each.image.shape) for each in every])
        images = torch.from_numpy(np.stack([each.image for each in every]))
        tops = (images.permute(0, 3, 1, 2).contiguous(), self._labels(every))
        return dict(zip(self.layer.top, tops, strict=False))

    def _labels(self, every: list[Served]) -> Tensor:
        if not self.has_boxes:
            return torch.tensor([float(each.record.label) for each in every]).reshape(-1, 1, 1, 1)
        rows = np.concatenate([each.objects.rows(item) for item, each in enumerate(every)])
        return torch.from_numpy(rows if len(rows) else np.full((1, 8), -1, np.float32))[None, None]

    def _served(self, index: int, place: int, record: Annotated) -> Served:
        drawn = sample_generator(self.options.seed, index, place)
        try:
            if record.has_boxes != self.has_boxes:
                raise InputError("is annotated otherwise than the first record")
            picture = varied(record.picture, self.layer, drawn)
            image, objects = served(picture, self.layer, self.options.train, drawn)
            if self.mean is not None and self.layer.transform_param.mirror and not picture.is_encoded:
                raise InputError("holds a raw image, which is not mirrored here with a mean_file")
            height, width, channels = image.shape
            check(self.layer, height, width, channels, self.mean)
            return Served(record, less_mean(self.layer, image, self.mean), objects)
        except InputError as error:
            raise InputError(f"{record.name}: {error}", self.layer.name) from None

    def _shapes(self, first: Annotated) -> dict[str, tuple[int, ...]]:
        height, width, channels = self._served(0, 0, first).image.shape
        boxes = (1, 1, max(len(first.picture.objects.boxes), 1), 8)
        labels = boxes if self.has_boxes else (self.batch_size, 1, 1, 1)
        shapes = ((self.batch_size, channels, height, width), labels)
        return dict(zip(self.layer.top, shapes, strict=False))

    def close(self) -> None:
        """Close the database."""
        super().close()
        self.database.close()


def _check_fields(layer: LayerParameter) -> None:
    """Raise InputError for what SSD refuses, and for what has no rule here."""
    param = layer.transform_param
    if param.force_color and param.force_gray:
        raise InputError("has both force_color and force_gray", layer.name)
    if len(param.resize_param) > 1:
        raise InputError("has several resize_param, of which SSD takes one", layer.name)
    for policy in param.resize_param:
        if not (policy.height and policy.width):
            raise InputError("resize_param needs a height and a width", layer.name)
    if param.noise_param.convert_to_lab:
        raise InputError("convert_to_lab leaves no bytes, which SSD then reads as such", layer.name)
    if param.mean_file and (cropped(layer) or param.HasField("expand_param")):
        raise InputError("a mean_file goes with neither a crop nor expand_param: mean_value does", layer.name)
    if not 1 <= param.expand_param.max_expand_ratio < np.inf:
        raise InputError("max_expand_ratio is a number from 1", layer.name)
    check_distortion(param.distort_param, layer.name)
    check_samplers(layer.annotated_data_param.batch_sampler, layer.name)
