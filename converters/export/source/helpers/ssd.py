"""SSD's boxes: priors, and what is detected by them."""

import torch
from torch import Tensor, nn

from converters.export.source.helpers.boxes import nothing_found, suppress


class PriorBox(nn.Module):
    """Boxes about the middle of each place of a feature map, as shares of the image,
    and below them their variances.
    """

    def __init__(
        self,
        sizes: list[tuple[float, float]],
        variance: tuple[float, ...],
        image: tuple[float, float] | None = None,
        step: tuple[float, float] | None = None,
        offset: float = 0.5,
        clip: bool = False,
    ) -> None:
        """Widths and heights in pixels; the image's and a step's are the inputs' where
        they are not given.
        """
        super().__init__()
        self.sizes, self.variance, self.offset, self.clip = (
            sizes,
            variance,
            offset,
            clip,
        )
        self.image, self.step = image, step

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """(N, C, H, W) and the image to (1, 2, 4 * H * W * sizes)."""
        height, width = features.shape[2:]
        pixels = self.image or (image.shape[3], image.shape[2])
        step = self.step or self.steps(pixels, (width, height))
        rows = torch.arange(height, dtype=torch.float32, device=features.device)
        columns = torch.arange(width, dtype=torch.float32, device=features.device)
        y = ((rows + self.offset) * step[1]).double().reshape(-1, 1, 1)
        x = ((columns + self.offset) * step[0]).double().reshape(1, -1, 1)
        half = torch.tensor(self.sizes, dtype=torch.float64, device=y.device) / 2
        boxes = features.new_empty(height, width, len(half), 4)
        boxes[..., 0], boxes[..., 1] = (
            (x - half[:, 0]) / pixels[0],
            (y - half[:, 1]) / pixels[1],
        )
        boxes[..., 2], boxes[..., 3] = (
            (x + half[:, 0]) / pixels[0],
            (y + half[:, 1]) / pixels[1],
        )
        boxes = boxes.clamp(0, 1) if self.clip else boxes
        variance = boxes.new_tensor(self.variance).expand_as(boxes)
        return torch.stack([boxes.flatten(), variance.flatten()]).unsqueeze(0)

    def steps(
        self, pixels: tuple[float, float], places: tuple[int, int]
    ) -> tuple[float, float]:
        """How many pixels lie between places, in float32 as in Caffe."""
        width, height = (torch.tensor(pixels) / torch.tensor(places)).tolist()
        return width, height


def decoded_boxes(
    location: Tensor, boxes: Tensor, variance: Tensor, code: str, in_target: bool
) -> Tensor:
    """Corners of locations (..., P, 4) that are coded by boxes (..., P, 4)."""
    steps = location if in_target else variance * location
    sides = boxes[..., 2:] - boxes[..., :2]
    if code == "CORNER":
        return boxes + steps
    if code == "CORNER_SIZE":
        return boxes + steps * torch.cat([sides, sides], -1)
    centre = steps[..., :2] * sides + (boxes[..., :2] + boxes[..., 2:]) / 2
    half = steps[..., 2:].exp() * sides / 2
    return torch.cat([centre - half, centre + half], -1)


class DetectionOutput(nn.Module):
    """Rows (image, label, score, left, top, right, bottom) of what SSD finds, in that
    order; where nothing is found one of -1 an image.
    """

    def __init__(
        self,
        classes: int,
        background: int = 0,
        share_location: bool = True,
        code: str = "CORNER",
        variance_in_target: bool = False,
        threshold: float = float("-inf"),
        nms_threshold: float = 0.3,
        eta: float = 1.0,
        top_k: int | None = None,
        keep_top_k: int | None = None,
        objectness: float = 0.01,
    ) -> None:
        """Numbers under Caffe's names."""
        super().__init__()
        self.classes, self.background, self.code = classes, background, code
        self.share_location, self.in_target = share_location, variance_in_target
        self.threshold, self.nms_threshold, self.eta = threshold, nms_threshold, eta
        self.top_k, self.keep_top_k, self.objectness = top_k, keep_top_k, objectness

    @torch.no_grad()
    def forward(
        self, location: Tensor, scores: Tensor, priors: Tensor, *first: Tensor
    ) -> Tensor:
        """(N, 4 * P), (N, P * classes), (1, 2, 4 * P), and of a first stage scores
        (N, 2 * P) and locations (N, 4 * P), to (1, 1, rows, 7).
        """
        images, (boxes, variance) = len(location), priors.reshape(2, -1, 4)
        scores = scores.reshape(images, -1, self.classes)
        if len(first) > 1:
            moves = first[1].reshape(images, 1, -1, 4)
            boxes = decoded_boxes(moves, boxes, variance, self.code, self.in_target)
        if first:
            is_none = first[0].reshape(images, -1, 2)[..., 1] < self.objectness
            empty = torch.eye(self.classes, device=scores.device)[0]
            scores = torch.where(is_none.unsqueeze(-1), empty, scores)
        located = 1 if self.share_location else self.classes
        location = location.reshape(images, -1, located, 4).transpose(1, 2)
        boxes = decoded_boxes(location, boxes, variance, self.code, self.in_target)
        rows = [self.of_image(at, boxes[at], scores[at]) for at in range(images)]
        found = torch.cat(rows)
        return found[None, None] if len(found) else nothing_found(images, found)

    def of_image(self, image: int, boxes: Tensor, scores: Tensor) -> Tensor:
        """Boxes (1 or classes, P, 4) and scores (P, classes) to rows (R, 7)."""
        rows = [scores.new_zeros(0, 7)]
        for label in range(self.classes):
            if label != self.background:
                own = boxes[0 if self.share_location else label]
                rows.append(self.of_class(image, label, own, scores[:, label]))
        found = torch.cat(rows)
        if self.keep_top_k is None:
            return found
        best = found[:, 2].argsort(descending=True, stable=True)[: self.keep_top_k]
        return found[best.sort().values]

    def of_class(self, image: int, label: int, boxes: Tensor, scores: Tensor) -> Tensor:
        """Boxes (P, 4) and scores (P,) to rows (R, 7)."""
        order = scores.argsort(descending=True, stable=True)
        order = order[scores[order] > self.threshold][: self.top_k]
        order = order[suppress(boxes[order], self.nms_threshold, eta=self.eta)]
        head = scores.new_tensor([image, label]).expand(len(order), 2)
        return torch.cat([head, scores[order].unsqueeze(1), boxes[order]], 1)
