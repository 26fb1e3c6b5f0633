"""R-CNN's nets, and MS-CNN's and Cascade R-CNN's layers, in ONNX files: in onnxruntime what the modules compute
that are worked by hand.
"""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from one_layer import random
from test_onnx_detection import run
from test_source_forks import CASES, net_of

from converters import load_net
from converters.export.nodes import by_torch
from converters.export.nodes.free import Free
from eval.parity import write_onnx

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


CONV = """layer {{ name: "{0}" type: "Convolution" bottom: "{1}" top: "{0}" convolution_param {{
  num_output: {2} kernel_size: {3} stride: {4} weight_filler {{ type: "gaussian" std: {5} }} }} }}"""
FASTER = "\n".join(
    [
        'input: "data" input_shape { dim: 1 dim: 3 dim: 64 dim: 96 } input: "im_info" input_shape { dim: 1 dim: 3 }',
        CONV.format("map", "data", 4, 16, 16, 0.05),
        CONV.format("scores", "map", 18, 1, 1, 1),
        CONV.format("deltas", "map", 36, 1, 1, 0.1),
        """layer { name: "two" type: "Reshape" bottom: "scores" top: "two" reshape_param { shape { dim: 0 dim: 2 dim: -1 dim: 0 } } }
        layer { name: "p" type: "Softmax" bottom: "two" top: "p" }
        layer { name: "back" type: "Reshape" bottom: "p" top: "back" reshape_param { shape { dim: 0 dim: 18 dim: -1 dim: 0 } } }
        layer { name: "proposal" type: "Python" bottom: "back" bottom: "deltas" bottom: "im_info" top: "rois"
          python_param { module: "rpn.proposal_layer" layer: "ProposalLayer" param_str: "'feat_stride': 16" } }
        layer { name: "pool" type: "ROIPooling" bottom: "map" bottom: "rois" top: "pool"
          roi_pooling_param { pooled_w: 2 pooled_h: 2 spatial_scale: 0.0625 } }
        layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" inner_product_param { num_output: 3
          weight_filler { type: "xavier" } } }""",
    ]
)


def test_faster_r_cnn_is_of_any_size_and_of_one_image(tmp_path: Path) -> None:
    """At five sizes against nets that are built at each; the line says what is fixed, and what is not."""
    said: list[str] = []
    net = load_net(FASTER)
    assert not write_onnx(net, tmp_path / "a.onnx", dynamic_size=True, warn=said.append)
    (line,) = said
    assert 'layer "proposal": takes scores of one image' in line
    assert line.endswith("the ONNX file has the prototxt's batch, and any height and width")
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])
    for height, width in [(64, 96), (96, 64), (160, 208), (80, 80), (48, 240)]:
        other = load_net(FASTER, input_shapes={"data": (1, 3, height, width)})
        other.load_state_dict(net.state_dict())
        feeds = {"data": random(1, 3, height, width), "im_info": np.float32([[height, width, 1]])}
        with torch.no_grad():
            theirs = other(*map(torch.from_numpy, feeds.values()))
        (ours,) = session.run(["fc"], feeds)
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)
