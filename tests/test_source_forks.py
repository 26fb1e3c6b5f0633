"""Layers of forks that no recording holds, as PyTorch source: what the modules compute that are worked by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from one_layer import one_layer, random
from test_forks_mscnn import ALIGN, BOX_OUTPUT, REG, ROIS
from test_forks_spatial import TRANSFORM
from test_source_use import lint

from converters import Network
from converters.export.source import load_source, write_source

REGIONS = np.array([[0, 3, 2, 12.5, 11], [1, -6, 0, 30, 22], [1, 9, 4, 7, 12], [0, 0, 0, 0, 5]], np.float32)
DELTAS = random(4, 8)
POOL = 'type: "ROIPooling" top: "y" roi_pooling_param { pooled_h: 3 pooled_w: 2 spatial_scale: 0.5 pad_ratio: 0.25 }'
MAPS = {"a": random(2, 7, 6, 9), "b": random(2, 7, 3, 5, seed=1)}
MAPS["a"][0, 1:3, 2, :4], MAPS["a"][0, 0, 2, :4] = 3.25, 1  # equal scores: the later place goes first
SQUARE = "theta_1_1: 0.5 theta_1_2: 0 theta_2_1: 0 theta_2_2: 0.5"
CASES = {
    "all boxes": (BOX_OUTPUT % (REG, ""), MAPS),
    "the best boxes": (BOX_OUTPUT % ("", "max_nms_num: 12 max_post_nms_num: 3"), MAPS),
    "boxes alone": (BOX_OUTPUT.replace(' top: "scored"', "") % (REG, ""), MAPS),
    "no boxes": (BOX_OUTPUT % (REG, "min_size: 1000"), MAPS),
    "decoded boxes": (f'type: "DecodeBBox" top: "y" {REG}', {"d": DELTAS, "r": ROIS[..., None, None]}),
    "aligned": (ALIGN % "pad_ratio: 0.25", {"x": random(2, 3, 9, 10), "r": REGIONS}),
    "pooled": (POOL, {"x": random(2, 3, 9, 10), "r": REGIONS}),
    "transformed": (TRANSFORM % "output_H: 40 output_W: 30", {"x": random(2, 3, 50, 60), "theta": random(2, 6) * 0.7}),
    "square": (TRANSFORM % f"to_compute_dU: false {SQUARE}", {"x": random(2, 1, 4, 4), "theta": random(2, 2) * 0.3}),
}  # fmt: skip


def net_of(case: str) -> tuple[Network, dict[str, np.ndarray]]:
    text, arrays = CASES[case]
    return one_layer(text, **{name: x.shape for name, x in arrays.items()}), arrays


@pytest.mark.parametrize("case", CASES)
def test_the_source_computes_what_the_layer_does(case: str, tmp_path: Path) -> None:
    net, arrays = net_of(case)
    feeds = {name: torch.from_numpy(x) for name, x in arrays.items()}
    with torch.no_grad():
        ours, theirs = load_source(net).values(feeds), net.values(feeds)
    assert ours.keys() == theirs.keys()
    for value, x in ours.items():
        assert x.shape == theirs[value].shape
        assert (x - theirs[value]).abs().max() <= 3e-6 * theirs[value].abs().max()
    write_source(net, tmp_path / "a.py")
    assert lint(tmp_path / "a.py") == ""


def test_decoded_boxes_go_in_training_where_corners_cross() -> None:
    net, arrays = net_of("decoded boxes")
    deltas, rois = (torch.from_numpy(x.copy()) for x in arrays.values())
    deltas[3, 6] = -40
    assert load_source(net).module.train()(deltas, rois).shape == (3, 5, 1, 1)


def test_an_image_without_its_gradient_takes_none() -> None:
    net, arrays = net_of("square")
    image, theta = (torch.from_numpy(x).requires_grad_() for x in arrays.values())
    load_source(net).module(image, theta).square().sum().backward()
    assert image.grad is None and theta.grad is not None and theta.grad.abs().sum() > 0
