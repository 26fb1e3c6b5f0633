"""Regions of MS-CNN: rows of (image, left, top, right, bottom) in pixels."""

import torch
from torch import Tensor, nn

from converters.export.source.helpers.boxes import suppress


class BoxOutput(nn.Module):
    """Regions of what maps of several scales find, those that overlap better ones gone
    for all maps together; where nothing is found one of its own.
    """

    def __init__(
        self,
        fields: list[tuple[float, float, float]],
        field_whr: float,
        field_xyr: float,
        mean: tuple[float, ...] = (0, 0, 0, 0),
        std: tuple[float, ...] = (1, 1, 1, 1),
        threshold: float = 0.0,
        nms_threshold: float = 0.5,
        before: int = 0,
        after: int = 0,
        least: float = 15,
    ) -> None:
        """Of each map width, height and distance of its fields, in pixels; how much a
        box may differ from its field; what deltas were divided by, after a mean was
        taken off; how many boxes go into suppression and come out (0: all).
        """
        super().__init__()
        self.fields, self.most, self.move = fields, field_whr, 1 / field_xyr
        self.mean, self.std, self.least = mean, std, least
        self.threshold, self.nms_threshold = threshold, nms_threshold
        self.before, self.after = before, after

    @torch.no_grad()
    def forward(self, *maps: Tensor) -> tuple[Tensor, Tensor]:
        """(N, K + 4, H, W) each to regions (R, 5, 1, 1) and the same with their scores,
        (R, 6, 1, 1).
        """
        pairs = zip(maps, self.fields, strict=True)
        parts = [self.of_map(x.float(), *field) for x, field in pairs]
        boxes, scores = (
            torch.cat(part, 1).flip(1) for part in zip(*parts, strict=True)
        )
        rows = [
            self.of_image(at, *one)
            for at, one in enumerate(zip(boxes, scores, strict=True))
        ]
        found = torch.cat(rows)[..., None, None]
        if len(found):
            return found[:, :5], found
        nothing = found.new_tensor([[0, 1, 1, 10, 10]])[..., None, None]
        return nothing, found.new_zeros(1, 6, 1, 1)

    def of_map(
        self, x: Tensor, width: float, height: float, rate: float
    ) -> tuple[Tensor, Tensor]:
        """Left, top, width and height (N, H * W, 4), and scores (N, H * W), -inf of
        what is no candidate.
        """
        score = x[:, 1:-4].amax(1) - x[:, 0]
        mean, std = (
            x.new_tensor(each)[:, None, None] for each in (self.mean, self.std)
        )
        deltas, size = x[:, -4:] * std + mean, x.new_tensor([[[width]], [[height]]])
        rows, columns = (torch.arange(n, device=x.device) + 0.5 for n in x.shape[2:])
        y, z = torch.meshgrid(rows, columns, indexing="ij")
        sides = size * deltas[:, 2:].exp().clamp(1 / self.most, self.most)
        middle = deltas[:, :2].clamp(-self.move, self.move) * size
        middle = middle + torch.stack([z, y]).to(x.dtype) * rate
        start = (middle - sides / 2).clamp(min=0)
        image = x.new_tensor([[[int(x.shape[3] * rate)]], [[int(x.shape[2] * rate)]]])
        sides = torch.minimum(sides, image - start)
        counts = (score >= self.threshold) & (sides >= self.least).all(1)
        score = score.masked_fill(~counts, float("-inf"))
        return torch.cat([start, sides], 1).flatten(2).mT, score.flatten(1)

    def of_image(self, image: int, boxes: Tensor, scores: Tensor) -> Tensor:
        """Boxes (P, 4) and scores (P,) to rows (R, 6); of equal scores the first."""
        order = scores.argsort(descending=True, stable=True)[: self.before or None]
        order = order[scores[order] > float("-inf")]
        boxes, scores = boxes[order], scores[order]
        corners = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
        areas, most = boxes[:, 2] * boxes[:, 3], self.after or None
        stays = suppress(corners, self.nms_threshold, areas=areas, most=most)
        head = scores.new_full((len(stays), 1), image)
        return torch.cat([head, corners[stays], scores[stays, None]], 1)


