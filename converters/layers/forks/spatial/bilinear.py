"""Products of two blobs' channels: Bilinear and CompactBilinear."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from converters.layers.base import Layer, Placed
from converters.layers.checks import checked_size, not_in_place, positive
from converters.layers.registry import Shapes, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

_LAGS, _WARM_UP = (3, 31), 310  # of glibc's generator, and how many numbers it throws away


def _check(message: LayerParameter, bottoms: Shapes) -> None:
    not_in_place(message)
    x, y = bottoms
    if len(x) != 4 or len(y) != 4 or x[0] != y[0] or x[2:] != y[2:]:
        shapes = f"{tuple(x)} and {tuple(y)}"
        raise InputError(f"takes two of (N, C, H, W) that differ in C alone, not {shapes}", message.name)


def _products(module: Layer, bottoms: Shapes, tops: Shapes) -> int:
    """Each pixel takes every pair of channels."""
    return bottoms[0][1] * bottoms[1][1:].numel()


def _all_pairs(x: Tensor, y: Tensor) -> Tensor:
    """The products of every pair of channels, summed over pixels: (N, C, H, W) twice to (N, C, C')."""
    return x.flatten(2) @ y.flatten(2).transpose(1, 2)


@layer(
    "Bilinear",
    source="gy20073/compact_bilinear_pooling: bilinear_layer.cpp",
    bottoms=(2, 2),
    macs=_products,
)
class Bilinear(Layer):
    """The product of every channel of the first bottom with every one of the second, summed over pixels."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        _check(message, bottoms)
        checked_size(message, "top", (bottoms[0][0], bottoms[0][1] * bottoms[1][1], 1, 1))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(N, C, H, W) and (N, C', H, W) to (N, C·C', 1, 1)."""
        return _all_pairs(x, y).reshape(x.shape[0], -1, 1, 1)


@dataclass(frozen=True)
class CompactBilinearSpec(Spec):
    """Of CompactBilinear; without ``sum_pool`` each pixel keeps its own."""

    num_output: int
    sum_pool: bool = True


@layer(
    "CompactBilinear",
    source="gy20073/compact_bilinear_pooling: compact_bilinear_layer.cpp",
    bottoms=(2, 2),
    macs=_products,
    fields=("compact_bilinear_param",),
    export_limit="multiplies Fourier transforms where sum_pool is false",
)
class CompactBilinear(Placed):
    """The products of every pair of channels, each with a random sign added to one of ``num_output`` at
    random: the convolution of two count sketches, which the fork takes by Fourier transforms, of which the
    inverse one is not divided by num_output, and so nor is this. Signs and places are no blobs: they come
    from glibc's rand() seeded with 1, places before signs, the first bottom's before the second's.
    """

    spec: CompactBilinearSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        _check(message, bottoms)
        param = message.compact_bilinear_param
        positive(message, num_output=param.num_output)
        self.spec = CompactBilinearSpec(param.num_output, param.sum_pool)
        pixels = (1, 1) if param.sum_pool else tuple(bottoms[0][2:])
        checked_size(message, "top", (bottoms[0][0], param.num_output, *pixels))
        rand = glibc_rand(1)
        sketches = []
        for channels in (bottoms[0][1], bottoms[1][1]):
            places = [number % param.num_output for number in islice(rand, channels)]
            sketches.append((places, [2.0 * (number % 2) - 1 for number in islice(rand, channels)]))
        self.sketches = sketches

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(N, C, H, W) and (N, C', H, W) to (N, num_output, 1, 1), or (N, num_output, H, W)."""
        (places, signs), (places2, signs2) = (
            (torch.tensor(places, device=x.device), self.place.new_tensor(signs).to(x.dtype))
            for places, signs in self.sketches
        )
        outputs = self.spec.num_output
        if self.spec.sum_pool:
            pairs = _all_pairs(x * signs[:, None, None], y * signs2[:, None, None]).flatten(1)
            where = (places[:, None] + places2).flatten() % outputs
            sums = pairs.new_zeros(x.shape[0], outputs).index_add(1, where, pairs)
            return outputs * sums[..., None, None]
        first, second = (
            part.new_zeros(part.shape[0], outputs, *part.shape[2:]).index_add(
                1, at, part * sign[:, None, None]
            )
            for part, at, sign in ((x, places, signs), (y, places2, signs2))
        )
        product = torch.fft.rfft(first.float(), dim=1) * torch.fft.rfft(second.float(), dim=1)
        top: Tensor = torch.fft.irfft(product, outputs, dim=1, norm="forward")
        return top.to(x.dtype)


def glibc_rand(seed: int) -> Iterator[int]:
    """What rand() of glibc gives after srand(seed): 31 numbers of a linear congruence, then each the sum of
    two before it (its manual calls it the additive feedback generator), without the last bit.
    """
    state = [seed]
    for _ in range(30):
        state.append(16807 * state[-1] % 2147483647)
    state += state[:3]
    while True:
        state.append((state[-_LAGS[0]] + state[-_LAGS[1]]) % 2**32)
        if len(state) > _WARM_UP + 34:
            yield state[-1] >> 1
