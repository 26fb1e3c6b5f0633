"""The pictures with label maps that a segmentation net which was named is judged by."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import Tensor

from converters.layers.registry import record_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError
from zoo.bench.label_maps import LabelMaps, label_maps
from zoo.bench.pictures import Array, Pictures
from zoo.classifier import Classifier
from zoo.preparation import Asked, Preparation, Stated, prepare
from zoo.train.images.names import names_beside


class Masked(Pictures):
    """Pictures with label maps of a list, as a data layer serves them; red first where the preparation has
    it so.
    """

    def __init__(self, name: str, maps: LabelMaps, preparation: Preparation) -> None:
        super().__init__(name, maps.count, preparation, maps.content)
        self.maps = maps

    @property
    def class_names(self) -> list[str]:
        """Those beside the list."""
        return names_beside(self.maps.pairs.path)

    def read(self, rows: Sequence[int]) -> tuple[Sequence[Array], Sequence[int]]:
        """Not asked: the batches come as the layer serves them."""
        raise AssertionError("label maps are served in batches")

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """(N, C, H, W) data and (N, 1, H, W) labels."""
        return ((self._ordered(data), labels) for data, labels in self.maps.batches())

    def spread(self, count: int) -> Iterator[Tensor]:
        """``count`` pictures, spread evenly over all."""
        return map(self._ordered, self.maps.spread(count))

    def _ordered(self, data: Tensor) -> Tensor:
        return data.flip(1) if self.preparation.is_rgb else data


def masked(
    path: Path,
    name: str,
    own: LayerParameter | None,
    found: Classifier,
    asked: Asked,
    places: Sequence[Path],
    any_size: bool,
) -> Masked:
    """A list's pictures and label maps as the net's ``own`` layer serves such; else pictures less the mean
    and times the scale that are asked for, of the size that is asked for, else their own where the net takes
    ``any_size``, else the input's, with the nearest pixel's label.

    Raises InputError for what cannot be read, and for ten crops.
    """
    if asked.crops > 1:
        raise InputError("--crops: is for nets that tell one class of a picture")
    stated = Stated(own, f'layer "{own.name}"' if own is not None else "", places)
    shape = (found.shape[0], *(asked.resize or found.shape[1:]))
    preparation = prepare(stated, shape, asked, mean_a_channel=True)
    tops = record_of(own).data_tops if own is not None else None
    if own is not None and tops is not None and tops.are_pairs and not asked.options:
        return Masked(name, label_maps(own, path, places), preparation)
    size = asked.resize or ((0, 0) if any_size else found.shape[1:])
    if not any(size):
        images = preparation.layer.image_data_param
        images.new_height, images.new_width = size
    return Masked(name, label_maps(_reader(preparation, size), path, places), preparation)


def _reader(preparation: Preparation, size: Sequence[int]) -> LayerParameter:
    """A layer that serves pictures and label maps so."""
    layer = LayerParameter(name="--list", type="DenseImageData", top=["data", "label"])
    param, said = layer.dense_image_data_param, preparation.layer.transform_param
    param.new_height, param.new_width = size
    param.is_color = preparation.shape[0] != 1
    means = list(said.mean_value)
    layer.transform_param.mean_value.extend(means[::-1] if preparation.is_rgb else means)
    layer.transform_param.scale = said.scale
    return layer
