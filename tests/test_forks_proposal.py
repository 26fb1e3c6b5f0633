"""What proposes regions: its limits by phase, its options, and what it refuses."""

import numpy as np
import pytest
import torch
from one_layer import one_layer, random

from converters import load_net
from converters.layers.parts.boxes.anchors import Anchors
from prototxt.errors import InputError

PYTHON = (
    'type: "Python" top: "rois" python_param { module: "rpn.proposal_layer" layer: "ProposalLayer" '
    'param_str: "%s" }'
)
PVA = 'type: "Proposal" top: "rois" proposal_param { %s }'
SHAPES = {"scores": (1, 18, 40, 60), "deltas": (1, 36, 40, 60), "info": (1, 3)}


def test_default_anchors_are_py_faster_rcnns() -> None:
    anchors = Anchors().of_map(torch.zeros(1), 1, 1)
    assert anchors[0].tolist() == [-84, -40, 99, 55] and anchors[-1].tolist() == [-168, -344, 183, 359]
    shifted = Anchors(feat_stride=8).of_map(torch.zeros(1), 2, 3)
    assert (shifted[9 * 5] - shifted[0]).tolist() == [16, 8, 16, 8]  # the third column of the second row


@pytest.mark.parametrize(("phase", "most"), [("TRAIN", 2000), ("TEST", 300)])
def test_as_many_rois_as_the_phase_has(phase: str, most: int) -> None:
    net = one_layer(PYTHON % "'feat_stride': 16", phase=phase, **SHAPES)
    assert net.shapes[net.graph.outputs[0]] == (most, 5)
    deltas = torch.from_numpy(random(*SHAPES["deltas"])) * 0.1
    rois = net(torch.rand(SHAPES["scores"]), deltas, torch.tensor([[640.0, 960, 1]]))
    assert isinstance(rois, torch.Tensor) and 100 < len(rois) <= most
    assert rois[:, 1:].min() >= 0 and rois[:, [1, 3]].max() <= 959 and rois[:, [2, 4]].max() <= 639


def test_param_str_is_one_line_or_several_and_may_have_scales() -> None:
    for text in (
        "'feat_stride': 8\\n'scales': (4, 8)",
        "'feat_stride': 8 \\n'scales': !!python/tuple [4, 8]",
    ):
        net = one_layer(PYTHON % text, scores=(1, 12, 4, 4), deltas=(1, 24, 4, 4), info=(1, 3))
        spec = net.module_of(net.graph.nodes[-1]).spec
        assert spec.anchors.feat_stride == 8 and spec.anchors.scales == (4, 8)


def test_nothing_big_enough_gives_no_rois() -> None:
    net = one_layer(PYTHON % "'feat_stride': 16", **SHAPES)
    rois = net(torch.rand(SHAPES["scores"]), torch.zeros(SHAPES["deltas"]), torch.tensor([[640.0, 960, 99]]))
    assert isinstance(rois, torch.Tensor) and rois.shape == (0, 5)


def test_small_boxes_of_pvanet_stay_last_with_a_score_of_0() -> None:
    text = PVA % "ratio: 1 scale: 1 scale: 8 min_size: 64 nms_thresh: 1 post_nms_topn: 99"
    shapes = {"scores": (1, 4, 3, 3), "deltas": (1, 8, 3, 3), "info": (1, 4)}
    net = one_layer(text.replace('top: "rois"', 'top: "rois" top: "scores_out"'), **shapes)
    tops = net(torch.rand(1, 4, 3, 3) + 0.1, torch.zeros(1, 8, 3, 3), torch.tensor([[480.0, 480, 1, 1]]))
    assert isinstance(tops, dict)
    sides = (tops["rois"][:, 3:] - tops["rois"][:, 1:3] + 1).min(1).values
    assert np.array_equal((tops["scores_out"] > 0).numpy(), (sides >= 64).numpy())


@pytest.mark.parametrize(
    ("layer", "shapes", "line"),
    [
        (PYTHON % "", SHAPES, "has no 'feat_stride': a whole number"),
        (PYTHON % "'feat_stride': __import__('os')", SHAPES, "has no 'feat_stride': a whole number"),
        (PYTHON % "'feat_stride': 16", SHAPES | {"scores": (2, 18, 40, 60)}, r"one image, \(1, 18, H, W\)"),
        (PYTHON % "'feat_stride': 16", SHAPES | {"deltas": (1, 36, 4, 4)}, r"deltas \(1, 36, H, W\)"),
        (PVA % "scale: 1", SHAPES, "at least one ratio and one scale"),
        (
            PVA % "ratio: 0.5 ratio: 1 ratio: 2 scale: 1 scale: 2 scale: 4",
            SHAPES,
            "im_info of 4 values or more",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(layer: str, shapes: dict, line: str) -> None:
    with pytest.raises(InputError, match=line):
        one_layer(layer, **shapes)


def test_a_class_of_another_name_is_the_users_and_needs_leave() -> None:
    text = (PYTHON % "'feat_stride': 16").replace('"ProposalLayer"', '"Other"')
    with pytest.raises(InputError, match="is a Python layer, which would run the code"):
        load_net(f'layer {{ name: "a" type: "Input" top: "a" }} layer {{ name: "p" bottom: "a" {text} }}')
