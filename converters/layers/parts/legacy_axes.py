"""Blobs as layers of before Caffe's N axes see them: four, of which those that a blob lacks are 1."""

from collections.abc import Sequence

from torch import Tensor

from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

_AXES = 4


def check_axes(message: LayerParameter, shape: Sequence[int], least: int) -> None:
    """Raise InputError for a bottom of fewer than ``least`` axes, or of more than four, which
    Blob::LegacyShape refuses.
    """
    if not least <= len(shape) <= _AXES:
        raise InputError(f"takes {least} to {_AXES} axes, not {len(shape)}", message.name)


def four(shape: Sequence[int]) -> tuple[int, ...]:
    """(N, C, H, W) of a shape of at most four axes (Blob::LegacyShape)."""
    return *shape, *(1,) * (_AXES - len(shape))


def four_axes(x: Tensor) -> Tensor:
    """``x`` with the axes that it lacks: what num(), channels(), height() and width() are of."""
    return x.reshape(four(x.shape)) if x.dim() < _AXES else x
