"""What a region proposal network and its detector learn, worked by hand: no recording holds it."""

import pytest
import torch
from one_layer import one_layer
from torch import Tensor

from converters.layers.parts.boxes.anchors import Anchors, moved
from prototxt.errors import InputError

ANCHOR = (
    'type: "Python" top: "labels" top: "targets" top: "inside" top: "outside" python_param { '
    'module: "rpn.anchor_target_layer" layer: "AnchorTargetLayer" param_str: "%s" }'
)
PROPOSAL = (
    'type: "Python" top: "out" top: "labels" top: "targets" top: "inside" top: "outside" python_param { '
    'module: "rpn.proposal_target_layer" layer: "ProposalTargetLayer" param_str: "%s" }'
)
TRUTHS = torch.tensor([[100.0, 120, 260, 300, 3], [400, 50, 520, 330, 7]])
IMAGE = torch.tensor([[480.0, 640, 1]])


def anchor_targets(truths: Tensor = TRUTHS) -> dict[str, Tensor]:
    shapes = {"score": (1, 18, 30, 40), "truths": tuple(truths.shape), "image": (1, 3)}
    net = one_layer(ANCHOR % "'feat_stride': 16", phase="TRAIN", **shapes)
    tops = net(torch.zeros(1, 18, 30, 40), truths, IMAGE)
    assert isinstance(tops, dict)
    assert {blob: tuple(x.shape) for blob, x in tops.items()} == {
        value.blob: tuple(net.shapes[value]) for value in net.graph.outputs
    }
    return tops


def overlap(a: list[float], b: list[float]) -> float:
    """A box is one pixel wider than its corners are apart."""
    sides = [max(min(a[k + 2], b[k + 2]) - max(a[k], b[k]) + 1, 0) for k in (0, 1)]
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return sides[0] * sides[1] / (sum(areas) - sides[0] * sides[1])


def by_anchor(x: Tensor, values: int) -> Tensor:
    """(1, A·V, H, W) to (H·W·A, V)."""
    return x.reshape(9, values, 30, 40).permute(2, 3, 0, 1).reshape(-1, values)


def test_anchors_are_examples_of_what_they_overlap() -> None:
    tops = anchor_targets()
    labels = by_anchor(tops["labels"].reshape(1, 9, 30, 40), 1)[:, 0]
    anchors = Anchors().of_map(torch.zeros(1), 30, 40)
    inside = (anchors[:, :2] >= 0).all(1) & (anchors[:, 2] < 640) & (anchors[:, 3] < 480)
    assert (labels[~inside] == -1).all() and (labels >= 0).sum() == 256
    shared = torch.tensor(
        [[overlap(anchor, truth) for truth in TRUTHS.tolist()] for anchor in anchors.tolist()]
    )
    best = shared.amax(1)
    is_object = inside & ((best >= 0.7) | (shared == shared[inside].amax(0)).any(1))
    assert torch.equal(labels == 1, is_object) and is_object.sum() >= 2
    assert (best[labels == 0] < 0.3).all()


def test_targets_lead_to_the_truths_and_weights_say_which_count() -> None:
    tops = anchor_targets()
    labels = by_anchor(tops["labels"].reshape(1, 9, 30, 40), 1)[:, 0]
    inside, outside = by_anchor(tops["inside"], 4), by_anchor(tops["outside"], 4)
    assert torch.equal(inside, (labels == 1).float()[:, None].expand(-1, 4))
    torch.testing.assert_close(outside, ((labels >= 0).float() / 256)[:, None].expand(-1, 4))
    reached = moved(Anchors().of_map(torch.zeros(1), 30, 40), by_anchor(tops["targets"], 4))[labels == 1]
    # A box moved has its far corner one pixel on: corners are the middles of pixels, deltas are not.
    away = (reached[:, None] - TRUTHS[:, :4] - torch.tensor([0, 0, 1, 1])).abs().amax(2).amin(1)
    assert away.max() < 1e-3


def test_which_are_left_out_is_drawn() -> None:
    torch.manual_seed(0)
    first, second = anchor_targets()["labels"], anchor_targets()["labels"]
    torch.manual_seed(0)
    assert not torch.equal(first, second) and torch.equal(first, anchor_targets()["labels"])


