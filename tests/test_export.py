"""What an ONNX file holds: every layer, Caffe's names, all weights; and the check that would find one missing."""

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from converters import load_net
from converters.export.onnx_file import export_onnx, file_net, onnx_model
from converters.weights.mean_image import write_mean
from eval import parity
from eval.parity import write_onnx
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

    monkeypatch.setattr(parity, "onnx_model", lambda *_: onnx_model(file_net(plain)))
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
    assert names == {"c.weight", "c.bias", "d.weight.folded", "d.bias.folded"}


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
    assert main([*deploy, "104,117.5,123", "--scale", "0.5"]) == 0
    assert metadata(tmp_path / "deploy.onnx") == size | {"mean": [104, 117.5, 123], "scale": 0.5}
    (tmp_path / "names.txt").write_text("n01 a\nn02 b, c\nn03\n层\n", encoding="utf-8")
    names = ["--labels", str(tmp_path / "names.txt"), "--channel-order", "RGB"]
    assert main([*deploy, "1,2,3", *names]) == 0
    told = {"channel_order": "RGB", "mean": [1, 2, 3], "classes": ["n01 a", "n02 b, c", "n03", "层"]}
    assert metadata(tmp_path / "deploy.onnx") == size | told
    (tmp_path / "names.txt").write_text("a\nb\n")
    assert main([*deploy, "1,2,3", *names]) == 2
    assert "has 2 labels" in capsys.readouterr().err.splitlines()[-1]
    assert main([*deploy, "nowhere.binaryproto"]) == 2
    assert "nowhere.binaryproto" in capsys.readouterr().err.splitlines()[-1]
    assert main([*deploy, "104,nan,123"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "zoo: --mean 104,nan,123: is no number a channel"
    with pytest.raises(SystemExit):
        main([*deploy, "1,2,3", "--scale", "inf"])
    assert "--scale: invalid number value: 'inf'" in capsys.readouterr().err


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
