"""Regions of R-CNN: rows of (image, left, top, right, bottom) in pixels."""

import torch
from torch import Tensor, nn

from converters.export.source.helpers.boxes import suppress


def rounded(x: Tensor) -> Tensor:
    """To the nearest whole number, halves away from zero."""
    return x.sign() * (x.double().abs() + 0.5).floor()


class RoiPool(nn.Module):
    """The greatest value of each of height by width bins of a region; 0 of an empty
    one.
    """

    def __init__(
        self, height: int, width: int, scale: float, pad_ratio: float = 0.0
    ) -> None:
        """``scale``: of the map to the image. ``pad_ratio``: by how much of its sides a
        region is made larger at each edge.
        """
        super().__init__()
        self.height, self.width = height, width
        self.scale, self.pad_ratio = scale, pad_ratio

    def forward(self, x: Tensor, rois: Tensor) -> Tensor:
        """(N, C, H, W) and (R, 5) to (R, C, height, width)."""
        rois = rois.detach().float().reshape(-1, 5)
        rows = self.bins(rois[:, 2], rois[:, 4], self.height, x.shape[2])
        columns = self.bins(rois[:, 1], rois[:, 3], self.width, x.shape[3])
        tops = [x.new_zeros(0, x.shape[1], self.height, self.width)]
        for image, down, right in zip(rois[:, 0].long(), rows, columns, strict=True):
            lines = self.greatest(x[image].transpose(1, 2), down)
            tops.append(self.greatest(lines.transpose(1, 2), right).unsqueeze(0))
        return torch.cat(tops)

    def bins(
        self, first: Tensor, last: Tensor, count: int, size: int
    ) -> list[list[list[int]]]:
        """Where each region's bins begin and end along an axis."""
        pad = (last - first + 1) * self.pad_ratio
        start = rounded((first - pad) * self.scale).long()[:, None]
        end = rounded((last + pad) * self.scale).long()[:, None]
        length, bins = (
            (end - start + 1).clamp(min=1),
            torch.arange(count, device=first.device),
        )
        begins = bins * length // count + start
        ends = ((bins + 1) * length + count - 1) // count + start
        spans: list[list[list[int]]] = (
            torch.stack([begins, ends], -1).clamp(0, size).tolist()
        )
        return spans

    def greatest(self, x: Tensor, bins: list[list[int]]) -> Tensor:
        """The greatest value of each bin of the last axis."""
        parts = [
            x[..., a:b].amax(-1) if a < b else torch.zeros_like(x[..., 0])
            for a, b in bins
        ]
        return torch.stack(parts, -1)


