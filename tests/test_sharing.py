"""Blobs that layers share by ``param { name }``: as one tensor, or one memory in several shapes."""

import copy
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from converters import Network, load_net, load_solver
from converters.export.onnx_file import deploy_net, export_onnx
from converters.solver.net import share_trained_layers
from converters.solver.update.rules import UpdateRule, learnable
from converters.weights.formats import write_safetensors
from prototxt.caffe_pb2 import NetParameter, SolverParameter
from prototxt.errors import InputError
from zoo.cli import main

PERMISSIVE = Path(__file__).parent / "data" / "faults" / "share-permissive" / "net.prototxt"
X, Y = torch.arange(12.0).view(1, 3, 2, 2), torch.arange(12.0).view(1, 12)
BN = (
    'layer {{ name: "{0}" type: "BatchNorm" bottom: "x" top: "{0}" param {{ name: "m" {1} }} param {{ name: "v" }} '
    'param {{ name: "s" }} }}\n'
)
DATA = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 } } }\n'
IP = (
    'layer {{ name: "{0}" type: "InnerProduct" bottom: "x" top: "{0}" param {{ name: "w" {1} }} '
    "inner_product_param {{ num_output: {2} bias_term: false }} }}\n"
)


def is_shared(net: Network) -> bool:
    """Whether c and i compute with one memory of two shapes."""
    (c,), (i,) = net.params["c"], net.params["i"]
    same = c.shape == (2, 3, 2, 2) and i.shape == (2, 12) and torch.equal(c.reshape(2, 12), i)
    before = i.clone()
    with torch.no_grad():
        c.add_(1)
    return same and torch.equal(net.params["i"][0], before + 1) and len(list(net.parameters())) == 1


def agrees(net: Network) -> bool:
    """The convolution over the whole image is the inner product of the same numbers."""
    blobs = net.all_blobs(x=X, y=Y)
    return torch.allclose(blobs["c"].flatten(), blobs["i"].flatten(), rtol=1e-6)


def test_counts_agree_and_shapes_need_not() -> None:
    net = load_net(PERMISSIVE)
    assert agrees(net) and is_shared(net)
    assert {name: tuple(blob.shape) for name, blob in net.state_dict().items()} == {
        "c.weight": (2, 3, 2, 2),
        "i.weight": (2, 12),
    }


def test_strict_shapes_stand_and_so_do_counts() -> None:
    text = PERMISSIVE.read_text()
    with pytest.raises(
        InputError, match=r'layer "i": param "w" has shape \(2, 12\) here and \(2, 3, 2, 2\) in'
    ):
        load_net(text.replace("share_mode:PERMISSIVE", ""))
    with pytest.raises(InputError, match=r'layer "i": param "w" has shape \(3, 12\)'):
        load_net(text.replace("inner_product_param{num_output:2", "inner_product_param{num_output:3"))


@pytest.mark.parametrize(
    "moved",
    [
        copy.deepcopy,
        lambda net: net.half().float(),
        lambda net: net.to(torch.float64).float(),
        lambda net: net.to(memory_format=torch.channels_last),
        lambda net: net.to("meta").to_empty(device="cpu"),
        lambda net: net.train().eval(),
        deploy_net,
    ],
)
def test_blobs_stay_shared_wherever_the_net_goes(moved) -> None:  # type: ignore[no-untyped-def]
    assert is_shared(moved(load_net(PERMISSIVE)))


def test_they_learn_together() -> None:
    net = load_net(PERMISSIVE, phase="TRAIN").to(memory_format=torch.channels_last)
    (parameter,) = learnable(net)
    solver = UpdateRule(SolverParameter(base_lr=0.5, lr_policy="fixed"), [parameter])
    before = net.params["i"][0].detach().clone()
    blobs = net.all_blobs(x=X, y=2 * Y)
    (blobs["c"].sum() + blobs["i"].sum()).backward()  # type: ignore[no-untyped-call]
    solver.update(0)
    assert parameter.name == "c.weight"
    assert torch.allclose(net.params["i"][0], before - 0.5 * 3 * Y)
    assert is_shared(net)


