"""MS-CNN's rois: BoxOutput suppresses the proposals of maps of several scales together, DecodeBBox moves rois
to where a stage of a cascade says that its boxes lie.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.parts.boxes.fields import AS_THEY_ARE, Deltas, Field, deltas_of, edges, fields_of
from converters.layers.parts.boxes.nms import suppressed
from converters.layers.parts.boxes.rois import check_rows, drawn_rois_alone
from converters.layers.registry import ONE_OR_MORE, Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

NOTHING = (0.0, 1.0, 1.0, 10.0, 10.0)  # the roi of a batch without any


@dataclass(frozen=True)
class BoxOutputSpec(Spec):
    """Of BoxOutput: numbers of boxes are those of an image, 0 of all."""

    fields: tuple[Field, ...]
    deltas: Deltas = AS_THEY_ARE
    fg_thr: float = 0.0
    iou_thr: float = 0.5
    max_nms_num: int = 0
    max_post_nms_num: int = 0
    min_size: float = 15.0


def _most(module: Layer, bottoms: Shapes) -> Shapes:
    assert isinstance(module, BoxOutput)
    count = bottoms[0][0] * module.limit(sum(shape[2] * shape[3] for shape in bottoms))
    return [torch.Size([max(1, count), width, 1, 1]) for width in (5, 6)[: module.tops]]


@layer(
    "BoxOutput",
    source="zhaoweicai/mscnn: box_output_layer.cpp",
    fields=("box_output_param", "bbox_reg_param"),
    bottoms=ONE_OR_MORE,
    tops=(1, 2),
    macs=free,
    most=_most,
    untraceable=True,
    rows=0,
)
class BoxOutput(Layer):
    """Rois of every image, and with a second top their scores: of all places of all maps those whose best
    class is ahead of the background (class 0) by fg_thr or more; cut off at the image; min_size wide and high
    or more; the best max_nms_num of them; without those whose overlap with a better one is above iou_thr. Of
    equal scores the later place goes first. A batch without any has one roi of its own. No gradient.
    """

    spec: BoxOutputSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self._check(message, bottoms)
        param, self.tops = message.box_output_param, len(message.top)
        if param.nms_type != "IOU":
            raise InputError(
                f'nms_type "{param.nms_type}" is not IOU, which alone is known here', message.name
            )
        numbers = (param.fg_thr, param.iou_thr, param.max_nms_num, param.max_post_nms_num, param.min_size)
        self.spec = BoxOutputSpec(tuple(fields_of(message, len(bottoms))), deltas_of(message), *numbers)

    def _check(self, message: LayerParameter, bottoms: Shapes) -> None:
        for shape in bottoms:
            if len(shape) != 4 or shape[1] < 6 or shape[:2] != bottoms[0][:2]:
                reason = f"takes maps (N, K + 4, H, W) of one N and 2 classes K or more, not {tuple(shape)}"
                raise InputError(reason, message.name)

    def limit(self, places: int) -> int:
        """The most rois of an image of which there are so many places."""
        limits = (self.spec.max_nms_num, self.spec.max_post_nms_num)
        return min([places, *(limit for limit in limits if limit)])

    @torch.no_grad()
    def forward(self, *maps: Tensor) -> tuple[Tensor, ...]:
        """Maps (N, K + 4, H, W) to rois (R, 5, 1, 1) and, with their scores, (R, 6, 1, 1)."""
        parts = [self._of_map(x.float(), field) for x, field in zip(maps, self.spec.fields, strict=True)]
        boxes, scores = (torch.cat(part, 1).flip(1) for part in zip(*parts, strict=True))
        order = scores.argsort(dim=1, descending=True, stable=True)[:, : self.spec.max_nms_num or None]
        scores, boxes = scores.gather(1, order), boxes.gather(1, order[..., None].expand(-1, -1, 4))
        stays = suppressed(
            edges(boxes),
            self.spec.iou_thr,
            alive=scores > -torch.inf,
            areas=boxes[..., 2] * boxes[..., 3],
            most=self.spec.max_post_nms_num or None,
        )
        image = stays.nonzero()[:, :1].to(boxes.dtype)
        rois = torch.cat([image, edges(boxes[stays])], 1)
        scored = torch.cat([rois, scores[stays][:, None]], 1)
        if not len(rois):
            rois, scored = rois.new_tensor([NOTHING]), rois.new_zeros(1, 6)
        return tuple(x[..., None, None] for x in (rois, scored)[: self.tops])

    def _of_map(self, x: Tensor, field: Field) -> tuple[Tensor, Tensor]:
        """(N, H·W, 4) left, top, width and height, and (N, H·W) scores, -inf of what is no candidate."""
        score = x[:, 1:-4].amax(1) - x[:, 0]
        boxes = field.boxes(self.spec.deltas.back(x[:, -4:], 1))
        size = [int(n * field.downsample_rate) for n in (x.shape[3], x.shape[2])]
        start = boxes[:, :2].clamp(min=0)
        sides = torch.minimum(boxes[:, 2:], boxes.new_tensor(size).reshape(1, 2, 1, 1) - start)
        counts = (score >= self.spec.fg_thr) & (sides >= self.spec.min_size).all(1)
        score = torch.where(counts, score, -torch.inf)
        return torch.cat([start, sides], 1).flatten(2).mT, score.flatten(1)


def _as_many(module: Layer, bottoms: Shapes) -> Shapes:
    return [torch.Size([bottoms[1][0], 5, 1, 1])]


@dataclass(frozen=True)
class DecodeBBoxSpec(Spec):
    """Of DecodeBBox."""

    deltas: Deltas = AS_THEY_ARE
    gt_iou_thr: float = 0.95


@layer(
    "DecodeBBox",
    source="zhaoweicai/mscnn: decode_bbox_layer.cpp",
    fields=("decode_bbox_param", "bbox_reg_param"),
    bottoms=(2, 3),
    macs=free,
    most=_as_many,
    untraceable=True,
    rows=0,
    probes={1: drawn_rois_alone},
)
class DecodeBBox(Layer):
    """Rois moved by the second four of the eight deltas of each. In TRAIN without those whose corners would
    cross, and with a third bottom, whose last value is a roi's overlap with its true box, without those of
    gt_iou_thr or more, which are the true boxes. No gradient.
    """

    spec: DecodeBBoxSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.spec = DecodeBBoxSpec(deltas_of(message), message.decode_bbox_param.gt_iou_thr)
        check_rows(message, "deltas", bottoms[0], 8)
        check_rows(message, "rois", bottoms[1], 5)
        if any(shape[0] != bottoms[0][0] for shape in bottoms):
            raise InputError(f"bottoms differ in axis 0: {[*map(tuple, bottoms)]}", message.name)

    @torch.no_grad()
    def forward(self, deltas: Tensor, rois: Tensor, match: Tensor | None = None) -> Tensor:
        """(R, 8), (R, 5, 1, 1) and (R, 6, 1, 1) to (S, 5, 1, 1)."""
        rows = rois.reshape(-1, 5)
        moves = self.spec.deltas.back(deltas.reshape(-1, 8)[:, 4:], 1)
        sides = rows[:, 3:] - rows[:, 1:3] + 1
        grown = sides * moves[:, 2:].exp()
        first = moves[:, :2] * sides + 0.5 * (rows[:, 3:] + rows[:, 1:3]) - (grown - 1) / 2
        last = first + grown - 1
        stays = torch.ones_like(rows[:, 0], dtype=torch.bool)
        if self.training:
            stays = ~(first > last).any(1)
        elif match is not None:
            raise self.refusal("takes a third bottom in TRAIN alone")
        if match is not None:
            stays &= match.reshape(len(rows), -1)[:, -1] < self.spec.gt_iou_thr
        if not stays.any():
            raise self.refusal("leaves no roi")
        return torch.cat([rows[:, :1], first, last], 1)[stays][..., None, None]
