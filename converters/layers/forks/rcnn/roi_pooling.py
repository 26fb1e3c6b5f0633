"""Pooling of regions: ROIPooling of Fast R-CNN and PSROIPooling of R-FCN."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import positive
from converters.layers.parts.boxes.range_max import Best, Span, best_of_rectangles
from converters.layers.parts.boxes.rois import Images, check_rois, drawn_rois, round_half_away
from converters.layers.parts.gradient import asks_gradient
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class ROIPoolingSpec(Spec):
    """Of ROIPooling."""

    pooled_h: int
    pooled_w: int
    spatial_scale: float = 1
    pad_ratio: float = 0


@layer(
    "ROIPooling",
    source="rbgirshick/caffe-fast-rcnn: roi_pooling_layer.cpp",
    fields=("roi_pooling_param",),
    bottoms=(2, 2),
    macs=free,
    probes={1: drawn_rois},
)
class ROIPooling(Layer):
    """The greatest value of each of pooled_h by pooled_w bins of every roi. Corners are scaled and rounded,
    halves away from zero; bins begin at the floor and end at the ceiling, in whole numbers, and are
    cut off at the map. An empty bin is 0. Of equal values the first, row by row, has the gradient; rois have
    none. With ``pad_ratio``, MS-CNN's, a roi is first made larger by that share of its sides at every edge;
    the gradient is the derivative, of which MS-CNN's own code loses a part where a roi then begins outside.
    """

    spec: ROIPoolingSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.roi_pooling_param
        check_rois(message, bottoms)
        positive(message, pooled_h=param.pooled_h, pooled_w=param.pooled_w)
        self.spec = ROIPoolingSpec(param.pooled_h, param.pooled_w, param.spatial_scale, param.pad_ratio)
        self.images = Images(message)

    def forward(self, x: Tensor, rois: Tensor) -> Tensor:
        """(N, C, H, W) and (R, 5) to (R, C, pooled_h, pooled_w)."""
        rois = rois.detach().float().reshape(-1, 5)
        rows = self._bins(rois[:, 2], rois[:, 4], self.spec.pooled_h, x.shape[2])
        columns = self._bins(rois[:, 1], rois[:, 3], self.spec.pooled_w, x.shape[3])
        image = self.images(rois, x)
        is_empty = (rows[1] <= rows[0])[:, :, None] | (columns[1] <= columns[0])[:, None, :]
        shape = (rois.shape[0], self.spec.pooled_h, self.spec.pooled_w, x.shape[1])
        best = best_of_rectangles(_pixels(x), image, rows, columns)
        if best.place is None:
            top = best.value.reshape(shape).masked_fill(is_empty[..., None], 0)
        else:
            top = _picked(x, image, best.place.reshape(shape)) * ~is_empty[..., None]
        return top.permute(0, 3, 1, 2).contiguous()

    def _bins(self, first: Tensor, last: Tensor, count: int, size: int) -> Span:
        """Where each bin begins and ends along an axis of ``size`` pixels: two of (R, count)."""
        pad = (last - first + 1) * self.spec.pad_ratio
        start, end = (round_half_away(x * self.spec.spatial_scale).long() for x in (first - pad, last + pad))
        length = (end - start + 1).clamp(min=1)[:, None]
        bins = torch.arange(count, device=first.device)
        begins = bins * length // count + start[:, None]
        ends = ((bins + 1) * length + count - 1) // count + start[:, None]
        return begins.clamp(0, size), ends.clamp(0, size)


def _pixels(x: Tensor) -> Best:
    """(N, H, W, C), and where each pixel lies in its plane where a gradient will be sent there."""
    values = x.detach().permute(0, 2, 3, 1).contiguous()
    if not asks_gradient(x):
        return Best(values, None)
    place = torch.arange(x.shape[2] * x.shape[3], device=x.device).reshape(1, x.shape[2], x.shape[3], 1)
    return Best(values, place.expand(values.shape))


def _picked(x: Tensor, image: Tensor, place: Tensor) -> Tensor:
    """The pixels at ``place`` (R, P, Q, C), numbers within a plane, of each roi's image."""
    planes = image[:, None, None, None] * x.shape[1] + torch.arange(x.shape[1], device=x.device)
    return x.flatten().take(planes * (x.shape[2] * x.shape[3]) + place)


