"""Every layer against what real Caffe 1.0 computed, forward and backward."""

import pytest
import torch
from layer_cases import MODULE, module_text, recorded
from recordings import CASES, OF_FORKS, WITHOUT_A_RECORDING, compare

from converters import load_net
from converters.layers import layer_types
from converters.layers.registry import records
from zoo.cli import main
from zoo.layers import markdown


@pytest.mark.parametrize("case", CASES + OF_FORKS)
def test_blobs_and_gradients_are_caffes(case: str) -> None:
    for it in compare(case):
        if it.excuse:
            assert it.share > it.bound, f"{it.what} is equal: {it.excuse}"
        else:
            assert it.share <= it.bound, it.what


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