def set_all(net: Network, value: float) -> None:
    with torch.no_grad():
        net.params["i"][0].fill_(value)


@pytest.mark.parametrize("suffix", ["caffemodel", "h5", "safetensors"])
def test_they_go_through_files(suffix: str, tmp_path: Path) -> None:
    net, path = load_net(PERMISSIVE), tmp_path / f"w.{suffix}"
    save = {
        "caffemodel": net.save_caffemodel,
        "h5": net.save_hdf5,
        "safetensors": lambda path: write_safetensors(path, net.state_dict(), {}),
    }
    save[suffix](path)
    again = load_net(PERMISSIVE, path)
    assert torch.equal(again.params["c"][0], net.params["c"][0]) and is_shared(again)
    if suffix == "caffemodel":
        layers = {layer.name: layer for layer in NetParameter.FromString(path.read_bytes()).layer}
        assert [list(layers[name].blobs[0].shape.dim) for name in "ci"] == [[2, 3, 2, 2], [2, 12]]
        assert layers["c"].blobs[0].data == layers["i"].blobs[0].data
    if suffix == "h5":
        with h5py.File(path) as file:
            assert list(file["data/c"]) == ["0"] and list(file["data/i"]) == []


def test_they_go_through_a_state_dict() -> None:
    net, other = load_net(PERMISSIVE), load_net(PERMISSIVE)
    set_all(net, 3)
    other.load_state_dict(net.state_dict())
    assert other.params["c"][0].unique().tolist() == [3] and is_shared(other)
    set_all(net, 4)
    other.load_state_dict({name: blob.clone() for name, blob in net.state_dict().items()}, assign=True)
    assert other.params["c"][0].unique().tolist() == [4] and is_shared(other)


def test_they_go_through_snapshots_with_diffs(tmp_path: Path) -> None:
    text = PERMISSIVE.read_text().replace('type:"Input"', 'type:"DummyData"')
    text = text.replace("input_param{shape", "dummy_data_param{data_filler{value:1} shape")
    text += 'layer { name: "l" type: "EuclideanLoss" bottom: "c1" bottom: "i" top: "l" }\n'
    text = text.replace(
        'layer{name:"i"', 'layer{name:"f" type:"Flatten" bottom:"c" top:"c1"}\nlayer{name:"i"'
    )
    text = text.replace("dim:12", "dim:12").replace(
        "data_filler{value:1} shape{dim:1 dim:12", "data_filler{value:2} shape{dim:1 dim:12"
    )
    (tmp_path / "net.prototxt").write_text(text)
    (tmp_path / "s.prototxt").write_text(
        f'net: "{tmp_path}/net.prototxt" base_lr: 0.01 lr_policy: "fixed" snapshot_diff: true display: 1 '
        f'debug_info: true snapshot_prefix: "{tmp_path}/s"'
    )
    lines: list[str] = []
    solver = load_solver(tmp_path / "s.prototxt", log=lines.append)
    before = solver.net.params["c"][0].detach().clone()
    solver.step(1)
    taken = before - solver.net.params["c"][0].detach()
    model, _ = solver.snapshot()
    layers = {layer.name: layer for layer in NetParameter.FromString(model.read_bytes()).layer}
    for name in "ci":
        assert np.allclose(layers[name].blobs[0].diff, taken.flatten(), atol=1e-6)
    shown = [line for line in lines if "[Backward] Layer" in line and "param blob 0" in line]
    assert len(shown) == 2 and shown[0].split("diff")[1] == shown[1].split("diff")[1]


