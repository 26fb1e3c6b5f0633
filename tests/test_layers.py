"""Every layer against what real Caffe 1.0 computed, forward and backward."""

import re
from pathlib import Path

import pytest
import torch
from golden_cases import GOLDEN, arrays, error, named
from torch import Tensor

from converters import Network, load_net
from converters.layers import layer_types

CASES = sorted(path.stem for path in (GOLDEN / "layers").glob("*.npz"))


def is_net(case: str) -> bool:
    return case.startswith("net_")


def load(case: str) -> tuple[Network, dict[str, Tensor], dict]:  # type: ignore[type-arg]
    data = arrays(GOLDEN / "layers" / f"{case}.npz")
    net = load_net(GOLDEN / "layers" / f"{case}.prototxt", phase=str(data["phase"]))
    for name, blob in named(data, "param").items():
        layer, _, index = name.rpartition("/")
        with torch.no_grad():
            net.params[layer][int(index)].copy_(blob)
    inputs = {name: x.requires_grad_() for name, x in named(data, "in").items()}
    return net, inputs, data


def backward(net: Network, inputs: dict[str, Tensor], data: dict) -> dict[str, Tensor]:  # type: ignore[type-arg]
    """Run the net, then send back the gradients the recording names, where it names one instead of the
    loss weight (embed's top has both); every blob.
    """
    values = net.values(inputs)
    tops = named(data, "dtop")
    total = net.loss({value: x for value, x in values.items() if value.blob not in tops})
    for value in net.graph.outputs:
        if value.blob in tops:
            total = total + (values[value] * tops[value.blob]).sum()
    if total.requires_grad:
        total.backward()
    return {value.blob: tensor for value, tensor in values.items()}


@pytest.mark.parametrize("case", CASES)
def test_blobs_and_gradients_are_caffes(case: str) -> None:
    net, inputs, data = load(case)
    before = {name: [b.detach().clone() for b in blobs] for name, blobs in net.params.items()}
    blobs = backward(net, inputs, data)
    forward, back = (1e-5, 1e-3) if is_net(case) else (3e-6, 6e-6)
    for name, theirs in named(data, "out").items():
        if not re.search(r"_split_\d+$", name):
            assert error(blobs[name].detach(), theirs) <= forward, name
    for name, theirs in named(data, "din").items():
        assert error(inputs[name].grad, theirs) <= back, f"gradient of {name}"
    for name, theirs in named(data, "dparam").items():
        layer, _, index = name.rpartition("/")
        assert error(net.params[layer][int(index)].grad, theirs) <= back, f"gradient of {name}"
    changed = named(data, "after")
    for layer, old in before.items():
        for index, blob in enumerate(old):
            theirs = changed.get(f"{layer}/{index}", blob)
            assert error(net.params[layer][index].detach(), theirs) <= forward, f"{layer}/{index} afterwards"


def types_in(path: Path) -> set[str]:
    return set(re.findall(r'type: *"([A-Za-z0-9]+)"', path.read_text()))


def test_every_registered_type_has_a_case() -> None:
    covered = set().union(*(types_in(GOLDEN / "layers" / f"{case}.prototxt") for case in CASES))
    made_by_caffe = {
        "Split"
    }  # Caffe inserts Splits itself: test_split_feeds_every_top stands for a recording
    assert set(layer_types()) - covered - made_by_caffe == set()


def test_split_feeds_every_top() -> None:
    net = load_net(
        'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 } } }'
        'layer { name: "s" type: "Split" bottom: "x" top: "a" top: "b" }'
    )
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    out = net(x)
    (out["a"].sum() + 3 * out["b"].sum()).backward()
    assert torch.equal(out["a"], x) and torch.equal(out["b"], x)
    assert x.grad is not None and x.grad.tolist() == [4.0, 4.0]
