"""Every layer against what real Caffe 1.0 computed, forward and backward."""

import re

import pytest
import torch
from golden_cases import GOLDEN, arrays, blob_of, error, named, set_blobs
from layer_cases import MODULE, dialect_of, module_text, recorded
from torch import Tensor

from converters import Network, load_net
from converters.layers import layer_types
from converters.layers.registry import records
from zoo.cli import main
from zoo.layers import markdown

CASES = sorted(path.stem for path in (GOLDEN / "layers").glob("*.npz"))
OF_FORKS = sorted(path.stem for path in (GOLDEN / "forks").glob("*.npz"))


def is_net(case: str) -> bool:
    return case.startswith("net_")


def load(case: str) -> tuple[Network, dict[str, Tensor], dict]:  # type: ignore[type-arg]
    path = GOLDEN / ("forks" if case in OF_FORKS else "layers") / case
    data = arrays(path.with_suffix(".npz"))
    net = load_net(path.with_suffix(".prototxt"), phase=str(data["phase"]), dialect=dialect_of(data))
    set_blobs(net, named(data, "param"))
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


@pytest.mark.parametrize("case", CASES + OF_FORKS)
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
        blob = blob_of(net, name)
        ours = blob.grad if isinstance(blob, torch.nn.Parameter) else torch.zeros_like(blob)  # running ones
        assert error(ours, theirs) <= back, f"gradient of {name}"
    changed = named(data, "after")
    for layer, old in before.items():
        for index, blob in enumerate(old):
            theirs = changed.get(f"{layer}/{index}", blob)
            assert error(net.params[layer][index].detach(), theirs) <= forward, f"{layer}/{index} afterwards"


CAFFES = [
    "AbsVal",
    "Accuracy",
    "ArgMax",
    "BNLL",
    "BatchNorm",
    "BatchReindex",
    "Bias",
    "Clip",
    "Concat",
    "ContrastiveLoss",
    "Convolution",
    "Crop",
    "Data",
    "Deconvolution",
    "Dropout",
    "DummyData",
    "ELU",
    "Eltwise",
    "Embed",
    "EuclideanLoss",
    "Exp",
    "Filter",
    "Flatten",
    "HDF5Data",
    "HDF5Output",
    "HingeLoss",
    "Im2col",
    "ImageData",
    "InfogainLoss",
    "InnerProduct",
    "Input",
    "LRN",
    "LSTM",
    "LSTMUnit",
    "Log",
    "MVN",
    "MemoryData",
    "MultinomialLogisticLoss",
    "PReLU",
    "Parameter",
    "Pooling",
    "Power",
    "Python",
    "RNN",
    "ReLU",
    "Reduction",
    "Reshape",
    "SPP",
    "Scale",
    "Sigmoid",
    "SigmoidCrossEntropyLoss",
    "Silence",
    "Slice",
    "Softmax",
    "SoftmaxWithLoss",
    "Split",
    "Swish",
    "TanH",
    "Threshold",
    "Tile",
    "WindowData",
]

WITHOUT_A_RECORDING = {
    "Data": "its tops are inputs: test_layers_ends.py",
    "HDF5Data": "its tops are inputs: test_layers_ends.py",
    "ImageData": "its tops are inputs: test_layers_ends.py",
    "MemoryData": "its tops are inputs: test_layers_ends.py",
    "WindowData": "its tops are inputs: test_layers_ends.py",
    "HDF5Output": "no top to record: test_layers_ends.py",
    "Python": "runs what the user wrote: test_layers_ends.py",
    "LSTMUnit": "recorded inside LSTM's cases; by itself: test_layers_recurrent.py",
}


def test_every_type_of_caffe_is_registered() -> None:
    assert len(CAFFES) == 61
    assert set(CAFFES) - set(layer_types()) == set()


def test_every_registered_rule_has_a_case() -> None:
    cases, nets = recorded()
    covered = {*cases, *nets, "Input"}
    assert {record.rule_name for record in records()} - covered == set(WITHOUT_A_RECORDING)
    assert not covered.intersection(WITHOUT_A_RECORDING)


def test_the_table_of_cases_is_current() -> None:
    assert MODULE.read_text() == module_text(), "run PYTHONPATH=. python tests/layer_cases.py"


def test_the_page_of_layers_is_current() -> None:
    page = MODULE.parent.parent / "docs" / "layers.md"
    assert page.read_text() == markdown(), "run zoo layers --markdown > docs/layers.md"


def test_zoo_layers_prints_every_type(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layers"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in CAFFES) and "pool_max_mask" in printed


def test_every_layer_has_a_cost_or_is_listed() -> None:
    assert {record.type for record in records() if record.macs is None} == {"Python"}


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
