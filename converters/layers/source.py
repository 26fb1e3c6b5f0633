"""Layers at a net's ends: what makes its own values, and what goes to a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from converters.filler import fill
from converters.layers.base import Layer, Placed
from converters.layers.checks import check_first_axes, checked_size
from converters.layers.data_tops import DataTops
from converters.layers.registry import DRAWS, ONE_OR_MORE, Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import DummyDataParameter, FillerParameter, LayerParameter
from prototxt.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class ParameterSpec(Spec):
    """Of Parameter."""

    shape: tuple[int, ...]


@layer(
    "Parameter",
    source="parameter_layer.hpp",
    bottoms=(0, 0),
    blobs=("weight",),
    fields=("parameter_param.blob_filler",),
    macs=free,
)
class Parameter(Layer):
    """A learned blob of the shape given as the top, at first zeros (parameter_layer.hpp), or as NormFace's
    fork fills it by ``blob_filler``.
    """

    spec: ParameterSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        shape = checked_size(message, "shape", message.parameter_param.shape.dim)
        self.spec = ParameterSpec(shape)
        self.weight = nn.Parameter(torch.empty(shape))
        self.fillers = {"weight": message.parameter_param.blob_filler}

    def forward(self) -> Tensor:
        """The blob."""
        return self.weight.view_as(self.weight)


@dataclass(frozen=True)
class DummyDataSpec(Spec):
    """Of DummyData: each top's shape, and the filler of it."""

    shapes: tuple[tuple[int, ...], ...]
    data_filler: tuple[str, ...]


def _fills_anew(module: Layer, bottoms: Shapes) -> str:
    return "" if {"constant", "bilinear"}.issuperset(module.spec.data_filler) else DRAWS


@layer(
    "DummyData",
    source="dummy_data_layer.cpp",
    bottoms=(0, 0),
    tops=ONE_OR_MORE,
    macs=free,
    refuses_export=_fills_anew,
    data_tops=DataTops("converters.data.dummy:DummySource"),
)
class DummyData(Placed):
    """Tops of the shapes given (``shape``, or the older num, channels, height and width), each once for
    all or once each, as the fillers fill them: a constant stays, others are drawn anew in every pass from
    torch's default generator (dummy_data_layer.cpp).
    """

    spec: DummyDataSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param, tops = message.dummy_data_param, len(message.top)
        shapes = [checked_size(message, "shape", shape) for shape in _dummy_shapes(message, param, tops)]
        fillers = list(param.data_filler) or [FillerParameter(type="constant")]
        self.data_fillers = _one_each(message, "data_filler", fillers, tops)
        self.spec = DummyDataSpec(tuple(shapes), tuple(filler.type for filler in self.data_fillers))

    def forward(self) -> tuple[Tensor, ...]:
        """One tensor per top."""
        return tuple(
            self._made(shape, filler)
            for shape, filler in zip(self.spec.shapes, self.data_fillers, strict=True)
        )

    def _made(self, shape: tuple[int, ...], filler: FillerParameter) -> Tensor:
        blob = self.place.new_empty(shape)
        fill(blob, filler)
        return blob


def _dummy_shapes(message: LayerParameter, param: DummyDataParameter, tops: int) -> list[Sequence[int]]:
    legacy = [list(values) for values in (param.num, param.channels, param.height, param.width)]
    if not any(legacy):
        return [list(shape.dim) for shape in _one_each(message, "shape", list(param.shape), tops)]
    if param.shape:
        raise InputError("takes shape, or num, channels, height and width, not both", message.name)
    names = ("num", "channels", "height", "width")
    sides = [_one_each(message, name, dims, tops) for name, dims in zip(names, legacy, strict=True)]
    return list(zip(*sides, strict=True))


def _one_each(message: LayerParameter, what: str, items: list[T], tops: int) -> list[T]:
    if len(items) not in (1, tops):
        raise InputError(f"{len(items)} {what} for {tops} tops: give one, or one each", message.name)
    return items * tops if len(items) == 1 else items


@layer(
    "HDF5Output",
    source="hdf5_output_layer.cpp",
    role="sink",
    bottoms=(2, 2),
    tops=(0, 0),
    labels=(1,),
    macs=free,
)
class HDF5Output(Layer):
    """A sink (hdf5_output_layer.cpp). Caffe writes its bottoms, as ``data`` and ``label``, to a file that
    the prototxt names; a net loaded here touches no file on its own, and :func:`write_hdf5` writes the
    same file where it is asked to.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        check_first_axes(message, bottoms)

    def forward(self, data: Tensor, label: Tensor) -> tuple[()]:
        """No top."""
        return ()


def write_hdf5(path: str | Path, data: Tensor, label: Tensor) -> None:
    """Write two blobs as Caffe's HDF5Output does: ``data`` and ``label`` with 4 axes, float32."""
    import h5py

    with h5py.File(path, "w") as file:
        for name, blob in (("data", data), ("label", label)):
            rest = (1,) * (4 - blob.dim())
            file[name] = blob.detach().float().cpu().reshape(*blob.shape, *rest).numpy()
