"""A source as its user has it: a file that imports torch alone, is well written, trains, compiles and exports."""

import ast
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from converters import Network, load_net
from converters.export.source import load_source, source_of, write_source
from converters.export.source.layout import broken
from prototxt.errors import InputError
from zoo.cli import main

ROOT = Path(__file__).parents[1]
CONV = "convolution_param { num_output: 4 kernel_size: 3 pad: 1 bias_term: false weight_filler { type: 'xavier' } }"
# A residual block with BatchNorm, Caffe's ceil pooling, Dropout, an LRN and two heads.
NET = f"""name: "small-net"
layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ dim: 4 dim: 4 dim: 11 dim: 11 }} }} }}
layer {{ name: "conv1/3x3" type: "Convolution" bottom: "data" top: "conv1" {CONV} }}
layer {{ name: "bn1" type: "BatchNorm" bottom: "conv1" top: "conv1" }}
layer {{ name: "scale1" type: "Scale" bottom: "conv1" top: "conv1" scale_param {{ bias_term: true }} }}
layer {{ name: "sum" type: "Eltwise" bottom: "conv1" bottom: "data" top: "sum" }}
layer {{ name: "relu1" type: "ReLU" bottom: "sum" top: "sum" }}
layer {{ name: "pool1" type: "Pooling" bottom: "sum" top: "pool1" pooling_param {{ kernel_size: 3 stride: 2 }} }}
layer {{ name: "norm" type: "LRN" bottom: "pool1" top: "norm" lrn_param {{ norm_region: WITHIN_CHANNEL local_size: 3 }} }}
layer {{ name: "drop" type: "Dropout" bottom: "norm" top: "norm" }}
layer {{ name: "fc" type: "InnerProduct" bottom: "norm" top: "fc" inner_product_param {{ num_output: 3 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "prob" type: "Softmax" bottom: "fc" top: "prob" }}
"""


@pytest.fixture
def net() -> Network:
    net = load_net(NET)
    with torch.no_grad():
        net.params["bn1"][0].normal_()
        net.params["bn1"][1].uniform_(500, 1500)
        net.params["bn1"][2].fill_(999.98)
    return net


@pytest.fixture
def folder(net: Network, tmp_path: Path) -> Path:
    """With the source's files, small.py and its weights."""
    write_source(net, tmp_path / "small.py")
    return tmp_path


