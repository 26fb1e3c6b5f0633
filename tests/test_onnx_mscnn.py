"""MS-CNN's and Cascade R-CNN's layers in ONNX files: in onnxruntime what the modules compute that are worked by
hand.
"""

import numpy as np
import pytest
import torch
from one_layer import random
from test_onnx_detection import run
from test_source_forks import CASES, net_of

from converters.export.nodes import by_torch
from converters.export.nodes.free import Free

OF_REGIONS = [case for case in CASES if "bottom" not in CASES[case][0]]


def enlarged(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Maps twice as wide and a row less high; rows as they are."""
    of_maps = {name: x for name, x in arrays.items() if x.ndim == 4 and x.shape[2] > 1}
    return arrays | {
        name: np.tile(x, (1, 1, 1, 2))[:, :, 1:] + 0.01 * random(x.shape[0], x.shape[1], x.shape[2] - 1, 1)
        for name, x in of_maps.items()
    }


@pytest.mark.parametrize("case", OF_REGIONS)
@pytest.mark.parametrize("size", [False, True])
def test_the_file_computes_what_the_layer_does(
    case: str, size: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of any size is held at another, too."""
    monkeypatch.setattr(by_torch, "by_torch", lambda *_: pytest.fail("a layer is torch's exporter's"))
    net, arrays = net_of(case)
    for each in (arrays, enlarged(arrays)) if size else (arrays,):
        _, found = run(net, Free(size=size and "decoded" not in case), each)
        with torch.no_grad():
            theirs = net.all_blobs(**{name: torch.from_numpy(x) for name, x in each.items()})
        for name, ours in found.items():
            assert ours.shape == theirs[name].shape
            assert abs(ours - theirs[name].numpy()).max() <= 3e-6 * theirs[name].abs().max()


def test_an_image_without_boxes_among_others_has_none() -> None:
    net, arrays = net_of("all boxes")
    less = {name: x.copy() for name, x in arrays.items()}
    for x in less.values():
        x[0, 0] = 99
    _, found = run(net, Free(batch=True), less)
    with torch.no_grad():
        theirs = net.all_blobs(**{name: torch.from_numpy(x) for name, x in less.items()})
    assert set(theirs["rois"][:, 0].flatten().tolist()) == {1.0}
    np.testing.assert_allclose(found["rois"], theirs["rois"].numpy(), rtol=3e-6, atol=1e-5)