def test_they_go_out_as_onnx(tmp_path: Path) -> None:
    import onnxruntime

    net = load_net(PERMISSIVE)
    export_onnx(net, tmp_path / "a.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    c, i = session.run(["c", "i"], {"x": X.numpy(), "y": Y.numpy()})
    assert np.allclose(c.reshape(-1), i.reshape(-1)) and np.allclose(c, net.all_blobs(x=X, y=Y)["c"].detach())


def test_sums_of_batch_norm_stay_shared_in_another_type() -> None:
    net = load_net(DATA + BN.format("a", "") + BN.format("b", "")).to(torch.float64)
    for ours, theirs in zip(net.params["a"], net.params["b"], strict=True):
        assert ours is theirs


@pytest.mark.parametrize("field", ["lr_mult", "decay_mult"])
def test_shared_blobs_of_other_multipliers_are_refused_at_once(field: str, tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        DATA + IP.format("a", f"{field}: 1", 3) + IP.format("b", "", 3) + IP.format("c", f"{field}: 2", 3)
    )
    with pytest.raises(InputError) as caught:
        load_net(path)
    assert str(caught.value) == (f'{path}:4: layer "c": param "w" has {field} 1 and here 2')


def test_the_first_that_gives_a_multiplier_gives_it_to_all() -> None:
    net = load_net(
        DATA + IP.format("a", "", 3) + IP.format("b", "lr_mult: 2", 3) + IP.format("c", "decay_mult: 0", 3)
    )
    (parameter,) = learnable(net)
    assert (parameter.lr_mult, parameter.decay_mult) == (2, 0)


def test_values_are_right(tmp_path: Path) -> None:
    """A blob of one count in the file goes to each of its layers; the last one in the file stays."""
    net = load_net(PERMISSIVE)
    net.save_caffemodel(tmp_path / "a.caffemodel")
    message = NetParameter.FromString((tmp_path / "a.caffemodel").read_bytes())
    by_name = {layer.name: layer for layer in message.layer}
    by_name["c"].blobs[0].data[:] = [1] * 24
    by_name["i"].blobs[0].data[:] = list(range(24))
    (tmp_path / "b.caffemodel").write_bytes(message.SerializeToString())
    net.load_weights(tmp_path / "b.caffemodel")
    wanted: Tensor = torch.arange(24.0)
    assert torch.equal(net.params["c"][0].detach().flatten(), wanted)


def test_a_test_net_shares_a_memory_of_two_shapes() -> None:
    trained, tested = load_net(PERMISSIVE), load_net(PERMISSIVE)
    share_trained_layers(tested, trained)
    set_all(trained, 6)
    assert tested.params["c"][0].unique().tolist() == tested.params["i"][0].unique().tolist() == [6]


def test_a_test_net_s_layer_of_that_name_without_blobs_is_refused() -> None:
    """Net::ShareTrainedLayersWith checks the number of blobs."""
    trained = load_net(DATA + IP.format("ip", "", 3))
    tested = load_net(DATA + 'layer { name: "ip" type: "ReLU" bottom: "x" top: "ip" }')
    with pytest.raises(InputError, match="has blobs of shapes"):
        share_trained_layers(tested, trained)


def test_both_engines_name_the_test_net_s_layer(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = solver.parent / "tiny.prototxt"
    ip = 'layer {{ name: "a" type: "{}" bottom: "fc" top: "a" include {{ phase: {} }} {} }}\n'
    net.write_text(
        net.read_text()
        + ip.format("InnerProduct", "TRAIN", "inner_product_param { num_output: 20 }")
        + ip.format("ReLU", "TEST", "")
    )
    line = len(net.read_text().splitlines())
    says = f'tiny.prototxt:{line}: layer "a": has blobs of shapes [] in the test net'
    assert main(["train", "--solver", str(solver), "--device", "cpu", "--max-iter", "1"]) == 2
    assert says in capsys.readouterr().err
    with pytest.raises(InputError, match=re.escape(says)):
        load_solver(solver, [].append).test_all()


def test_zoo_train_refuses_other_multipliers_with_file_and_layer(
    solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = solver.parent / "tiny.prototxt"
    ip = 'layer {{ name: "{0}" type: "InnerProduct" bottom: "fc" top: "{0}" param {{ name: "w" lr_mult: {1} }} inner_product_param {{ num_output: 20 }} }}\n'
    net.write_text(net.read_text() + ip.format("a", 1) + ip.format("b", 2))
    assert main(["train", "--solver", str(solver), "--device", "cpu", "--max-iter", "1"]) == 2
    line = len(net.read_text().splitlines())
    assert f'{net}:{line}: layer "b": param "w" has lr_mult 1 and here 2' in capsys.readouterr().err