def test_the_file_needs_torch_alone(net: Network, folder: Path) -> None:
    """Run where nothing of ours can be imported."""
    tree = ast.parse((folder / "small.py").read_text(encoding="utf-8"))
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    assert set(modules) == {"torch"}
    x = torch.randn(4, 4, 11, 11)
    torch.save(x, folder / "x.pt")
    code = (
        "import torch, safetensors.torch, small; m = small.Small().eval()\n"
        "m.load_state_dict(safetensors.torch.load_file('small.torch.safetensors'))\n"
        "torch.save(m(torch.load('x.pt')).detach(), 'y.pt')"
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    with torch.no_grad():
        assert torch.allclose(torch.load(folder / "y.pt"), net(x), atol=1e-6)


def test_the_weights_are_a_plain_state_of_either_kind(net: Network, tmp_path: Path) -> None:
    first, second = write_source(net, tmp_path / "a.py"), write_source(net, tmp_path / "b.py", pth=True)
    assert (first.name, second.name) == ("a.torch.safetensors", "b.pth")
    plain, stored = load_file(first), torch.load(second, weights_only=True)
    assert type(stored) is dict and stored.keys() == plain.keys()
    assert all(torch.equal(plain[name], stored[name]) for name in plain)
    assert zipfile.is_zipfile(second)
    # The net's own file keeps Caffe's sums; the source's are what they come to.
    assert torch.allclose(plain["bn1.running_var"], net.params["bn1"][1] / 999.98)
    assert set(plain) == {
        *("conv1_3x3.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"),
        *("bn1.num_batches_tracked", "fc.weight", "fc.bias"),
    }


def small(net: Network) -> nn.Module:
    return load_source(net).module


def test_layers_are_stock_modules_under_their_names(net: Network) -> None:
    module = small(net)
    kinds = {name: type(child) for name, child in module.named_children()}
    assert kinds == {
        "conv1_3x3": nn.Conv2d, "bn1": nn.BatchNorm2d, "relu1": nn.ReLU, "pool1": nn.MaxPool2d,
        "drop": nn.Dropout, "fc": nn.Linear, "prob": nn.Softmax,
    }  # fmt: skip
    assert module.bn1.momentum == pytest.approx(0.001) and module.pool1.ceil_mode


def test_it_trains_as_the_net_does(net: Network) -> None:
    """One step of gradient descent, with BatchNorm by the batch: the same loss, gradients and statistics."""
    module = small(net).train()
    net.train()
    module.drop.p = net.layers["drop"].p = 0.0
    x, target = torch.randn(4, 4, 11, 11), torch.randn(4, 3)
    losses = []
    for each in (module, net):
        loss = (each(x) - target).square().sum()
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for ours, theirs in ((module.conv1_3x3, "conv1/3x3"), (module.bn1, "scale1"), (module.fc, "fc")):
        for parameter, blob in zip(ours.parameters(), net.params[theirs], strict=True):
            assert torch.allclose(parameter.grad, blob.grad, rtol=1e-4, atol=1e-5)
    mean, variance, factor = net.params["bn1"]
    assert torch.allclose(module.bn1.running_mean, mean / factor, rtol=1e-4, atol=1e-5)
    assert torch.allclose(module.bn1.running_var, variance / factor, rtol=1e-4, atol=1e-5)


def test_dropout_drops_in_training_alone(net: Network) -> None:
    module = small(net)
    x = torch.randn(4, 4, 11, 11)
    torch.manual_seed(0)
    assert torch.equal(module(x), module(x))
    module.train()
    assert not torch.equal(module(x), module(x))


@pytest.mark.slow
def test_it_compiles_and_exports(net: Network, tmp_path: Path) -> None:
    import onnxruntime

    module, x = small(net), torch.randn(4, 4, 11, 11)
    with torch.no_grad():
        plain = module(x)
        compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
        assert torch.allclose(compiled(x), plain, atol=1e-6)
        exported = torch.export.export(module, (x,))
        assert torch.allclose(exported.module()(x), plain, atol=1e-6)
    torch.onnx.export(module, (x,), tmp_path / "a.onnx", dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])
    (out,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert torch.allclose(torch.from_numpy(out), plain, atol=1e-5)


def lint(path: Path, *rules: str) -> str:
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", *rules, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout


def test_ruff_accepts_the_file_and_has_nothing_to_format(folder: Path) -> None:
    path = folder / "small.py"
    assert lint(path) == ""
    assert (
        lint(
            path,
            "--select",
            "E,F,W,I,UP,B,C4,SIM,RUF,PTH,RET,N,D1",
            "--ignore",
            "D107",
            "--line-length",
            "110",
        )
        == ""
    )
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--diff", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_mypy_accepts_the_file(folder: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "small.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_layers_that_share_their_weights_are_one_module() -> None:
    shared = "param { name: 'w' } param { name: 'b' } inner_product_param { num_output: 2 weight_filler { type: 'xavier' } }"
    net = load_net(
        f"""layer {{ name: "in" type: "Input" top: "a" top: "b" input_param {{ shape {{ dim: 1 dim: 3 }} }} }}
        layer {{ name: "left" type: "InnerProduct" bottom: "a" top: "left" {shared} }}
        layer {{ name: "right" type: "InnerProduct" bottom: "b" top: "right" {shared} }}"""
    )
    source = load_source(net)
    assert source.source.state.keys() == {"left.weight", "left.bias"}
    feeds = {"a": torch.randn(1, 3), "b": torch.randn(1, 3)}
    for value, x in net.values(feeds).items():
        assert torch.allclose(source.values(feeds)[value], x)
    assert {name: x.shape for name, x in source.module(*feeds.values()).items()} == {
        "left": torch.Size([1, 2]),
        "right": torch.Size([1, 2]),
    }


ODD = NET.replace('"LRN"', '"InnerDistance"').replace(
    "lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 }",
    "inner_distance_param { num_output: 2 normalize: true }",
)


@pytest.mark.slow
def test_a_layer_without_a_rule_is_named_and_the_rest_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(ODD)
    assert main(["convert", str(path), "--output", str(tmp_path / "out")]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "no PyTorch source" in line]
    (line,) = said
    assert 'layer "norm"' in line and "type InnerDistance has no rule" in line and "net.prototxt:9" in line
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["small-net.onnx"]


def test_a_layer_without_a_rule_is_an_error_of_its_name() -> None:
    with pytest.raises(InputError, match="type InnerDistance has no rule") as caught:
        load_source(load_net(ODD))
    assert caught.value.layer == "norm"


def test_zoo_convert_writes_it_and_goes_over_nobody_elses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "net.prototxt", tmp_path / "out"
    path.write_text(NET)
    for _ in range(2):
        assert main(["convert", str(path), "--output", str(out), "--pth"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        str(out / "small-net.py"),
        str(out / "small-net.pth"),
    ]
    (out / "small-net.py").write_text("mine = 1\n")
    assert main(["convert", str(path), "--output", str(out), "--pth"]) == 2
    assert (out / "small-net.py").read_text() == "mine = 1\n"
    (out / "small-net.py").unlink()
    torch.save({"mine": torch.ones(1)}, out / "small-net.pth")
    assert main(["convert", str(path), "--output", str(out), "--pth"]) == 2


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("self.a = nn.ReLU()", ["self.a = nn.ReLU()"]),
        ("x = f(" + "a" * 50 + ", " + "b" * 40 + ")", ["x = f(", "    " + "a" * 50 + ",", "    " + "b" * 40 + ",", ")"]),
        ("total = " + "a" * 45 + " + f(" + "b" * 32 + ")", ["total = (", "    " + "a" * 45 + " + f(" + "b" * 32 + ")", ")"]),
        ("x." + "a" * 60 + " = nn.ReLU()  # " + "b" * 30, ["x." + "a" * 60 + " = (", "    nn.ReLU()", ")  # " + "b" * 30]),
        ("x = f(" + "a" * 40 + ", " + "b" * 40 + ")", ["x = f(", "    " + "a" * 40 + ", " + "b" * 40, ")"]),
    ],
)  # fmt: skip
def test_long_lines_are_broken_as_ruff_does(line: str, lines: list[str]) -> None:
    assert broken(line) == lines


