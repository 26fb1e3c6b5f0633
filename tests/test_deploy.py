"""Every shipped and recorded net as people deploy it: on another device, in half precision, compiled,
through torch.export and through ONNX."""

import shutil
from pathlib import Path

import pytest
import torch
from golden_cases import GOLDEN, arrays, named, set_blobs

from converters import Network, load_net
from converters.export.onnx_file import deploy_net, export_onnx
from eval.runtime import open_session
from prototxt.errors import InputError
from prototxt.text import to_text
from zoo.variants.edits import find_net

CASES = sorted(path.stem for path in (GOLDEN / "layers").glob("*.npz"))
NETS = [case for case in CASES if case.startswith("net_")]
VARIANTS = ["baseline", "bn+fc", "dropout0.5"]
# Recordings that go into no file, each with the reason.
REFUSED = {"pool_ave_k2s4_outside": "has a window outside the image"}


def recorded(case: str) -> tuple[Network, list[torch.Tensor]]:
    """The net of a recording in TEST mode with its weights, and its inputs."""
    data = arrays(GOLDEN / "layers" / f"{case}.npz")
    net = load_net(GOLDEN / "layers" / f"{case}.prototxt", phase="TEST")
    set_blobs(net, named(data, "param"))
    return net, [named(data, "in")[blob] for blob in net.inputs]


def shipped(variant: str) -> tuple[Network, list[torch.Tensor]]:
    net = load_net(to_text(find_net("allconv6", f"{variant}+msra").message))
    with torch.no_grad():  # statistics of an untrained BatchNorm are 0 and would blow every value up
        net.train().all_blobs(data=torch.randn(2, 3, 224, 224) * 50, label=torch.zeros(2))
    small = deploy_net(net)
    return small, [torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0)) * 50]


def outputs(net: Network, inputs: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        out = net(*inputs)
    return out if isinstance(out, dict) else {net.outputs[0]: out}


def assert_close(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor], share: float) -> None:
    assert ours.keys() == theirs.keys()
    for name, blob in theirs.items():
        scale = max(1e-3, blob.abs().max().item())
        assert (ours[name].float() - blob).abs().max().item() <= share * scale, name


@pytest.mark.parametrize("variant", VARIANTS)
def test_shipped_nets_in_half_precision(variant: str) -> None:
    net, inputs = shipped(variant)
    full = outputs(net, inputs)
    assert_close(outputs(net.half(), [x.half() for x in inputs]), full, 1e-2)  # half has 11 bits: 5e-4 a step


@pytest.mark.parametrize("case", NETS)
def test_recorded_nets_in_half_precision(case: str) -> None:
    net, inputs = recorded(case)
    halves = [
        x if blob.startswith(("label", "sim")) else x.half()
        for blob, x in zip(net.inputs, inputs, strict=True)
    ]
    scores = {name: blob for name, blob in outputs(net, inputs).items() if "accuracy" not in name}
    found = outputs(net.half(), halves)
    assert_close({name: found[name] for name in scores}, scores, 2e-2)  # half has 11 bits, and several layers


@pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("c++") is None, reason="no C++ compiler for torch.compile"
)
@pytest.mark.parametrize("case", ["shipped", *NETS])
@pytest.mark.slow
def test_compiled_nets_compute_the_same(case: str) -> None:
    net, inputs = shipped("bn+fc") if case == "shipped" else recorded(case)
    eager = outputs(net, inputs)
    torch.compiler.reset()
    with torch.no_grad():
        out = torch.compile(net)(*inputs)
    assert_close(out if isinstance(out, dict) else {net.outputs[0]: out}, eager, 1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_exported_shipped_nets_compute_the_same(variant: str) -> None:
    net, inputs = shipped(variant)
    program = torch.export.export(net, tuple(inputs), strict=False).module()
    out = program(*inputs)
    assert_close(out if isinstance(out, dict) else {net.outputs[0]: out}, outputs(net, inputs), 1e-5)


def test_params_stay_live_when_the_net_moves() -> None:
    net, _ = recorded("net_allconv_bn_train")
    moved = net.to(torch.float64)
    assert all(blob.dtype == torch.float64 for blobs in moved.params.values() for blob in blobs)
    with torch.no_grad():
        moved.params["conv1/bn"][0].fill_(3)
    assert moved.state_dict()["conv1/bn.mean"].eq(3).all()
    on_meta = recorded("net_allconv_bn_train")[0].to("meta")
    assert all(blob.is_meta for blobs in on_meta.params.values() for blob in blobs)


@pytest.mark.parametrize("case", CASES)
def test_recordings_through_onnx(case: str, tmp_path: Path) -> None:
    """What can be deployed computes the same in onnxruntime, on the recorded inputs."""
    net, inputs = recorded(case)
    try:
        small = deploy_net(net)
    except InputError as error:
        assert "nothing to deploy" in str(error)
        return
    if case in REFUSED:
        with pytest.raises(InputError, match=REFUSED[case]):
            export_onnx(net, tmp_path / "a.onnx")
        return
    export_onnx(net, tmp_path / "a.onnx")
    session = open_session(tmp_path / "a.onnx")
    feeds = {blob: x for blob, x in zip(net.inputs, inputs, strict=True) if blob in small.inputs}
    assert [item.name for item in session.get_inputs()] == small.inputs
    found = session.run(small.outputs, {name: x.numpy() for name, x in feeds.items()})
    ours = outputs(small, [feeds[blob] for blob in small.inputs])
    assert_close(
        {name: torch.from_numpy(x) for name, x in zip(small.outputs, found, strict=True)}, ours, 1e-5
    )