class DecodeBoxes(nn.Module):
    """Regions moved by the second four of their eight deltas; in training without
    those whose corners would cross.
    """

    def __init__(
        self,
        mean: tuple[float, ...] = (0, 0, 0, 0),
        std: tuple[float, ...] = (1, 1, 1, 1),
    ) -> None:
        """What deltas were divided by after a mean was taken off."""
        super().__init__()
        self.mean, self.std = mean, std

    @torch.no_grad()
    def forward(self, deltas: Tensor, rois: Tensor) -> Tensor:
        """(R, 8) and (R, 5, 1, 1) to (R, 5, 1, 1)."""
        rows = rois.reshape(-1, 5)
        moves = deltas.reshape(-1, 8)[:, 4:] * deltas.new_tensor(self.std)
        moves = moves + deltas.new_tensor(self.mean)
        sides = rows[:, 3:] - rows[:, 1:3] + 1
        grown = sides * moves[:, 2:].exp()
        middle = moves[:, :2] * sides + 0.5 * (rows[:, 3:] + rows[:, 1:3])
        first = middle - (grown - 1) / 2
        moved = torch.cat([rows[:, :1], first, first + grown - 1], 1)
        if self.training:
            moved = moved[(moved[:, 1:3] <= moved[:, 3:]).all(1)]
        return moved[..., None, None]


class RoiAlign(nn.Module):
    """The map, interpolated, at the corners of height by width bins of a region; 0
    outside of the map, and of a region without a size.
    """

    def __init__(self, height: int, width: int, scale: float, pad_ratio: float) -> None:
        """``scale``: of the map to the image. ``pad_ratio``: by how much of its sides a
        region is made larger at each edge.
        """
        super().__init__()
        self.height, self.width = height, width
        self.scale, self.pad_ratio = scale, pad_ratio

    def forward(self, x: Tensor, rois: Tensor) -> Tensor:
        """(N, C, H, W) and (R, 5) to (R, C, height + 1, width + 1)."""
        rois = rois.detach().reshape(-1, 5).to(x.dtype)
        image, pixels = rois[:, 0].long()[:, None, None], x.permute(0, 2, 3, 1)
        y, y_counts = self.places(rois[:, 2], rois[:, 4], self.height, x.shape[2])
        z, z_counts = self.places(rois[:, 1], rois[:, 3], self.width, x.shape[3])
        top, left = y.floor().long(), z.floor().long()
        down, across = (y - top)[:, :, None, None], (z - left)[:, None, :, None]
        lines = []
        for row in (top, (top + 1).clamp(max=x.shape[2] - 1)):
            first = pixels[image, row[:, :, None], left[:, None, :]]
            right = (left + 1).clamp(max=x.shape[3] - 1)
            second = pixels[image, row[:, :, None], right[:, None, :]]
            lines.append(first * (1 - across) + second * across)
        values = lines[0] * (1 - down) + lines[1] * down
        counts = y_counts[:, :, None, None] & z_counts[:, None, :, None]
        return torch.where(counts, values, 0.0).permute(0, 3, 1, 2)

    def places(
        self, first: Tensor, last: Tensor, count: int, size: int
    ) -> tuple[Tensor, Tensor]:
        """Where the corners of bins lie along an axis, and which of them count: (R,
        count + 1) twice.
        """
        pad = (last - first + 1) * self.pad_ratio
        start = ((first - pad) * self.scale - 0.5)[:, None]
        end = ((last + pad) * self.scale - 0.5)[:, None]
        steps = torch.arange(count + 1, device=first.device)
        at = start + steps * ((end - start) / count)
        counts = (at >= -0.5) & (at <= size - 0.5) & (end > start)
        return at.clamp(0, size - 1), counts