def proposal_targets(classes: int, rois: Tensor) -> dict[str, Tensor]:
    net = one_layer(PROPOSAL % f"'num_classes': {classes}", phase="TRAIN", rois=rois.shape, truths=(2, 5))
    tops = net(rois, TRUTHS)
    assert isinstance(tops, dict)
    return tops


@pytest.mark.parametrize(("classes", "columns"), [(21, (3, 7)), (2, (1, 1))])
def test_rois_learn_the_truth_they_overlap_by_half(classes: int, columns: tuple[int, int]) -> None:
    near = TRUTHS[torch.arange(100) % 2, :4] + torch.arange(100)[:, None] % 5
    far = torch.tensor([[0.0, 400, 60, 470]]).repeat(100, 1)
    rois = torch.cat([torch.zeros(200, 1), torch.cat([near, far])], 1)
    tops = proposal_targets(classes, rois)
    labels = tops["labels"]
    assert len(labels) == 128 and (labels > 0).sum() == 32 and (labels[:32] > 0).all()
    for row in range(32):
        which = int(labels[row] == 7)
        column = columns[which]
        weights = torch.zeros(classes, 4)
        weights[column] = 1
        assert torch.equal(tops["inside"][row].reshape(-1, 4), weights)
        deltas = tops["targets"][row].reshape(-1, 4)[column] * torch.tensor([0.1, 0.1, 0.2, 0.2])
        reached = moved(tops["out"][row : row + 1, 1:], deltas[None])[0]
        torch.testing.assert_close(reached, TRUTHS[which, :4] + torch.tensor([0, 0, 1, 1]), atol=1e-3, rtol=0)
    assert not tops["targets"][32:].any() and not tops["inside"][32:].any()
    assert torch.equal(tops["inside"], tops["outside"])


def test_a_label_without_columns_is_named() -> None:
    with pytest.raises(InputError, match='layer "it": label 7 of sample 1 is out of range, 0 to 3'):
        proposal_targets(4, torch.zeros(1, 5))


def test_fewer_rois_than_wanted_are_all_taken() -> None:
    tops = proposal_targets(21, torch.tensor([[0.0, 0, 400, 60, 470]]))
    assert sorted(tops["labels"].tolist()) == [0, 3, 7]  # the truths are rois, too


def test_rfcn_learns_from_all_rois_in_four_axes() -> None:
    rois = torch.cat([torch.zeros(300, 1), torch.rand(300, 4).cumsum(1) * 150], 1)
    layer = PROPOSAL % "'num_classes': 21" + ' dialect: "rfcn"'
    tops = one_layer(layer, phase="TRAIN", rois=rois.shape, truths=(2, 5))(rois, TRUTHS)
    assert isinstance(tops, dict)
    assert {blob: tuple(x.shape) for blob, x in tops.items()} == {
        "out": (302, 5, 1, 1),
        "labels": (302, 1, 1, 1),
        **dict.fromkeys(("targets", "inside", "outside"), (302, 84, 1, 1)),
    }
    every = torch.cat([rois, torch.cat([torch.zeros(2, 1), TRUTHS[:, :4]], 1)])
    assert sorted(tops["out"].flatten(1).tolist()) == sorted(every.tolist())


@pytest.mark.parametrize(
    ("layer", "shapes", "line"),
    [
        (ANCHOR % "'feat_stride': 16", {"s": (2, 18, 4, 4), "t": (1, 5), "i": (1, 3)}, "scores of one image"),
        (ANCHOR % "'feat_stride': 16", {"s": (1, 18, 4, 4), "t": (1, 4), "i": (1, 3)}, r"gt_boxes \(G, 5\)"),
        (
            ANCHOR % "'feat_stride': 16, 'scales': (0,)",
            {"s": (1, 18, 4, 4), "t": (1, 5), "i": (1, 3)},
            "above 0",
        ),
        (PROPOSAL % "", {"r": (1, 5), "t": (1, 5)}, "has no 'num_classes': a whole number"),
        (PROPOSAL % "'num_classes': 2", {"r": (1, 4), "t": (1, 5)}, r"takes rois \(R, 5\)"),
    ],
)
def test_what_does_not_fit_is_one_line(layer: str, shapes: dict, line: str) -> None:
    with pytest.raises(InputError, match=line):
        one_layer(layer, **shapes)
