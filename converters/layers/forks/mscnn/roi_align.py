"""Cascade R-CNN's ROIAlign, which is at the corners of bins, and has no bins of its own."""

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.checks import positive
from converters.layers.forks.rcnn.roi_pooling import ROIPoolingSpec
from converters.layers.parts.boxes.rois import Images, check_rois, drawn_rois
from converters.layers.registry import Shapes, free, layer
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@layer(
    "ROIAlign",
    source="zhaoweicai/cascade-rcnn: roi_align_layer.cpp",
    fields=("roi_pooling_param",),
    bottoms=(2, 2),
    macs=free,
    probes={1: drawn_rois},
)
class ROIAlign(Layer):
    """The map, interpolated, at the corners of pooled_h by pooled_w bins of every roi: (pooled_h + 1) by
    (pooled_w + 1), of which an average of 2 by 2 pixels is the bins' mean. A roi is made larger by pad_ratio
    of its sides at every edge, scaled and moved by half a pixel, not rounded. 0 outside of the map, and of a
    roi without a size; within half a pixel of its edge the map goes on. Rois have no gradient.

    Every fork's ROIAlign is another. This one's fields, pad_ratio among them, are those of a net that is
    taken for Cascade R-CNN's.
    """

    spec: ROIPoolingSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.roi_pooling_param
        check_rois(message, bottoms)
        if not param.HasField("pad_ratio"):
            raise InputError(
                "forks differ in what ROIAlign is: Cascade R-CNN's alone is known, which says pad_ratio",
                message.name,
            )
        positive(message, pooled_h=param.pooled_h, pooled_w=param.pooled_w)
        self.spec = ROIPoolingSpec(param.pooled_h, param.pooled_w, param.spatial_scale, param.pad_ratio)
        self.images = Images(message)

    def forward(self, x: Tensor, rois: Tensor) -> Tensor:
        """(N, C, H, W) and (R, 5) to (R, C, pooled_h + 1, pooled_w + 1)."""
        rows = rois.detach().reshape(-1, 5).to(x.dtype)
        image = self.images(rows, x)
        y, row_counts = self._places(rows[:, 2], rows[:, 4], self.spec.pooled_h, x.shape[2])
        z, column_counts = self._places(rows[:, 1], rows[:, 3], self.spec.pooled_w, x.shape[3])
        counts = row_counts[:, :, None] & column_counts[:, None, :]
        top, left = y.floor().long(), z.floor().long()
        down, across = (y - top)[:, :, None, None], (z - left)[:, None, :, None]
        below, right = (top + 1).clamp(max=x.shape[2] - 1), (left + 1).clamp(max=x.shape[3] - 1)
        pixels = x.permute(0, 2, 3, 1)
        at = image[:, None, None]
        upper = [pixels[at, top[:, :, None], side[:, None, :]] for side in (left, right)]
        lower = [pixels[at, below[:, :, None], side[:, None, :]] for side in (left, right)]
        above = upper[0] * (1 - across) + upper[1] * across
        under = lower[0] * (1 - across) + lower[1] * across
        blended = above * (1 - down) + under * down
        return torch.where(counts[..., None], blended, 0.0).permute(0, 3, 1, 2).contiguous()

    def _places(self, first: Tensor, last: Tensor, count: int, size: int) -> tuple[Tensor, Tensor]:
        """Where the corners of bins lie along an axis of ``size`` pixels, within it, and which of them are
        not too far outside: two of (R, count + 1).
        """
        pad = (last - first + 1) * self.spec.pad_ratio
        start, end = ((edge * self.spec.spatial_scale - 0.5)[:, None] for edge in (first - pad, last + pad))
        steps = torch.arange(count + 1, device=first.device)
        at = start + steps * ((end - start) / count)
        counts = (at >= -0.5) & (at <= size - 0.5) & (end > start)
        return at.clamp(0, size - 1), counts
