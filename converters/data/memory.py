"""MemoryData: arrays that the program hands over (memory_data_layer.cpp)."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from converters.data.source import DataSource, SourceOptions
from converters.layers.checks import positive
from converters.layers.parts.caffe_long import is_of_caffe_long
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError
from prototxt.text import to_stderr

_MOST_AXES = 32  # of a blob (blob.hpp, kMaxBlobAxes)


class MemorySource(DataSource):
    """Consecutive rows of the arrays, wrapping round; nothing is served before :meth:`set`."""

    def __init__(self, layer: LayerParameter, options: SourceOptions) -> None:
        super().__init__(layer)
        param = layer.memory_data_param
        self.batch_size = param.batch_size
        sides = {"channels": param.channels, "height": param.height, "width": param.width}
        positive(layer, batch_size=param.batch_size, **sides)
        self._of_labels = _labels(layer)
        shapes = ((self.batch_size, *sides.values()), self._of_labels)
        self.shapes = dict(zip(layer.top, shapes, strict=False))
        self._data, self._labels = torch.empty(0), torch.empty(0)

    def set(self, data: Any, labels: Any) -> None:
        """Take (N, channels, height, width) and (N,) or (N, 1, 1, 1) as float32, as they are: Caffe does
        not transform arrays (Reset, and Net_SetInputArrays in _caffe.cpp). They are not copied where they
        are float32 and contiguous already.

        Raises InputError for another shape, or where N is no multiple of the batch size.
        """
        rows, labels = float32(data), float32(labels)
        wanted = next(iter(self.shapes.values()))[1:]
        if tuple(rows.shape[1:]) != wanted or not len(rows):
            raise InputError(
                f"data {tuple(rows.shape)} is not (N, {', '.join(map(str, wanted))})", self.layer.name
            )
        if tuple(labels.shape) not in ((len(rows),), (len(rows), 1, 1, 1)):
            raise InputError(
                f"labels {tuple(labels.shape)} are not one for each of {len(rows)} rows", self.layer.name
            )
        if len(rows) % self.batch_size:
            raise InputError(
                f"{len(rows)} rows are no multiple of batch_size {self.batch_size}", self.layer.name
            )
        if self.layer.HasField("transform_param"):
            to_stderr(f'layer "{self.layer.name}": MemoryData does not transform arrays')
        self._data, self._labels = rows, labels.reshape(-1, *self._of_labels[1:])

    def record(self, index: int, sample: int) -> str:
        """The row of the arrays, from 0."""
        return f"row {index * self.batch_size % max(len(self._data), 1) + sample} of the arrays"

    def batch(self, index: int) -> dict[str, Tensor]:
        """Rows index·batch … of the arrays, modulo their length. Raises InputError before :meth:`set`."""
        if not len(self._data):
            raise InputError(
                "is MemoryData and has no arrays yet: set_input_arrays gives it some", self.layer.name
            )
        start = index * self.batch_size % len(self._data)
        rows = slice(start, start + self.batch_size)
        return dict(zip(self.layer.top, (self._data[rows], self._labels[rows]), strict=False))


def _labels(layer: LayerParameter) -> tuple[int, ...]:
    """(batch,), or (batch, 1, 1, 1) in longpeng2008/Caffe_Long, which is set up with an axis an item,
    whatever label_size says (memory_data_layer.cpp). Raises InputError for more axes than a blob may have.
    """
    batch = layer.memory_data_param.batch_size
    if not is_of_caffe_long(layer):
        return (batch,)
    if batch > _MOST_AXES:
        raise InputError(f"caffe-long's MemoryData takes a batch_size of {_MOST_AXES} at most", layer.name)
    return batch, 1, 1, 1


def float32(values: Any) -> Tensor:
    """An array or tensor as float32. Raises InputError for what holds no numbers."""
    if isinstance(values, Tensor):
        return values.detach().float().contiguous()
    try:
        return torch.from_numpy(np.require(values, np.float32, ["C", "W"]))
    except (TypeError, ValueError) as error:
        raise InputError(f"no array of numbers: {error}") from None
