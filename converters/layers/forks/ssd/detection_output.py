"""DetectionOutput of SSD and of RefineDet."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.forks.ssd.predictions import (
    Predictions,
    PredictionsSpec,
    check_predictions,
    predictions_of,
)
from converters.layers.parts.boxes.nms import suppressed
from converters.layers.parts.boxes.rows import nothing_found, ranks
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import numbers_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

_FILES = "writes no files of detections and shows no pictures, as save_output_param and visualize ask"


@dataclass(frozen=True)
class DetectionOutputSpec(PredictionsSpec):
    """Of DetectionOutput; ``top_k`` and ``keep_top_k`` are None where all stay."""

    variance_encoded_in_target: bool = False
    confidence_threshold: float = -torch.finfo(torch.float32).max
    nms_threshold: float = 0.3
    eta: float = 1.0
    top_k: int | None = None
    keep_top_k: int | None = None

    @property
    def in_target(self) -> bool:
        """As Caffe calls it here."""
        return self.variance_encoded_in_target


def _most(module: Layer, bottoms: Shapes) -> Shapes:
    """As many rows as there could be."""
    spec, (images, priors) = module.spec, (bottoms[0][0], bottoms[2][2] // 4)
    rows = len(spec.labels) * (priors if spec.top_k is None else min(priors, spec.top_k))
    rows = rows if spec.keep_top_k is None else min(rows, spec.keep_top_k)
    return [torch.Size((1, 1, images * max(rows, 1), 7))]


class _Candidates(NamedTuple):
    """The best of each image's class, best first: (images, classes, most there are)."""

    place: Tensor
    score: Tensor
    is_one: Tensor  # where a class has fewer


@layer(
    "DetectionOutput",
    source="weiliu89/caffe: detection_output_layer.cpp",
    bottoms=(3, 5),
    macs=free,
    most=_most,
    untraceable=True,
    rows=2,
    fields=("detection_output_param",),
)
class DetectionOutput(Layer):
    """Boxes decoded by their priors, a row each: of every class but the background's the ``top_k`` whose
    score is above the threshold, without those that overlap a better one by more than ``nms_threshold``
    (which ``eta`` shrinks), and of an image the ``keep_top_k`` best. Rows are (image, label, score, xmin,
    ymin, xmax, ymax) in the order of image, label, score; where there is none, one an image of (image, -1…).

    Bottoms 4 and 5 are RefineDet's (sfzhang15/RefineDet): scores of a first stage, of which a second class
    below ``objectness_score`` leaves a prior to the background, and locations of it, which move the priors.
    Equal scores of several classes at the edge of ``keep_top_k`` are taken in the order of labels, where the
    fork's sort leaves the order open. No gradient.
    """

    spec: DetectionOutputSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.detection_output_param
        self.spec = _spec(message)
        _check(message, self.spec, bottoms)
        self.shows = param.visualize or bool(param.save_output_param.output_directory)

    def notice(self) -> str | None:
        """Of what Caffe would write or show."""
        return _FILES if self.shows else None

    @torch.no_grad()
    def forward(self, *bottoms: Tensor) -> Tensor:
        """Locations (N, 4·P·classes or 4·P), scores (N, P·K), priors (1, 2, 4·P), first scores (N, 2·P) and
        first locations (N, 4·P) to (1, 1, R, 7).
        """
        spec = self.spec
        read = predictions_of(bottoms[:3], bottoms[3:], spec)
        boxes = self._boxes(read)
        best = self._best(self._scores(read))
        images, classes = best.place.shape[:2]
        by_class = boxes.expand(-1, classes, -1, -1)
        chosen = by_class.gather(2, best.place.unsqueeze(-1).expand(-1, -1, -1, 4))
        stays = suppressed(chosen, spec.nms_threshold, eta=spec.eta, alive=best.is_one)
        at = stays.nonzero()
        score = best.score[stays]
        labels = torch.tensor(spec.labels, device=score.device)[at[:, 1]]
        rows = torch.cat([torch.stack([at[:, 0], labels], 1).to(score), score[:, None], chosen[stays]], 1)
        if spec.keep_top_k is not None:
            rows = rows[ranks(at[:, 0], score) < spec.keep_top_k]
        return rows.reshape(1, 1, -1, 7) if len(rows) else nothing_found(images, rows)

    def _boxes(self, read: Predictions) -> Tensor:
        """(N, 1 or classes but the background's, P, 4)."""
        location = read.location if self.spec.share_location else read.location[:, self.spec.labels]
        return self.spec.boxes(location, read.priors)

    def _scores(self, read: Predictions) -> Tensor:
        """(N, classes but the background's, P)."""
        scores = read.scores.transpose(1, 2)
        if read.is_object is not None:
            background = torch.zeros_like(scores)
            background[:, 0] = 1
            scores = torch.where(read.is_object[:, None], scores, background)
        return scores[:, self.spec.labels]

    def _best(self, scores: Tensor) -> _Candidates:
        above = scores > self.spec.confidence_threshold
        count = scores.shape[2] if self.spec.top_k is None else self.spec.top_k
        if 0 < count < scores.shape[2]:
            # What equals the last of the best stays for now: the order of places decides.
            least = torch.where(above, scores, -torch.inf).topk(count, 2).values[..., -1:]
            above &= scores >= least
        most = int(above.sum(2).max()) if above.numel() else 0
        images, classes, place = above.nonzero().unbind(1)
        slot = (above.cumsum(2) - 1)[above]
        dense = torch.full((*scores.shape[:2], most), -1, device=scores.device)
        dense[images, classes, slot] = place
        is_one = dense >= 0
        place = dense.clamp(min=0)
        values = torch.where(is_one, scores.gather(2, place), -torch.inf)
        ordered = values.sort(dim=2, descending=True, stable=True)
        first = ordered.indices[..., :count]
        return _Candidates(place.gather(2, first), ordered.values[..., :count], is_one.gather(2, first))


def _spec(message: LayerParameter) -> DetectionOutputSpec:
    param, nms = message.detection_output_param, message.detection_output_param.nms_param
    numbers = numbers_of(param, DetectionOutputSpec) | {
        "keep_top_k": param.keep_top_k if param.keep_top_k >= 0 else None,
        "top_k": nms.top_k if nms.HasField("top_k") and nms.top_k >= 0 else None,
        "nms_threshold": nms.nms_threshold,
        "eta": nms.eta,
    }
    if not param.HasField("confidence_threshold"):
        del numbers["confidence_threshold"]
    return DetectionOutputSpec(**numbers)


def _check(message: LayerParameter, spec: DetectionOutputSpec, bottoms: Shapes) -> None:
    """Raise InputError for what DetectionOutputLayer refuses."""
    if spec.num_classes < 1:
        raise InputError("needs num_classes", message.name)
    if spec.share_location and spec.background_label_id == -1:
        raise InputError("background_label_id -1 goes with share_location: false alone", message.name)
    if spec.nms_threshold < 0 or not 0 < spec.eta <= 1:
        raise InputError("nms_threshold must be at least 0, and eta above 0 and at most 1", message.name)
    check_predictions(message, bottoms[:3], bottoms[3:], spec)
