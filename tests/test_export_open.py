"""ONNX files of any image size, of other opsets, and with what pictures go through before the net."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from test_export import CONV, IMAGE
from test_layers_sizes import poolings

from converters import load_net
from converters.export import onnx_file
from converters.export.onnx_file import export_onnx
from converters.weights.mean_image import write_mean
from eval.parity import write_onnx
from eval.runtime import open_session
from prototxt.errors import InputError
from zoo.cli import choices, main

SIZES = ((21, 18), (32, 47), (64, 33), (19, 90), (57, 57))
MANY = (
    IMAGE.replace("dim: 8 dim: 8", "dim: 21 dim: 18")
    + CONV
    + """
layer { name: "bn" type: "BatchNorm" bottom: "c" top: "c" }
layer { name: "sc" type: "Scale" bottom: "c" top: "c" scale_param { bias_term: true } }
layer { name: "n" type: "LRN" bottom: "c" top: "n" lrn_param { norm_region: WITHIN_CHANNEL } }
layer { name: "p" type: "Pooling" bottom: "n" top: "p" pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layer { name: "up" type: "Deconvolution" bottom: "p" top: "up" convolution_param { num_output: 4 kernel_size: 4 stride: 2 } }
layer { name: "cut" type: "Crop" bottom: "up" bottom: "n" top: "cut" crop_param { axis: 2 offset: 1 } }
layer { name: "e" type: "Eltwise" bottom: "cut" bottom: "n" top: "e" eltwise_param { coeff: 1 coeff: -2 } }
layer { name: "s" type: "Softmax" bottom: "e" top: "s" }
layer { name: "g" type: "Pooling" bottom: "e" top: "g" pooling_param { pool: AVE global_pooling: true } }
layer { name: "fc" type: "InnerProduct" bottom: "g" top: "fc" inner_product_param { num_output: 5 } }
"""
)


def holds_at(text: str, weights: dict[str, torch.Tensor], session: Any, **shapes: tuple[int, ...]) -> None:
    """The file gives what a net that is built for these inputs does."""
    net = load_net(text, input_shapes=shapes)
    net.load_state_dict(weights)
    rng = np.random.default_rng(sum(map(sum, shapes.values())))
    feeds = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    with torch.no_grad():
        ours = net(*(torch.from_numpy(feeds[name]) for name in net.inputs))
    assert isinstance(ours, dict)
    for name, theirs in zip(net.outputs, session.run(net.outputs, feeds), strict=True):
        assert theirs.shape == tuple(ours[name].shape), name
        np.testing.assert_allclose(theirs, ours[name].numpy(), atol=2e-6, err_msg=name)


def test_one_file_is_right_at_five_sizes(tmp_path: Path) -> None:
    """Against nets that are built at each."""
    text = MANY.replace("offset: 1", "offset: 0")
    net = load_net(text)
    assert write_onnx(net, tmp_path / "a.onnx", dynamic_size=True)
    session = open_session(tmp_path / "a.onnx")
    assert session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
    for batch, size in enumerate(SIZES, 1):
        holds_at(text, net.state_dict(), session, data=(batch, 3, *size))


@pytest.mark.parametrize("pool", ["MAX", "AVE"])
def test_every_pooling_is_caffes_at_five_sizes(pool: str, tmp_path: Path) -> None:
    """Windows that round up, are dropped or overlap the padding; a window outside the image has no mean."""
    skipped = "kernel_size: 2 stride: 3" if pool == "AVE" else ""
    text = poolings(pool, has_masks=False, skipped=skipped)
    net = load_net(text)
    assert export_onnx(net, tmp_path / "a.onnx", dynamic_size=True)
    session = open_session(tmp_path / "a.onnx")
    for size in SIZES:
        holds_at(text, net.state_dict(), session, x=(2, 3, *size))


def test_a_net_of_one_size_says_which_layer_is_why(tmp_path: Path) -> None:
    net = load_net(f'{IMAGE}layer {{ name: "fc" type: "InnerProduct" bottom: "data" top: "y" '
                   "inner_product_param { num_output: 2 } }")  # fmt: skip
    with pytest.raises(InputError, match=r'height and width cannot be dynamic .*layer "fc" would have to'):
        write_onnx(net, tmp_path / "a.onnx", dynamic_size=True)
    assert list(tmp_path.iterdir()) == []


def test_a_layer_that_torchs_exporter_has_for_one_size_is_named_in_plain_words(tmp_path: Path) -> None:
    net = load_net(f'{IMAGE}layer {{ name: "p" type: "Pooling" bottom: "data" top: "y" top: "mask" '
                   "pooling_param { pool: MAX kernel_size: 3 stride: 2 pad: 1 } }")  # fmt: skip
    said = r"""in this net \(layer "p": torch's exporter has it for one size alone\)$"""
    with pytest.raises(InputError, match=said):
        write_onnx(net, tmp_path / "a.onnx", dynamic_size=True)


def test_a_fixed_batch_says_which_layer_is_why(tmp_path: Path) -> None:
    said: list[str] = []
    reshape = (
        'layer { name: "r" type: "Reshape" bottom: "data" top: "y" reshape_param { shape { dim: 384 } } }'
    )
    assert not write_onnx(load_net(IMAGE + reshape), tmp_path / "a.onnx", warn=said.append)
    assert len(said) == 1 and 'cannot be dynamic in this net (layer "r":' in said[0]


@pytest.mark.parametrize("opset", choices.OPSETS)
def test_opsets(opset: int, tmp_path: Path) -> None:
    """Each file is held to the net, and right by onnx's own check of shapes."""
    for size in (False, True):
        write_onnx(load_net(MANY), tmp_path / "a.onnx", opset=opset, dynamic_size=size)
        model = onnx.load(tmp_path / "a.onnx")
        assert model.opset_import[0].version == opset
        onnx.checker.check_model(model, full_check=True)


def test_what_torch_writes_has_its_opset(tmp_path: Path) -> None:
    shuffled = (
        'layer { name: "i" type: "Im2col" bottom: "data" top: "y" convolution_param { kernel_size: 3 } }'
    )
    write_onnx(load_net(IMAGE + shuffled), tmp_path / "a.onnx")
    nodes = onnx.load(tmp_path / "a.onnx").graph.node
    assert nodes and not any(node.metadata_props or node.doc_string for node in nodes)
    with pytest.raises(InputError, match="opset 18 and later alone") as caught:
        write_onnx(load_net(IMAGE + shuffled), tmp_path / "b.onnx", opset=13)
    assert caught.value.layer == "i"


def test_the_command_lines_opset_is_the_exporters() -> None:
    assert choices.OPSET == onnx_file.OPSET


@pytest.mark.parametrize("mean", ["104,117.5,123", "mean.binaryproto"])
def test_pictures_go_through_the_file_itself(mean: str, tmp_path: Path) -> None:
    """Pixels in RGB to what OpenCV's blobFromImage and a mean image make of the same picture in BGR."""
    image = np.random.default_rng(0).uniform(90, 130, (3, 10, 12)).astype(np.float32)
    write_mean(tmp_path / "mean.binaryproto", image[None])
    (tmp_path / "net.prototxt").write_text(
        'layer { name: "d" type: "Data" top: "data" top: "label" data_param { batch_size: 2 }'
        " transform_param { crop_size: 8 scale: 0.5 mean_value: 1 } }\n" + CONV
    )
    command = ["convert", str(tmp_path / "net.prototxt"), "--output", str(tmp_path), "--with-preprocess"]
    command += ["--input-shape", "data=2,3,8,8"]
    told = str(tmp_path / mean) if "." in mean.split(",", maxsplit=1)[0] else mean
    assert main([*command, "--mean", told, "--verify"]) == 0
    pixels = np.random.default_rng(1).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    session = open_session(tmp_path / "net.onnx")
    (theirs,) = session.run(None, {"data": pixels.transpose(2, 0, 1)[None].astype(np.float32)})
    subtracted = (
        image[:, 1:9, 2:10]
        if "." in mean.split(",", maxsplit=1)[0]
        else np.array([104, 117.5, 123])[:, None, None]
    )
    bgr = cv2.dnn.blobFromImage(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    net = load_net(IMAGE + CONV)
    with torch.no_grad():
        ours = net(torch.from_numpy(((bgr - subtracted) * 0.5).astype(np.float32)))
    np.testing.assert_allclose(theirs, ours.numpy(), atol=2e-5)
    entries = {item.key: json.loads(item.value) for item in onnx.load(tmp_path / "net.onnx").metadata_props}
    assert entries == {"channel_order": "RGB", "input_size": [8, 8]}


def test_a_net_without_pictures_has_nothing_to_preprocess(tmp_path: Path) -> None:
    net = load_net(
        'input: "x" input_shape { dim: 1 dim: 7 } layer { name: "r" type: "ReLU" bottom: "x" top: "y" }'
    )
    with pytest.raises(InputError, match="no input that is a picture"):
        write_onnx(net, tmp_path / "a.onnx", preprocess=True)


def test_of_two_pictures_the_line_says_which_is_treated(tmp_path: Path) -> None:
    net = load_net(f"""{IMAGE} {IMAGE.replace('"data"', '"other"')}
        layer {{ name: "s" type: "Eltwise" bottom: "data" bottom: "other" top: "s" }}""")
    said: list[str] = []
    write_onnx(net, tmp_path / "a.onnx", preprocess=True, warn=said.append)
    assert said == ['input "data" takes pixels as they are; as the net takes them: "other"']
    said.clear()
    write_onnx(net, tmp_path / "a.onnx", warn=said.append)
    assert said == []