class PositionSensitiveRoiPool(nn.Module):
    """The mean of each of size by size bins of a region, each bin in a channel of its
    own; 0 of an empty one.
    """

    def __init__(self, channels: int, size: int, scale: float) -> None:
        """``scale``: of the map to the image."""
        super().__init__()
        self.channels, self.size, self.scale = channels, size, scale

    def forward(self, x: Tensor, rois: Tensor) -> Tensor:
        """(N, channels * size * size, H, W) and (R, 5) to (R, channels, size, size)."""
        rois = rois.detach().float().reshape(-1, 5)
        top, bottom = self.bins(rois[:, 2], rois[:, 4], x.shape[2])
        left, right = self.bins(rois[:, 1], rois[:, 3], x.shape[3])
        sums = nn.functional.pad(x.double().cumsum(3).cumsum(2), (1, 0, 1, 0))
        sums = sums.reshape(len(x), self.channels, self.size**2, *sums.shape[2:])
        sums = sums.permute(0, 3, 4, 2, 1)
        image = rois[:, 0].long()[:, None, None]
        bins = torch.arange(self.size**2, device=x.device).reshape(self.size, -1)
        total = torch.zeros((), dtype=sums.dtype, device=x.device)
        for row, column, sign in [
            (bottom, right, 1),
            (bottom, left, -1),
            (top, right, -1),
            (top, left, 1),
        ]:
            total = (
                total + sign * sums[image, row[:, :, None], column[:, None, :], bins]
            )
        sides = (bottom - top).clamp(min=0)[:, :, None], (right - left).clamp(min=0)
        area = (sides[0] * sides[1][:, None, :])[..., None]
        return (total / area.clamp(min=1) * (area > 0)).permute(0, 3, 1, 2).to(x.dtype)

    def bins(self, first: Tensor, last: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Where each region's bins begin and end along an axis: (R, size) twice."""
        start = rounded(first).float() * self.scale
        end = (rounded(last) + 1).float() * self.scale
        step = ((end - start).clamp(min=0.1) / self.size)[:, None]
        bins = torch.arange(self.size, device=first.device)
        begins = (bins * step + start[:, None]).floor()
        ends = ((bins + 1) * step + start[:, None]).ceil()
        return begins.long().clamp(0, size), ends.long().clamp(0, size)


class Proposal(nn.Module):
    """Regions that a network proposes for one image: anchors moved by deltas, the best
    by score, without those that overlap better ones.
    """

    def __init__(
        self,
        anchors: list[tuple[float, float, float, float]],
        stride: int,
        before: int,
        after: int,
        threshold: float,
        least: int,
        equal_goes: bool = False,
        drops_small: bool = False,
    ) -> None:
        """Anchors at the first place, ``stride`` pixels from one to the next; how many
        boxes go into suppression and come out (0: all), and their least size.
        """
        super().__init__()
        self.anchors, self.stride, self.least = anchors, stride, least
        self.before, self.after, self.threshold = before, after, threshold
        self.equal_goes, self.drops_small = equal_goes, drops_small

    @torch.no_grad()
    def forward(
        self, scores: Tensor, deltas: Tensor, image: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(1, 2 * A, H, W), (1, 4 * A, H, W) and (height, width, scale or scales) to
        regions (R, 5) and their scores (R,), a column where small boxes are dropped.
        """
        info = image.flatten()
        boxes = self.moved(deltas)
        boxes = boxes.minimum(info[:2].flip(0).repeat(2) - 1).clamp(min=0)
        chances = scores[0, len(self.anchors) :].permute(1, 2, 0).flatten()
        scales = info[2:3] if self.drops_small else info[2:4].flip(0)
        is_big = (boxes[:, 2:] - boxes[:, :2] + 1 >= self.least * scales).all(1)
        if self.drops_small:
            boxes, chances = boxes[is_big], chances[is_big]
        else:
            chances = chances * is_big
        order = chances.argsort(descending=True, stable=True)[: self.before or None]
        boxes, most = boxes[order], self.after or None
        stays = suppress(boxes, self.threshold, 1, self.equal_goes, most=most)
        boxes, chances = boxes[stays], chances[order][stays]
        chances = chances.unsqueeze(1) if self.drops_small else chances
        return torch.cat([boxes.new_zeros(len(boxes), 1), boxes], 1), chances

    def moved(self, deltas: Tensor) -> Tensor:
        """The anchors of every place, row by row, moved: (H * W * A, 4)."""
        height, width = deltas.shape[2:]
        rows = torch.arange(height, device=deltas.device) * self.stride
        columns = torch.arange(width, device=deltas.device) * self.stride
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        base = deltas.new_tensor(self.anchors)
        boxes = (torch.stack([x, y, x, y], -1).reshape(-1, 1, 4) + base).reshape(-1, 4)
        moves = deltas[0].permute(1, 2, 0).reshape(-1, 4)
        sides = boxes[:, 2:] - boxes[:, :2] + 1
        middle = moves[:, :2] * sides + boxes[:, :2] + 0.5 * sides
        half = 0.5 * (moves[:, 2:].exp() * sides)
        return torch.cat([middle - half, middle + half], 1)
