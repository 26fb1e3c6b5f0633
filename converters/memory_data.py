"""Data that a program hands over: MemoryData's arrays and Input's tensors."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from converters.inputs import top_shapes
from converters.layers.registry import positive
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


class MemoryArrays:
    """Consecutive rows of two arrays, wrapping round (memory_data_layer.cpp)."""

    def __init__(self, layer: LayerParameter) -> None:
        param = layer.memory_data_param
        sides = {"channels": param.channels, "height": param.height, "width": param.width}
        positive(layer, batch_size=param.batch_size, **sides)
        self.layer, self.batch_size = layer, param.batch_size
        shapes = ((param.batch_size, *sides.values()), (param.batch_size,))
        self.shapes: dict[str, tuple[int, ...]] = dict(zip(layer.top, shapes, strict=True))
        self._data, self._labels = torch.empty(0), torch.empty(0)

    def set(self, data: Any, labels: Any) -> None:
        """Take (N, channels, height, width) and (N,) or (N, 1, 1, 1), untransformed (Reset, and
        Net_SetInputArrays in _caffe.cpp). Raises InputError for other shapes, or N that is no multiple of
        the batch size.
        """
        data, labels = _float32(data), _float32(labels)
        wanted = self.shapes[self.layer.top[0]][1:]
        if tuple(data.shape[1:]) != wanted or not len(data):
            raise InputError(
                f"data {tuple(data.shape)} is not (N, {', '.join(map(str, wanted))})", self.layer.name
            )
        if tuple(labels.shape) not in ((len(data),), (len(data), 1, 1, 1)):
            raise InputError(
                f"labels {tuple(labels.shape)} are not one for each of {len(data)} rows", self.layer.name
            )
        if len(data) % self.batch_size:
            raise InputError(
                f"{len(data)} rows are no multiple of batch_size {self.batch_size}", self.layer.name
            )
        self._data, self._labels = data, labels.reshape(-1)

    def batch(self, index: int) -> dict[str, Tensor]:
        """The ``index``-th batch. Raises InputError before :meth:`set`."""
        if not len(self._data):
            raise InputError(
                "is MemoryData and has no arrays yet: set_input_arrays gives it some", self.layer.name
            )
        start = index * self.batch_size % len(self._data)
        rows = slice(start, start + self.batch_size)
        return dict(zip(self.layer.top, (self._data[rows], self._labels[rows]), strict=True))


class InputTensors:
    """An Input layer's tops, zeros before they are set; every batch is the same (input_layer.hpp)."""

    def __init__(self, layer: LayerParameter) -> None:
        self.layer = layer
        self.shapes = dict(zip(layer.top, top_shapes(layer, {}), strict=True))
        self._tensors = {top: torch.zeros(shape) for top, shape in self.shapes.items()}

    def set(self, top: str, values: Any) -> None:
        """Take a top's values. Raises InputError for another shape than the layer's."""
        tensor = _float32(values)
        if tuple(tensor.shape) != self.shapes[top]:
            shapes = f"{tuple(tensor.shape)}, not {self.shapes[top]}"
            raise InputError(f'top "{top}" has shape {shapes}', self.layer.name)
        self._tensors[top] = tensor

    def batch(self, index: int) -> dict[str, Tensor]:
        """The tensors, whatever the index."""
        return dict(self._tensors)


def _float32(values: Any) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach().float()
    try:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32))
    except (TypeError, ValueError) as error:
        raise InputError(f"no array of numbers: {error}") from None
