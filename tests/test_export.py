"""What an ONNX file holds: every layer, Caffe's names, all weights; and the check that would find one missing."""

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from one_layer import one_layer
from onnx import numpy_helper

from converters import Network, load_net
from converters.export import export_onnx
from converters.mean_image import write_mean
from eval import parity
from eval.parity import compare_onnx, write_onnx
from eval.runtime import open_session
from prototxt.errors import InputError
from zoo.cli import main

IMAGE = (
    'layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } }\n'
)
CONV = (
    'layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 4 '
    'kernel_size: 3 weight_filler { type: "xavier" } } }\n'
)


def metadata(path: Path) -> dict[str, object]:
    return {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}


def test_the_batchs_statistics_are_in_the_file(tmp_path: Path) -> None:
    """BatchNorm with use_global_stats: false normalises by the batch in TEST too (batch_norm_layer.cpp)."""
    bn = 'layer { name: "bn" type: "BatchNorm" bottom: "c" top: "c" batch_norm_param { use_global_stats: false } }'
    net = load_net(IMAGE + CONV + bn)
    assert write_onnx(net, tmp_path / "a.onnx")
    x = torch.randn(5, 3, 8, 8) * 3 + 1
    (found,) = open_session(tmp_path / "a.onnx").run(None, {"data": x.numpy()})
    assert abs(found.mean((0, 2, 3))).max() < 1e-5 and abs(found.var((0, 2, 3)) - 1).max() < 1e-3
    with torch.no_grad():
        np.testing.assert_allclose(found, net(x).numpy(), atol=1e-5)


