"""Caffe's fillers: how a blob is initialised (filler.hpp)."""

import math

import torch
from torch import Tensor

from prototxt.caffe_pb2 import FillerParameter
from prototxt.errors import InputError

Random = torch.Generator | None
_LARGEST = torch.finfo(torch.float32).max


def fans(shape: torch.Size) -> tuple[float, float]:
    """(fan_in, fan_out) as Caffe counts them: everything but the first axis, everything but the second."""
    count = shape.numel()
    return count / (shape[0] if shape else 1), count / (shape[1] if len(shape) > 1 else 1)


def fan(shape: torch.Size, filler: FillerParameter) -> float:
    """The number that ``variance_norm`` picks for xavier and msra."""
    fan_in, fan_out = fans(shape)
    if filler.variance_norm == FillerParameter.AVERAGE:
        return (fan_in + fan_out) / 2
    return fan_out if filler.variance_norm == FillerParameter.FAN_OUT else fan_in


@torch.no_grad()
def fill(blob: Tensor, filler: FillerParameter, generator: Random = None) -> None:
    """Fill ``blob`` in place, from torch's default generator where none is given.

    Raises InputError for an unknown type or a blob the type cannot fill.
    """
    if filler.type not in _FILLS:
        raise InputError(f'filler type "{filler.type}" is not one of {", ".join(_FILLS)}')
    if filler.type != "gaussian" and filler.sparse != -1:
        raise InputError(f'sparse goes with the gaussian filler, not "{filler.type}"')
    _FILLS[filler.type](blob, filler, generator)


def _constant(blob: Tensor, filler: FillerParameter, generator: Random) -> None:
    blob.fill_(filler.value)


def _uniform(blob: Tensor, filler: FillerParameter, generator: Random) -> None:
    if not filler.min <= filler.max:
        raise InputError(f"the uniform filler's min {filler.min:g} is above its max {filler.max:g}")
    if filler.max - filler.min > _LARGEST:
        raise InputError(f"the uniform filler's range {filler.min:g} to {filler.max:g} is no range of floats")
    blob.uniform_(filler.min, filler.max, generator=generator)


def _gaussian(blob: Tensor, filler: FillerParameter, generator: Random) -> None:
    if not filler.std >= 0:
        raise InputError(f"the gaussian filler's std {filler.std:g} is below 0 or no number")
    blob.normal_(filler.mean, filler.std, generator=generator)
    if filler.sparse >= 0:  # each weight is kept with probability sparse / number of outputs
        share = filler.sparse / blob.shape[0]
        if share > 1:
            raise InputError(f"the gaussian filler's sparse {filler.sparse} passes {blob.shape[0]} outputs")
        blob.mul_(torch.empty_like(blob).bernoulli_(share, generator=generator))


def _positive_unitball(blob: Tensor, filler: FillerParameter, generator: Random) -> None:
    rows = blob.uniform_(0, 1, generator=generator).view(blob.shape[0] if blob.dim() else 1, -1)
    rows.div_(rows.sum(1, keepdim=True))


def _gaussian_unitball(blob: Tensor, filler: FillerParameter, generator: Random) -> None:
    """Rows of length 1 in any direction (happynear/caffe-windows: filler.hpp)."""
    rows = blob.normal_(generator=generator).view(blob.shape[0] if blob.dim() else 1, -1)
    rows.div_((rows.square().sum(1, keepdim=True) + 1e-12).sqrt())


def _identity(blob: Tensor, filler: FillerParameter, generator: Random) -> None:
    """The identity matrix, where the forks with this filler agree (happynear/caffe-windows, FuchenUSTC's)."""
    if blob.dim() < 2 or blob.shape[0] != blob.shape[1] or blob.shape[2:].numel() != 1:
        raise InputError(f"the identity filler takes as many inputs as outputs, not {tuple(blob.shape)}")
    blob.copy_(torch.eye(blob.shape[0]).view_as(blob))


def _xavier(blob: Tensor, filler: FillerParameter, generator: Random) -> None:
    bound = math.sqrt(3 / fan(blob.shape, filler))
    blob.uniform_(-bound, bound, generator=generator)


def _msra(blob: Tensor, filler: FillerParameter, generator: Random) -> None:
    blob.normal_(0, math.sqrt(2 / fan(blob.shape, filler)), generator=generator)


def _bilinear(blob: Tensor, filler: FillerParameter, generator: Random) -> None:
    if blob.dim() != 4 or blob.shape[2] != blob.shape[3]:
        raise InputError(f"the bilinear filler takes square kernels of 4 axes, not {tuple(blob.shape)}")
    half = math.ceil(blob.shape[3] / 2)
    centre = (blob.shape[3] - 1) / (2 * half)
    ramp = 1 - (torch.arange(blob.shape[3]) / half - centre).abs()
    blob.copy_(torch.outer(ramp, ramp).expand_as(blob))


_FILLS = {
    "constant": _constant,
    "uniform": _uniform,
    "gaussian": _gaussian,
    "positive_unitball": _positive_unitball,
    "gaussian_unitball": _gaussian_unitball,
    "identity": _identity,
    "xavier": _xavier,
    "msra": _msra,
    "bilinear": _bilinear,
}
