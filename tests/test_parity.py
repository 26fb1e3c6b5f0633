"""The check of an ONNX file against its net: what it finds, and on what inputs and weights."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from one_layer import one_layer
from onnx import numpy_helper

from converters import Network, load_net
from eval.difference import difference as difference_of
from eval.parity import compare_onnx, write_onnx

IMAGE = (
    'layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } }\n'
)
CONV = (
    'layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 4 '
    'kernel_size: 3 weight_filler { type: "xavier" } } }\n'
)
MANY = IMAGE + CONV + """
layer { name: "bn" type: "BatchNorm" bottom: "c" top: "c" }
layer { name: "sc" type: "Scale" bottom: "c" top: "c" scale_param { bias_term: true } }
layer { name: "pr" type: "PReLU" bottom: "c" top: "c" }
layer { name: "up" type: "Deconvolution" bottom: "c" top: "up" convolution_param { num_output: 4 group: 2 kernel_size: 2 stride: 2 } }
layer { name: "bi" type: "Bias" bottom: "up" top: "bi" }
layer { name: "rows" type: "InnerProduct" bottom: "bi" top: "rows" inner_product_param { num_output: 6 axis: 3 } }
layer { name: "turned" type: "InnerProduct" bottom: "rows" top: "turned" inner_product_param { num_output: 6 transpose: true } }
layer { name: "p" type: "Parameter" top: "p" parameter_param { shape { dim: 1 dim: 6 } } }
layer { name: "soft" type: "Softmax" bottom: "turned" top: "soft" }
"""  # fmt: skip


# BatchNorm and Scale are in the convolution's weights, the Bias is in the deconvolution's.
HELD = {
    "c.weight.folded", "c.bias.folded", "pr.slope", "up.weight.folded", "up.bias.folded",
    "rows.weight.T", "rows.bias", "turned.weight", "turned.bias", "p.weight",
}  # fmt: skip


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Network, Path]:
    """A net of many kinds of weights, none of them filled alike, and its file."""
    net = load_net(MANY)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for blob in net.state_dict().values():
            blob.copy_(torch.rand(blob.shape, generator=generator) + 0.5)
    path = tmp_path_factory.mktemp("many") / "a.onnx"
    write_onnx(net, path)
    return net, path


def test_one_weight_of_any_layer_is_found(many: tuple[Network, Path], tmp_path: Path) -> None:
    net, path = many
    assert all(item.is_close for item in compare_onnx(net, path))
    model = onnx.load(path)
    weights = [item for item in model.graph.initializer if item.data_type == onnx.TensorProto.FLOAT]
    assert {item.name for item in weights} == HELD
    for item in weights:
        array = numpy_helper.to_array(item).copy()
        array.flat[array.size // 2] *= 1.01
        before = item.SerializeToString()
        item.CopyFrom(numpy_helper.from_array(array, item.name))
        onnx.save(model, tmp_path / "b.onnx")
        apart = [d.output for d in compare_onnx(net, tmp_path / "b.onnx") if not d.is_close]
        assert item.name in apart, item.name
        item.ParseFromString(before)


def test_a_difference_is_the_layers_own(many: tuple[Network, Path], tmp_path: Path) -> None:
    """A weight that goes by another name is found by what it does, in the blob of its layer alone."""
    net, path = many
    model = onnx.load(path)
    for item in model.graph.initializer:
        if item.name == "turned.bias":
            array = numpy_helper.to_array(item).copy()
            array.flat[1] *= 100
            item.CopyFrom(numpy_helper.from_array(array, "hidden"))
    for node in model.graph.node:
        node.input[:] = ["hidden" if name == "turned.bias" else name for name in node.input]
    onnx.save(model, tmp_path / "b.onnx")
    apart = [(d.output, d.layer) for d in compare_onnx(net, tmp_path / "b.onnx") if not d.is_close]
    assert apart == [("turned", "turned")]


def test_a_net_without_fillers_is_compared_with_drawn_weights(tmp_path: Path) -> None:
    """All blobs are 0, so that without a draw a lost layer and a turned weight would make the same zeros."""
    net = load_net(MANY.replace('weight_filler { type: "xavier" }', ""))
    write_onnx(net, tmp_path / "a.onnx")
    found = compare_onnx(net, tmp_path / "a.onnx")
    assert all(item.is_close for item in found)
    assert all(item.scale > 0 for item in found if item.output in ("c", "bi", "rows", "turned", "p"))
    model = onnx.load(tmp_path / "a.onnx")
    (conv,) = [node for node in model.graph.node if node.op_type == "Conv"]
    (pads,) = [item for item in conv.attribute if item.name == "dilations"]
    pads.ints[:] = [2, 2]
    (shape,) = [item for item in conv.attribute if item.name == "pads"]
    shape.ints[:] = [1, 1, 1, 1]
    onnx.save(model, tmp_path / "b.onnx")
    assert "c" in [d.output for d in compare_onnx(net, tmp_path / "b.onnx") if not d.is_close]


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        ('type: "Log" top: "y" log_param { scale: -1 }', {"x": (2, 6)}),
        ('type: "Power" top: "y" power_param { power: 0.5 }', {"x": (2, 6)}),
        ('type: "Exp" top: "y" exp_param { base: 2 }', {"x": (2, 6)}),
        (
            'type: "Embed" top: "y" embed_param { num_output: 4 input_dim: 10 weight_filler { type: "xavier" } }',
            {"x": (3, 2)},
        ),
        ('type: "BatchReindex" top: "y"', {"x": (3, 2), "index": (5,)}),
    ],
)
def test_inputs_lie_where_the_layers_are_defined(
    layer: str, shapes: dict[str, tuple[int, ...]], tmp_path: Path
) -> None:
    net = one_layer(layer, **shapes)
    write_onnx(net, tmp_path / "a.onnx")
    (found,) = [item for item in compare_onnx(net, tmp_path / "a.onnx") if item.output == "y"]
    assert found.is_close and found.compared > 1


def test_nan_in_the_same_places_is_equal(tmp_path: Path) -> None:
    net = one_layer('type: "Log" top: "y" log_param { shift: -0.5 }', x=(2, 40))
    write_onnx(net, tmp_path / "a.onnx")
    (found,) = compare_onnx(net, tmp_path / "a.onnx")
    assert found.is_close and found.compared < 120
    difference = difference_of("y", np.array([np.nan, 1]), np.array([0.5, 1]), "it")
    assert difference.differs


def test_an_lstm_is_compared_from_its_beginning_and_nothing_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lstm = 'type: "LSTM" top: "h" recurrent_param { num_output: 4 weight_filler { type: "uniform" min: -1 } }'
    net = one_layer(lstm, x=(3, 2, 5), cont=(3, 2))
    assert write_onnx(net, tmp_path / "a.onnx")
    assert all(item.is_close for item in compare_onnx(net, tmp_path / "a.onnx"))
    assert capfd.readouterr().err == ""
