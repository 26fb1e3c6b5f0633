"""MultiBoxLoss of SSD and of RefineDet."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.forks.judging.smooth_l1 import smooth_l1
from converters.layers.forks.ssd.multibox_spec import MultiBoxLossSpec, check_spec, spec_of
from converters.layers.forks.ssd.predictions import Predictions, predictions_of
from converters.layers.judging.labels import LOSS_TOPS, capped
from converters.layers.parts.boxes.matching import NONE, Matches, Truths, by_image, crosses_border, matched
from converters.layers.parts.boxes.nms import areas_of, suppressed
from converters.layers.parts.boxes.priors import Priors, encoded
from converters.layers.parts.boxes.truth_rows import drawn_truths
from converters.layers.parts.gradient import with_slope
from converters.layers.parts.indexing import Index
from converters.layers.registry import Shapes, free, layer
from prototxt.caffe_pb2 import LayerParameter

_SMALL = 1e-5  # the area below which a box is no candidate when hard examples are thinned out


@dataclass(frozen=True)
class _Batch(Predictions):
    """What a pass is of: predictions and true boxes."""

    truths: Truths


@layer(
    "MultiBoxLoss",
    source="weiliu89/caffe: multibox_loss_layer.cpp",
    role="loss",
    bottoms=(4, 6),
    tops=LOSS_TOPS,
    labels=(2, 3, 4, 5),
    probes={
        3: lambda module, bottoms, random: drawn_truths(bottoms[3], bottoms[0][0], module.spec.labels, random)
    },
    macs=free,
    most=lambda module, bottoms: [torch.Size(())],
    untraceable=True,
    fields=("multibox_loss_param",),
)
class MultiBoxLoss(Layer):
    """Priors are matched with true boxes; the loss of their locations times ``loc_weight``, and of their
    scores with those of the hardest others, as background, over the number of matches (VALID, at least 1).
    An image without a true box adds nothing where examples are mined. With ``encode_variance_in_target`` the
    gradient of the locations is the fork's, which is not divided by the variance; of LOGISTIC scores without
    mining the targets of the second image and all after it stand where the fork puts them, too early.

    Bottoms 5 and 6 are RefineDet's (sfzhang15/RefineDet): scores of a first stage, which leave priors below
    ``objectness_score`` out of mining, and locations of it, which move the priors; its first stage of two
    classes takes every label for 1. Among examples equally hard the first count, where the fork's sort leaves
    it open.
    """

    spec: MultiBoxLossSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.spec = spec_of(message)
        check_spec(message, self.spec, bottoms)
        self.index = Index(message, "label", bottom=3)
        goes = [*message.propagate_down, True, True]
        self.counts_location, self.counts_scores = goes[0], goes[1]

    def forward(self, *bottoms: Tensor) -> Tensor:
        """Locations (N, 4·P·classes or 4·P), scores (N, P·K), priors (1, 2, 4·P), true boxes (1, 1, R, 8),
        first scores (N, 2·P) and first locations (N, 4·P) to a scalar.
        """
        spec, read = self.spec, predictions_of(bottoms[:3], bottoms[4:], self.spec)
        batch = _Batch(**vars(read), truths=self._truths(bottoms[3], len(bottoms[0])))
        with torch.no_grad():
            matches = self._matches(batch)
            index, negative = matches.truth, None
            if spec.mining_type != "NONE":
                index, negative = self._mined(batch, matches)
        loss = batch.scores.new_zeros(())
        if self.counts_location:
            loss = loss + spec.loc_weight * self._location_loss(batch, index, batch.priors).sum()
        if self.counts_scores:
            loss = loss + self._scores_loss(batch, index, negative)
        return loss / self._normaliser(index)

    def _truths(self, blob: Tensor, images: int) -> Truths:
        spec, rows = self.spec, blob.detach().reshape(-1, 8)
        rows = rows[rows[:, 0].long() != NONE]
        labels = rows[:, 1]
        if spec.num_classes == 2:  # RefineDet's first stage
            labels = labels.clamp(max=1)
        whole = self.index(labels, spec.num_classes)
        if (whole == spec.background_label_id).any():
            raise self.refusal(f"a true box has the background's label {spec.background_label_id}")
        if not spec.use_difficult_gt:
            easy = rows[:, 7] == 0
            rows, whole = rows[easy], whole[easy]
        return by_image(rows, whole, images)

    def _matches(self, batch: _Batch) -> Matches:
        """Of each prior (N, L, P)."""
        spec, truths = self.spec, batch.truths
        is_one = truths.is_one.unsqueeze(1)
        classes = torch.arange(spec.num_classes, device=is_one.device).reshape(1, -1, 1)
        if spec.use_prior_for_matching:
            boxes = batch.priors.boxes.expand(len(truths.boxes), 1, -1, 4)
        else:
            boxes = spec.boxes(batch.location.detach(), batch.plain)
            if not spec.share_location:
                right = (truths.labels.unsqueeze(1) == classes) & (classes != spec.background_label_id)
                is_one = is_one & right
        threshold = spec.overlap_threshold if spec.match_type == "PER_PREDICTION" else None
        ignored = crosses_border(boxes) if spec.ignore_cross_boundary_bbox else None
        matches = matched(boxes, truths.boxes.unsqueeze(1), is_one, threshold, ignored)
        if spec.share_location or not spec.use_prior_for_matching:
            return matches
        of_class = _labels(truths, matches.truth) == classes
        return Matches(torch.where(of_class, matches.truth, NONE), matches.overlap)

    def _mined(self, batch: _Batch, matches: Matches) -> tuple[Tensor, Tensor]:
        """(the matches that count (N, 1, P), the examples of the background (N, P))."""
        spec, index = self.spec, matches.truth[:, 0]
        is_match = index > NONE
        loss = self._hardness(batch, index)
        if spec.mining_type == "HARD_EXAMPLE":
            errors = self._location_loss(batch, matches.truth, batch.plain).sum(1)
            loss[is_match] += errors
            may_be = torch.ones_like(is_match)
            limit = torch.full_like(index[:, :1], spec.sample_size)
        else:
            may_be = (index == NONE) & (matches.overlap[:, 0] < spec.neg_overlap)
            limit = (is_match.sum(1, keepdim=True).float() * spec.neg_pos_ratio).long()
        if batch.is_object is not None:
            may_be &= batch.is_object
        chosen = self._hardest(batch, loss, may_be, limit) & batch.truths.is_one.any(1, keepdim=True)
        if spec.mining_type == "HARD_EXAMPLE":
            matched_still = torch.where(is_match & ~chosen, NONE, index)
            return matched_still.unsqueeze(1), chosen & (index == NONE)
        return matches.truth, chosen

    def _hardness(self, batch: _Batch, index: Tensor) -> Tensor:
        """The loss of every prior's scores: (N, P)."""
        labels = _labels(batch.truths, index)
        labels = torch.where(index > NONE, labels, self.spec.background_label_id)
        if self.spec.conf_loss_type == "SOFTMAX":
            return _cross_entropy(batch.scores.detach(), labels)
        every = torch.arange(self.spec.num_classes, device=labels.device)
        target = (labels.unsqueeze(-1) == every).to(batch.scores)
        return F.binary_cross_entropy_with_logits(batch.scores, target, reduction="none").sum(-1)

    def _hardest(self, batch: _Batch, loss: Tensor, may_be: Tensor, limit: Tensor) -> Tensor:
        """Of the priors that may be chosen (N, P) the ``limit`` (N, 1) with the greatest losses of an image;
        with ``nms_param`` without those that overlap a harder one.
        """
        order = torch.where(may_be, loss, -torch.inf).sort(dim=1, descending=True, stable=True).indices
        stays = may_be.gather(1, order)
        if self.spec.nms_threshold is not None:
            boxes = batch.plain.boxes.expand(len(loss), -1, 4)
            if not self.spec.use_prior_for_nms:
                boxes = self.spec.boxes(batch.location[:, 0].detach(), batch.plain)
            boxes = boxes.gather(1, order.unsqueeze(-1).expand(-1, -1, 4))
            if self.spec.nms_top_k > -1:
                stays = stays & (stays.cumsum(1) <= self.spec.nms_top_k)
            stays = suppressed(boxes, self.spec.nms_threshold, alive=stays & (areas_of(boxes) >= _SMALL))
        stays = stays & (stays.cumsum(1) <= limit)
        return torch.zeros_like(may_be).scatter(1, order, stays)

    def _location_loss(self, batch: _Batch, index: Tensor, priors: Priors) -> Tensor:
        """Of each number of each match's location: (M, 4)."""
        spec = self.spec
        at = (index > NONE).nonzero().unbind(1)
        image, place = at[0], at[2]
        location = batch.location[at]
        boxes = priors.boxes.expand(len(index), 1, -1, 4)[image, 0, place]
        own = Priors(boxes, priors.variance[place])
        wanted = encoded(batch.truths.boxes[image, index[at]], own, spec.code_type)
        predicted = location
        if spec.encode_variance_in_target:
            predicted = with_slope(location, location / own.variance, torch.ones_like(location))
        error = predicted - wanted
        if spec.bp_inside:
            seen = boxes
            if not spec.use_prior_for_matching:
                seen = spec.boxes(location.detach(), own)
            error = torch.where((seen < 0) | (seen > 1), 0.0, error)
        return smooth_l1(error) if spec.loc_loss_type == "SMOOTH_L1" else 0.5 * error * error

    def _scores_loss(self, batch: _Batch, index: Tensor, negative: Tensor | None) -> Tensor:
        """Of the matches and, where there are any, the examples of the background; else of all priors."""
        spec, background = self.spec, self.spec.background_label_id
        labels = torch.where(index > NONE, _labels(batch.truths, index), -1)
        if spec.map_object_to_agnostic:
            labels = torch.where(index > NONE, background + 1, -1)
        if spec.conf_loss_type == "LOGISTIC":
            return self._logistic(batch.scores, labels, negative)
        of_prior = torch.where(labels.amax(1) > -1, labels.amax(1), background)
        if negative is None:
            return _cross_entropy(batch.scores, of_prior).sum()
        counts = negative | (index[:, 0] > NONE)
        return _cross_entropy(batch.scores[counts], of_prior[counts]).sum()

    def _logistic(self, scores: Tensor, labels: Tensor, negative: Tensor | None) -> Tensor:
        """Of scores (N, P, K) and labels (N, L, P), -1 of none; targets begin as the background's number."""
        background, classes = self.spec.background_label_id, scores.shape[2]
        target = torch.full_like(scores, background, requires_grad=False)
        image, _, place = at = (labels > -1).nonzero().unbind(1)
        if negative is None:
            # Each image's targets begin P numbers after the last one's, and not P·K.
            target.view(-1)[image * scores.shape[1] + place * classes + labels[at]] = 1
            return F.binary_cross_entropy_with_logits(scores, target, reduction="sum")
        target[image, place, labels[at]] = 1
        if 0 <= background < classes:
            target[..., background][negative] = 1
        counts = negative | (labels[:, 0] > -1)
        return F.binary_cross_entropy_with_logits(scores[counts], target[counts], reduction="sum")

    def _normaliser(self, index: Tensor) -> Tensor | float:
        if self.spec.normalization == "VALID":
            return (index > NONE).sum().clamp(min=1)
        sizes = {"FULL": index[:, 0].numel(), "BATCH_SIZE": len(index), "NONE": 1}
        return float(max(sizes[self.spec.normalization], 1))


def _labels(truths: Truths, index: Tensor) -> Tensor:
    """The labels of the true boxes with these numbers (N, …); any where there is none."""
    return truths.labels.gather(1, index.clamp(min=0).flatten(1)).reshape(index.shape)


def _cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """-log softmax of each label, at most that of FLT_MIN, while the gradient stays whole: (…, K) to (…)."""
    return capped(-F.log_softmax(scores, -1).gather(-1, labels.unsqueeze(-1)).squeeze(-1))