def test_a_file_that_lacks_a_layer_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    relu = 'layer { name: "act" type: "ReLU" bottom: "c" top: "r" }\n'
    net = load_net(IMAGE + CONV + relu)
    plain = load_net(IMAGE + CONV + relu.replace("ReLU", "Dropout"))

    def other(_: Network, path: Path, *rest: object) -> bool:
        return export_onnx(plain, path)

    monkeypatch.setattr(parity, "export_onnx", other)
    with pytest.raises(InputError, match='would not compute this layer: blob "r"') as caught:
        write_onnx(net, tmp_path / "a.onnx")
    assert caught.value.layer == "act" and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "layer",
    [
        'type: "Dropout" phase: TRAIN bottom: "data" top: "y"',
        'type: "Pooling" phase: TRAIN bottom: "data" top: "y" pooling_param { pool: STOCHASTIC kernel_size: 2 }',
        'type: "DummyData" top: "y" dummy_data_param { shape { dim: 4 } data_filler { type: "gaussian" } }',
    ],
)
def test_what_draws_at_random_is_refused(
    layer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(f'{IMAGE}{CONV}layer {{ name: "lot" {layer} }}')
    assert main(["convert", str(path), "--output", str(tmp_path / "o")]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("zoo: ")]
    assert f'{path}:3: layer "lot":' in line
    assert list((tmp_path / "o").glob("*")) == []


NAMES = ["sigmoid", "tanh", "conv2d", "c.weight", "a/b:0", "层", "val_0", "x\ty"]


def test_any_blob_name_will_do(tmp_path: Path) -> None:
    layers = ""
    for number, name in enumerate(NAMES):
        kind = ("Sigmoid", "TanH")[number % 2]
        layers += f'layer {{ name: "l{number}" type: "{kind}" bottom: "c" top: "{name}" }}\n'
    net = load_net(IMAGE + CONV + layers)
    write_onnx(net, tmp_path / "a.onnx")
    model = onnx.load(tmp_path / "a.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [item.name for item in model.graph.input] == ["data"]
    assert [item.name for item in model.graph.output] == sorted(NAMES)
    assert "c" in {name for node in model.graph.node for name in node.output}
    x = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    theirs = open_session(tmp_path / "a.onnx").run(sorted(NAMES), {"data": x})
    opencv = cv2.dnn.readNetFromONNX(str(tmp_path / "a.onnx"))
    opencv.setInput(x)
    for ours, found in zip(theirs, opencv.forward(sorted(NAMES)), strict=True):
        np.testing.assert_allclose(ours, found, atol=1e-5)


def test_an_output_that_is_the_inputs_blob_gets_a_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        IMAGE + 'layer { name: "p" type: "Power" bottom: "data" top: "data" power_param { scale: 2 } }'
    )
    assert main(["convert", str(path), "--output", str(tmp_path)]) == 0
    assert 'output "data" is called "data_p" in the ONNX file' in capsys.readouterr().err
    session = open_session(tmp_path / "net.onnx")
    assert [item.name for item in session.get_outputs()] == ["data_p"]
    x = np.ones((1, 3, 8, 8), np.float32)
    assert np.array_equal(session.run(None, {"data": x})[0], 2 * x)


def test_equal_weights_and_weights_of_zero_keep_their_names(tmp_path: Path) -> None:
    second = CONV.replace('"c"', '"d"')
    scale = 'layer { name: "s" type: "Scale" bottom: "d" top: "s" scale_param { bias_term: true } }\n'
    net = load_net(IMAGE + CONV + second + scale)
    export_onnx(net, tmp_path / "a.onnx")
    names = {item.name for item in onnx.load(tmp_path / "a.onnx").graph.initializer}
    assert names >= {"c.weight", "c.bias", "d.weight", "d.bias", "s.weight", "s.bias"}


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
    named = {name.removesuffix(".T") for name in net.state_dict()} - {"bn.scale_factor"}
    assert {item.name.removesuffix(".T") for item in weights} >= named
    for item in weights:
        if item.name.removesuffix(".T") in named:
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
        if item.name == "bi.bias":
            array = numpy_helper.to_array(item).copy()
            array.flat[1] *= 1.01
            item.CopyFrom(numpy_helper.from_array(array, "hidden"))
    for node in model.graph.node:
        node.input[:] = ["hidden" if name == "bi.bias" else name for name in node.input]
    onnx.save(model, tmp_path / "b.onnx")
    apart = [(d.output, d.layer) for d in compare_onnx(net, tmp_path / "b.onnx") if not d.is_close]
    assert apart == [("bi", "bi")]


def test_a_net_without_fillers_is_compared_with_drawn_weights(tmp_path: Path) -> None:
    """All blobs are 0, so that without a draw a lost layer and a turned weight would make the same zeros."""
    net = load_net(MANY.replace('weight_filler { type: "xavier" }', ""))
    write_onnx(net, tmp_path / "a.onnx")
    found = compare_onnx(net, tmp_path / "a.onnx")
    assert all(item.is_close for item in found)
    assert all(item.scale > 0 for item in found if item.output in ("c", "up", "bi", "rows", "turned", "p"))
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
    difference = parity._difference("y", np.array([np.nan, 1]), np.array([0.5, 1]), "it")
    assert difference.differs


@pytest.mark.parametrize(
    ("channels", "order"),
    [("dim: 3 dim: 4 dim: 4", "BGR"), ("dim: 1 dim: 4 dim: 4", "grey"), ("dim: 7", None)],
)
def test_metadata_of_an_input_follows_its_channels(channels: str, order: str | None, tmp_path: Path) -> None:
    net = load_net(
        f'layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ dim: 1 {channels} }} }} }}'
        'layer { name: "r" type: "ReLU" bottom: "x" top: "y" }'
    )
    export_onnx(net, tmp_path / "a.onnx")
    assert metadata(tmp_path / "a.onnx") == ({"channel_order": order, "input_size": [4, 4]} if order else {})


def test_means_of_a_file_and_of_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = np.stack([np.full((6, 5), value, np.float32) for value in (10, 20, 30)])
    write_mean(tmp_path / "mean.binaryproto", image[None])
    data = (
        'layer { name: "d" type: "Data" top: "data" top: "label" data_param { batch_size: 2 }'
        ' transform_param { crop_size: 8 scale: 0.5 mean_file: "mean.binaryproto" } }\n'
    )
    (tmp_path / "train.prototxt").write_text(data + CONV)
    (tmp_path / "deploy.prototxt").write_text(IMAGE + CONV)
    from_file = {"mean": [10, 20, 30], "mean_image": {"file": "mean.binaryproto", "shape": [3, 6, 5]}}
    size = {"channel_order": "BGR", "input_size": [8, 8]}
    assert main(["convert", str(tmp_path / "train.prototxt"), "--output", str(tmp_path)]) == 0
    assert metadata(tmp_path / "train.onnx") == size | from_file | {"scale": 0.5}
    deploy = ["convert", str(tmp_path / "deploy.prototxt"), "--output", str(tmp_path), "--mean"]
    assert main([*deploy, str(tmp_path / "mean.binaryproto")]) == 0
    assert metadata(tmp_path / "deploy.onnx") == size | from_file
    assert main([*deploy, "104,117.5,123"]) == 0
    assert metadata(tmp_path / "deploy.onnx") == size | {"mean": [104, 117.5, 123]}
    assert main([*deploy, "nowhere.binaryproto"]) == 2
    assert "nowhere.binaryproto" in capsys.readouterr().err.splitlines()[-1]


TRAIN_NET = """
layer { name: "d" type: "Data" top: "data" top: "label" data_param { batch_size: 2 } transform_param { crop_size: 4 } }
layer { name: "a" type: "InnerProduct" bottom: "data" top: "a" inner_product_param { num_output: 5 } }
layer { name: "b" type: "InnerProduct" bottom: "a" top: "b" inner_product_param { num_output: 3 } }
layer { name: "l" type: "SoftmaxWithLoss" bottom: "b" bottom: "label" top: "l" exclude { stage: "py" } }
layer { name: "l" type: "Python" bottom: "b" bottom: "label" top: "l" loss_weight: 1 include { stage: "py" }
        python_param { module: "not_there" layer: "Loss" } }
"""  # fmt: skip


@pytest.fixture
def train_net(tmp_path: Path) -> list[str]:
    """The command that converts TRAIN_NET to net.onnx."""
    (tmp_path / "net.prototxt").write_text(TRAIN_NET)
    return ["convert", str(tmp_path / "net.prototxt"), "--output", str(tmp_path)]


def outputs(path: Path) -> list[str]:
    return [item.name for item in onnx.load(path).graph.output]


def test_outputs_by_name_and_softmax(
    train_net: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*train_net, "--softmax", "--verify"]) == 0
    assert outputs(tmp_path / "net.onnx") == ["prob"] and "verify prob:" in capsys.readouterr().out
    assert main([*train_net, "--output-blob", "a"]) == 0
    assert outputs(tmp_path / "net.onnx") == ["a"]
    assert "b.weight" not in {item.name for item in onnx.load(tmp_path / "net.onnx").graph.initializer}
    assert main([*train_net, "--output-blob", "nix"]) == 2
    assert 'makes the blob "nix"' in capsys.readouterr().err