def test_what_a_pass_sets_is_told_blob_by_blob(net: Network) -> None:
    source = load_source(net)
    values = source.values({"data": torch.randn(4, 4, 11, 11)})
    assert [value.blob for value in values if value.layer == "scale1"] == ["conv1"]
    assert "bn1" not in {value.layer for value in values}
    assert json.dumps(sorted({value.blob for value in values})) == json.dumps(
        ["conv1", "data", "fc", "norm", "pool1", "prob", "sum"]
    )


def test_a_top_of_the_name_of_a_builtin_hides_none(tmp_path: Path) -> None:
    source = source_of(load_net(NET))
    assert "sum_ = conv1 + data" in source.text
    assert isinstance(source.state["fc.bias"], Tensor)


INCEPTIONS = ROOT / "benchmarks" / "two_inceptions.prototxt"


def test_what_plainly_repeats_is_a_class_of_its_own() -> None:
    net = load_net(INCEPTIONS)
    source = load_source(net)
    assert source.source.classes == ["Inception", "TwoInceptions"]
    assert "self.inception_2a = Inception(16, 8, 12, 16, 4, 8, 6)" in source.source.text
    first = net.params["inception_2b/3x3_reduce"][0]
    assert torch.equal(source.source.state["inception_2b.conv_3x3_reduce.weight"], first)
    feeds = {"data": torch.randn(1, 3, 32, 32)}
    with torch.no_grad():
        ours, theirs = source.values(feeds), net.values(feeds)
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(x, theirs[value], rtol=1e-5, atol=1e-6) for value, x in ours.items())


def bottleneck(name: str, bottom: str, stride: int, width: int) -> str:
    """A residual block of ResNet's, called as its authors call it."""
    conv = "convolution_param {{ num_output: {} kernel_size: {} pad: {} stride: {} weight_filler {{ type: 'xavier' }} }}"
    parts = [
        ("branch1", bottom, conv.format(2 * width, 1, 0, stride)),
        ("branch2a", bottom, conv.format(width, 1, 0, stride)),
        ("branch2b", f"res{name}_branch2a", conv.format(2 * width, 3, 1, 1)),
    ]
    layers = [
        f'layer {{ name: "res{name}_{own}" type: "Convolution" bottom: "{x}" top: "res{name}_{own}" {param} }}'
        for own, x, param in parts
    ]
    return (
        "\n".join(layers)
        + f"""
        layer {{ name: "res{name}" type: "Eltwise" bottom: "res{name}_branch1" bottom: "res{name}_branch2b" top: "res{name}" }}
        layer {{ name: "res{name}_relu" type: "ReLU" bottom: "res{name}" top: "res{name}" }}"""
    )


def test_a_stage_whose_first_block_has_no_stride_is_as_the_others() -> None:
    """ResNet's: its projections are alike but for the stride, which is 1 in the first stage."""
    blocks = [
        bottleneck("2a", "data", 1, 4),
        bottleneck("3a", "res2a", 2, 8),
        bottleneck("4a", "res3a", 2, 16),
    ]
    net = load_net(
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 16 dim: 16 } } }'
        + "".join(blocks)
    )
    source = load_source(net)
    assert [type(each).__name__ for each in source.module.children()] == ["Res"] * 3
    assert "self.res2a = Res(3, 8, 1, 4)" in source.source.text
    assert "inputs, branch1, kernel_size=1, stride=stride" in source.source.text
    feeds = {"data": torch.randn(1, 3, 16, 16)}
    with torch.no_grad():
        ours, theirs = source.values(feeds), net.values(feeds)
    assert all(torch.allclose(x, theirs[value], rtol=1e-5, atol=1e-6) for value, x in ours.items())


def test_rows_are_cut_at_any_height() -> None:
    """What lies behind the last point is of another size where the image is."""
    text = """layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 dim: %d dim: 4 } } }
        layer { name: "cut" type: "Slice" bottom: "x" top: "a" top: "b" top: "c"
          slice_param { axis: 2 slice_point: 2 slice_point: 3 } }"""
    source = load_source(load_net(text % 6))
    for height in (6, 9):
        x = torch.randn(1, 2, height, 4)
        theirs = load_net(text % height)(x)
        assert all(torch.equal(part, theirs[name]) for name, part in source.module(x).items())


def test_names_that_tell_nothing_leave_the_lines_as_they_are() -> None:
    text = INCEPTIONS.read_text(encoding="utf-8")
    for number, name in enumerate(dict.fromkeys(re.findall(r'name: "(inception\S+)"', text))):
        text = text.replace(f'name: "{name}"', f'name: "{chr(97 + number)}"')
    assert load_source(load_net(text)).source.classes == ["TwoInceptions"]
