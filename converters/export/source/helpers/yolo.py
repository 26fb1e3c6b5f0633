"""What YOLO's maps detect."""

import torch
from torch import Tensor, nn

from converters.export.source.helpers.boxes import nothing_found, suppress


class YoloOutput(nn.Module):
    """Rows (0, label, score, left, top, right, bottom) of what YOLO's maps find, the
    best first; where nothing is found one of -1 an image.
    """

    def __init__(
        self,
        anchors: list[list[tuple[float, float]]],
        cells: list[int],
        threshold: float,
        nms_threshold: float,
        softmax: bool = False,
    ) -> None:
        """Of each map the widths and heights of its anchors, and how wide a cell is in
        their units. ``softmax``: a box has one class.
        """
        super().__init__()
        self.anchors, self.cells, self.softmax = anchors, cells, softmax
        self.threshold, self.nms_threshold = threshold, nms_threshold

    @torch.no_grad()
    def forward(self, *maps: Tensor) -> Tensor:
        """(N, anchors * (5 + classes), H, W) each to (1, 1, rows, 7)."""
        parts = [self.of_map(x, at) for at, x in enumerate(maps)]
        scores, labels, boxes = (torch.cat(each) for each in zip(*parts, strict=True))
        order = scores.argsort(descending=True, stable=True)
        boxes = boxes[order]
        half = boxes[:, 2:] / 2
        corners = torch.cat([boxes[:, :2] - half, boxes[:, :2] + half], 1)
        areas = boxes[:, 2] * boxes[:, 3]
        stays = suppress(corners, self.nms_threshold, equal_goes=True, areas=areas)
        if not len(stays):
            return nothing_found(len(maps[0]), maps[0])
        best = order[stays]
        head = torch.stack([torch.zeros_like(scores), labels + 1.0, scores], 1)
        return torch.cat([head[best], corners[stays]], 1)[None, None]

    def of_map(self, x: Tensor, at: int) -> tuple[Tensor, Tensor, Tensor]:
        """Scores (R,), classes (R,) and boxes of middles and sides (R, 4) that pass."""
        sides = x.new_tensor(self.anchors[at])
        count, channels, height, width = x.shape
        raw = x.reshape(count, len(sides), channels // len(sides), height, width)
        raw = raw.permute(0, 3, 4, 1, 2)
        column = (
            torch.arange(width, device=x.device)[:, None] + raw[..., 0].sigmoid()
        ) / width
        row = (
            torch.arange(height, device=x.device)[:, None, None] + raw[..., 1].sigmoid()
        )
        image = x.new_tensor([width, height]) * self.cells[at]
        spans = raw[..., 2:4].exp() * (sides / image)
        boxes = torch.cat([torch.stack([column, row / height], -1), spans], -1)
        score, label, place = self.passing(raw[..., 4].sigmoid(), raw[..., 5:])
        return score, label, boxes.flatten(0, -2)[place]

    def passing(self, chance: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores, classes and places (R,) of what reaches the threshold."""
        if self.softmax:
            best, label = classes.softmax(-1).max(-1)
            score = (chance * best).flatten()
            (place,) = (score >= self.threshold).nonzero(as_tuple=True)
            return score[place], label.flatten()[place], place
        scores = (classes.sigmoid() * chance.unsqueeze(-1)).flatten(0, -2)
        place, label = (scores > self.threshold).nonzero(as_tuple=True)
        return scores[place, label], label, place