def test_a_python_loss_does_not_run(
    train_net: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*train_net, "--stage", "py"]) == 0
    assert "not run, for the deploy net does without: l" in capsys.readouterr().err
    assert outputs(tmp_path / "net.onnx") == ["b"]
    assert main([*train_net, "--stage", "py", "--allow-python"]) == 2
    assert "cannot make not_there.Loss" in capsys.readouterr().err


def test_weights_from_two_files(
    train_net: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = load_net(TRAIN_NET)
    with torch.no_grad():
        for value, layer in ((1, "a"), (2, "b")):
            for blob in net.params[layer]:
                blob.fill_(value)
    names = []
    for layer in ("a", "b"):
        part = load_net(TRAIN_NET.replace(f'"{"b" if layer == "a" else "a"}" type', '"other" type'))
        for blob, ours in zip(part.params[layer], net.params[layer], strict=True):
            blob.data.copy_(ours)
        names.append(str(tmp_path / f"{layer}.caffemodel"))
        part.save_caffemodel(names[-1])
    assert main([*train_net, "--weights", ",".join(names)]) == 0
    assert "filled as the prototxt says" not in capsys.readouterr().err
    held = {
        item.name: numpy_helper.to_array(item) for item in onnx.load(tmp_path / "net.onnx").graph.initializer
    }
    assert (held["a.weight"] == 1).all() and (held["b.bias"] == 2).all()


def test_show_prints_the_net_as_filtered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.prototxt").write_text(TRAIN_NET)
    assert main(["show", str(tmp_path / "net.prototxt"), "--stage", "py"]) == 0
    out = capsys.readouterr().out
    assert '"Python"' in out and "SoftmaxWithLoss" not in out and "include" not in out
    assert main(["show", str(tmp_path / "net.prototxt")]) == 0
    assert "SoftmaxWithLoss" in capsys.readouterr().out


def test_an_lstm_is_compared_from_its_beginning_and_nothing_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lstm = 'type: "LSTM" top: "h" recurrent_param { num_output: 4 weight_filler { type: "uniform" min: -1 } }'
    net = one_layer(lstm, x=(3, 2, 5), cont=(3, 2))
    assert not write_onnx(net, tmp_path / "a.onnx")
    assert all(item.is_close for item in compare_onnx(net, tmp_path / "a.onnx"))
    assert capfd.readouterr().err == ""
