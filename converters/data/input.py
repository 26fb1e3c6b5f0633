"""Data that a program hands over to an Input layer."""

from typing import Any

import torch
from torch import Tensor

from converters.data.memory import float32
from converters.data.shapes import top_shapes
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


class InputTensors:
    """An Input layer's tops, zeros before they are set; every batch is the same (input_layer.hpp)."""

    def __init__(self, layer: LayerParameter) -> None:
        self.layer = layer
        self.shapes = dict(zip(layer.top, top_shapes(layer, {}), strict=True))
        self._tensors = {top: torch.zeros(shape) for top, shape in self.shapes.items()}

    def set(self, top: str, values: Any) -> None:
        """Take a top's values. Raises InputError for another shape than the layer's."""
        tensor = float32(values)
        if tuple(tensor.shape) != self.shapes[top]:
            shapes = f"{tuple(tensor.shape)}, not {self.shapes[top]}"
            raise InputError(f'top "{top}" has shape {shapes}', self.layer.name)
        self._tensors[top] = tensor

    def record(self, index: int, sample: int) -> str:
        """The sample, which the program set."""
        return f"sample {sample} of the tensors"

    def batch(self, index: int) -> dict[str, Tensor]:
        """The tensors, whatever the index."""
        return dict(self._tensors)