@dataclass(frozen=True)
class PSROIPoolingSpec(Spec):
    """Of PSROIPooling: group_size by group_size bins, output_dim channels."""

    output_dim: int
    group_size: int
    spatial_scale: float


@layer(
    "PSROIPooling",
    source="daijifeng001/caffe-rfcn: psroi_pooling_layer.cpp",
    fields=("psroi_pooling_param",),
    bottoms=(2, 2),
    macs=free,
    probes={1: drawn_rois},
)
class PSROIPooling(Layer):
    """The mean of each bin of every roi, each bin in a channel of its own: (c·group_size + row)·group_size +
    column. Corners are rounded, halves away from zero, and then scaled, the last after adding 1; a roi is
    at least 0.1 wide, bins end at the ceiling and are cut off at the map, an empty one is 0.
    """

    spec: PSROIPoolingSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.psroi_pooling_param
        check_rois(message, bottoms)
        for name in ("spatial_scale", "output_dim", "group_size"):
            if getattr(param, name) <= 0:
                raise InputError(f"psroi_pooling_param.{name} must be given, and above 0", message.name)
        self.spec = PSROIPoolingSpec(param.output_dim, param.group_size, param.spatial_scale)
        wanted = param.output_dim * param.group_size**2
        if bottoms[0][1] != wanted:
            raise InputError(
                f"takes output_dim·group_size² = {wanted} channels, not {bottoms[0][1]}", message.name
            )
        self.images = Images(message)

    def forward(self, x: Tensor, rois: Tensor) -> Tensor:
        """(N, C, H, W) and (R, 5) to (R, output_dim, group_size, group_size)."""
        rois = rois.detach().float().reshape(-1, 5)
        top, bottom = self._bins(rois[:, 2], rois[:, 4], x.shape[2])
        left, right = self._bins(rois[:, 1], rois[:, 3], x.shape[3])
        sums = self._sums(x)
        image = self.images(rois, x)[:, None, None]
        lower = self._at(sums, image, bottom, right) - self._at(sums, image, bottom, left)
        upper = self._at(sums, image, top, right) - self._at(sums, image, top, left)
        area = (bottom - top).clamp(min=0)[:, :, None] * (right - left).clamp(min=0)[:, None, :]
        mean = (lower - upper) / area.clamp(min=1)[..., None] * (area > 0)[..., None]
        return mean.permute(0, 3, 1, 2).to(x.dtype)

    def _bins(self, first: Tensor, last: Tensor, size: int) -> Span:
        """Where each bin begins and ends along an axis of ``size`` pixels: two of (R, group_size)."""
        scale, count = self.spec.spatial_scale, self.spec.group_size
        start, end = round_half_away(first).float() * scale, (round_half_away(last) + 1).float() * scale
        step = ((end - start).clamp(min=0.1) / count)[:, None]
        bins = torch.arange(count, device=first.device)
        begins, ends = (bins * step + start[:, None]).floor(), ((bins + 1) * step + start[:, None]).ceil()
        return begins.long().clamp(0, size), ends.long().clamp(0, size)

    def _sums(self, x: Tensor) -> Tensor:
        """Sums over all pixels above and to the left, in float64, that differences keep their digits:
        (N, H+1, W+1, bins, output_dim).
        """
        sums = F.pad(x.double().cumsum(3).cumsum_(2), (1, 0, 1, 0))  # in place: no third copy
        groups = sums.reshape(len(x), self.spec.output_dim, self.spec.group_size**2, *sums.shape[2:])
        return groups.permute(0, 3, 4, 2, 1)

    def _at(self, sums: Tensor, image: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """The sums at (R, group_size) rows by columns, each in its bin's channels: (R, bins, bins, C)."""
        bins = torch.arange(self.spec.group_size**2, device=sums.device).reshape(self.spec.group_size, -1)
        corner: Tensor = sums[image, row[:, :, None], column[:, None, :], bins]
        return corner
