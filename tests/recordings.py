"""The recordings of layers and small nets, each number of them beside ours."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from golden_cases import GOLDEN, arrays, blob_of, error, named, set_blobs
from layer_cases import dialect_of
from torch import Tensor

from converters import Network, load_net
from converters.graph import with_known_classes
from converters.layers.registry import record_of, records
from prototxt.net_file import NetFile

CASES = sorted(path.stem for path in (GOLDEN / "layers").glob("*.npz"))
OF_FORKS = sorted(path.stem for path in (GOLDEN / "forks").glob("*.npz"))
_OF_LAYER = {"output": 3e-6, "gradient": 6e-6, "afterwards": 3e-6}
_OF_NET = {"output": 1e-5, "gradient": 1e-3, "afterwards": 1e-5}
_TELLING = 1e-3  # an element's share of its blob's scale from which its error is counted in ULPs, too

# BatchNorm takes such a shift out again: in float64 the gradient is 0, and Caffe's own is 1.2e-6 of rounding.
_ROUNDING = {("net_shufflenet_mini_train", f"gradient of {blob}"): 1e-2 for blob in ("g1/1", "d1/sc/1")}

# What a recording holds and we do not equal: the case, what of it (as :class:`Comparison` names it), and why.
UNEQUAL: dict[tuple[str, str], str] = {}

FED_BY_FORKS = [
    record.rule_name for record in records() if record.role == "data" and record.family.startswith("forks/")
]

_BATCHES, _INPUTS = "test_data_series.py", "its tops are inputs: test_fork_inputs.py"
_OF_MSCNN = (
    *("BoxOutput", "DecodeBBox", "ProposalTarget"),
    *("DetectionLoss", "DetectionAccuracy", "BboxAccuracy", "ROIAlign"),
)
# Rules that no recording holds, and what does.
WITHOUT_A_RECORDING = {
    "Data": "its tops are inputs: test_layers_ends.py",
    "HDF5Data": "its tops are inputs: test_layers_ends.py",
    "ImageData": "its tops are inputs: test_layers_ends.py",
    "MemoryData": "its tops are inputs: test_layers_ends.py",
    "WindowData": "its tops are inputs: test_layers_ends.py",
    **{
        name: f"its batches are recorded: {_BATCHES}" if name.endswith("(caffe-long)") else _INPUTS
        for name in FED_BY_FORKS
    },
    "HDF5Output": "no top to record: test_layers_ends.py",
    "Python": "runs what the user wrote: test_layers_ends.py",
    "Accuracy (happynear)": "worked by hand: test_forks_judging.py",
    "SoftmaxWithLoss (happynear)": "worked by hand: test_forks_judging.py",
    "LocalWeightedConvolution": "Local by its older name: test_forks_elementwise.py",
    "SeLu": "SeLU by its older name: test_forks_elementwise.py",
    "SpatialTransformer": "no recording; worked by hand: test_forks_spatial.py",
    "CropCenter": "no recording; worked by hand: test_forks_spatial.py",
    "ConvolutionDepthwise (synopsys)": "no recording; Convolution by another name: test_forks_spatial.py",
    "AccuracyRegression": "worked by hand: test_forks_judging.py",
    "TopK": "worked by hand: test_forks_face.py",
    "GeneralTripletLoss": "worked by hand: test_forks_judging.py",
    "EvalDetection": "no recording; worked by hand: test_forks_detection.py",
    "SmoothL1Loss (rfcn)": "SmoothL1LossOHEM by its older name: test_forks_detection.py",
    "SoftmaxWithLoss (rfcn)": "its CUDA code, worked by hand: test_forks_ohem.py",
    "SoftmaxWithLossOHEM (rfcn)": "its CUDA code, worked by hand: test_forks_ohem.py",
    **dict.fromkeys(_OF_MSCNN, "no recording; worked by hand: test_forks_mscnn.py"),
    "spatial_dropout.SpatialDropoutLayer": "no recording; worked by hand: test_forks_elementwise.py",
    "EltwiseAffine": "no recording; worked by hand: test_forks_elementwise.py",
    "APL": "no recording; worked by hand: test_forks_elementwise.py",
    "RankHardLoss": "worked by hand: test_forks_judging.py",
    "SigmoidCrossEntropyLoss (hed)": "no recording; worked by hand: test_forks_judging.py",
    "rpn.anchor_target_layer.AnchorTargetLayer": "no recording; worked by hand: test_forks_rpn_targets.py",
    "rpn.proposal_target_layer.ProposalTargetLayer": "no recording; worked by hand: test_forks_rpn_targets.py",
    "rpn.proposal_target_layer.ProposalTargetLayer (rfcn)": "worked by hand: test_forks_rpn_targets.py",
    "LSTMUnit": "recorded inside LSTM's cases; by itself: test_layers_recurrent.py",
}


@dataclass(frozen=True)
class Comparison:
    """A blob, gradient or changed parameter of a case: ``what`` says which. ``share`` is the largest
    difference as a share of the blob's scale; ``ulps`` the largest in units of the last place of float32, of
    elements that are at least a thousandth of the scale.
    """

    case: str
    kind: str
    what: str
    share: float
    ulps: float

    @property
    def bound(self) -> float:
        """The largest share that passes."""
        usual = (_OF_NET if is_net(self.case) else _OF_LAYER)[self.kind]
        return _ROUNDING.get((self.case, self.what), usual)

    @property
    def excuse(self) -> str:
        """Why it may be unequal; "" where it may not."""
        return UNEQUAL.get((self.case, self.what), "")


def is_net(case: str) -> bool:
    """Whether it is a small net, where errors add up."""
    return case.startswith("net_") or case.endswith("_net")


def is_traceable(case: str) -> bool:
    """Whether torch.compile and torch.export can follow every layer of it."""
    net = with_known_classes(NetFile.read(path_of(case)).message)
    return not any(record_of(layer).untraceable for layer in net.layer)


def path_of(case: str) -> Path:
    """Its prototxt."""
    return GOLDEN / ("forks" if case in OF_FORKS else "layers") / f"{case}.prototxt"


def load(case: str) -> tuple[Network, dict[str, Tensor], dict]:  # type: ignore[type-arg]
    """The net of a case with the recorded parameters, its inputs, and the recording."""
    path = path_of(case)
    data = arrays(path.with_suffix(".npz"))
    net = load_net(path, phase=str(data["phase"]), dialect=dialect_of(data))
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


def compare(case: str) -> Iterator[Comparison]:
    """Everything that a case records, beside ours."""
    net, inputs, data = load(case)
    before = {name: [b.detach().clone() for b in blobs] for name, blobs in net.params.items()}
    blobs = backward(net, inputs, data)
    for name, theirs in named(data, "out").items():
        if not re.search(r"_split_\d+$", name):
            yield _compared(case, "output", name, blobs[name].detach(), theirs)
    for name, theirs in named(data, "din").items():
        yield _compared(case, "gradient", f"gradient of {name}", inputs[name].grad, theirs)
    for name, theirs in named(data, "dparam").items():
        blob = blob_of(net, name)
        ours = blob.grad if isinstance(blob, torch.nn.Parameter) else torch.zeros_like(blob)  # running ones
        yield _compared(case, "gradient", f"gradient of {name}", ours, theirs)
    changed = named(data, "after")
    for layer, old in before.items():
        for index, blob in enumerate(old):
            name = f"{layer}/{index}"
            ours, theirs = net.params[layer][index].detach(), changed.get(name, blob)
            yield _compared(case, "afterwards", f"{name} afterwards", ours, theirs)


def _compared(case: str, kind: str, what: str, ours: Tensor | None, theirs: Tensor) -> Comparison:
    assert ours is not None, f"{case}: no {what}"
    return Comparison(case, kind, what, error(ours, theirs), ulps(ours, theirs))


def ulps(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference in units of the last place of the recorded number, of those that are at least
    a thousandth of the blob's scale.
    """
    size = theirs.abs()
    telling = size >= max(1e-6, _TELLING * size.max().item() if size.numel() else 0)
    if not telling.any():
        return 0.0
    last = torch.nextafter(size, torch.full_like(size, torch.inf)) - size
    return ((ours - theirs).abs() / last)[telling].max().item()
