"""Whether an ONNX file computes what its net does, layer by layer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx.numpy_helper import to_array

from converters.build import as_tuple
from converters.export.names import value_names
from converters.export.nodes.folding import FOLDED
from converters.export.nodes.free import Free
from converters.export.nodes.net import onnx_net
from converters.export.onnx_file import About, file_net, onnx_model, save
from converters.graph import Graph, Value
from converters.layers.registry import DRAWS
from converters.network import Network
from eval.probe import draw_weights, forget, probe_inputs, tensors
from eval.runtime import Feeds, open_plain
from prototxt.errors import InputError

TOLERANCE = 1e-4  # of a blob's largest absolute value
WEIGHTS = 1e-6  # of a weight's own size: a file copies them, but for BatchNorm's sums, which it divides
_BATCHES = (1, 3)  # more than one, so that a batch baked into a file that calls it dynamic shows
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Difference:
    """The largest absolute difference in one blob, the blob's largest absolute value, and the layer that
    it is of; ``compared`` is how many values were numbers on both sides.
    """

    output: str
    largest: float
    scale: float
    compared: int = 1
    layer: str = ""
    tolerance: float = TOLERANCE

    @property
    def relative(self) -> float:
        """The difference as a share of the scale."""
        return self.largest / self.scale if self.scale else self.largest

    @property
    def differs(self) -> bool:
        """Beyond the tolerance of the scale, or no number on one side alone."""
        return not self.largest <= self.tolerance * self.scale

    @property
    def is_close(self) -> bool:
        """Does not differ, and was a number somewhere."""
        return not self.differs and self.compared > 0


def write_onnx(
    net: Network,
    path: Path,
    classes: Sequence[str] = (),
    graph: Graph | None = None,
    **about: Unpack[About],
) -> bool:
    """:func:`converters.export.onnx_file.export_onnx`, run and held against the net before it appears.

    Raises InputError, naming the layer, where the file would compute something else: nothing is written.
    """
    small = file_net(net, graph)
    model, is_dynamic = onnx_model(small, classes, **about)
    for item in _compare(small, model, model, [1 if is_dynamic else None], 0):
        if item.differs:
            raise InputError(_refusal(small, item), item.layer)
    save(model, path)
    return is_dynamic


def _refusal(net: Network, item: Difference) -> str:
    if _is_random(net, item.layer):
        return DRAWS
    return (
        f'the ONNX file would not compute this layer: blob "{item.output}" differs by {item.largest:.3g} '
        f"at a scale of {item.scale:.3g}: not written"
    )


@torch.no_grad()
def _is_random(net: Network, layer: str) -> bool:
    """Whether a layer of the net makes other values each time."""
    node = next(node for node in net.graph.nodes if node.layer.name == layer)
    values = net.values(tensors(probe_inputs(net, None)))
    tops = []
    for _ in range(2):
        forget(net)
        tops.append(as_tuple(net.module_of(node)(*(values[value] for value in node.inputs))))
    return any(not torch.equal(a, b) for a, b in zip(*tops, strict=True))


def compare_onnx(net: Network, path: Path, seed: int = 0, graph: Graph | None = None) -> list[Difference]:
    """The file in onnxruntime on the CPU against ``net``, over batches of 1 and 3 (a file of one batch:
    that): every weight that the file holds under its name, and every blob that it still has, each held to
    what PyTorch makes of the file's own bottoms of that layer.

    Weights that would be constant are drawn for the comparison; the inputs are
    :func:`eval.probe.probe_inputs`'s.
    """
    model = onnx.load(path)
    free = _free(model)
    small = file_net(net, graph)
    expected = onnx_net(small, free, model.opset_import[0].version)
    weights = _compare_weights(small, model, expected)
    return weights + _compare(small, model, expected, _BATCHES if free.batch else [None], seed)


def _compare(
    small: Network,
    model: onnx.ModelProto,
    expected: onnx.ModelProto,
    batches: Sequence[int | None],
    seed: int,
) -> list[Difference]:
    """``model`` against the net, which writes as ``expected``; weights that would be constant are drawn."""
    if draw_weights(small, seed):
        drawn = onnx_net(small, _free(model), model.opset_import[0].version)
        model = _with_weights(model, expected, drawn)
    names = value_names(small.graph)
    have = {name for node in model.graph.node for name in node.output}
    wanted = {value: name for value, name in names.items() if name in have}
    session = open_plain(_with_outputs(model, list(wanted.values())))
    worst: dict[Value, Difference] = {}
    for batch in batches:
        feeds = probe_inputs(small, batch, seed)
        theirs = session.run(list(wanted.values()), {names[v]: feeds[v.blob] for v in small.graph.inputs})
        for value, item in _layer_by_layer(small, feeds, dict(zip(wanted, theirs, strict=True))):
            worst[value] = max(worst.get(value, item), item, key=_badness)
    return list(worst.values())


def _free(model: onnx.ModelProto) -> Free:
    """Which axes of the file's inputs are of any size."""
    shapes = [item.type.tensor_type.shape.dim for item in model.graph.input]
    return Free(
        batch=any(axes and axes[0].dim_param for axes in shapes),
        size=any(len(axes) == 4 and axes[2].dim_param for axes in shapes),
    )


def _badness(item: Difference) -> tuple[bool, float]:
    return item.differs, item.largest


def _compare_weights(net: Network, model: onnx.ModelProto, expected: onnx.ModelProto) -> list[Difference]:
    """Every initializer that is made of a layer's blobs, element by element."""
    ours = {tensor.name: tensor for tensor in expected.graph.initializer}
    owners = {blob.layer: blob.node.layer.name for blob in net.blobs}
    pairs = [(tensor, ours[tensor.name]) for tensor in model.graph.initializer if tensor.name in ours]
    return [
        _difference(theirs.name, to_array(own), to_array(theirs), owner, WEIGHTS)
        for theirs, own in pairs
        if (owner := owners.get(theirs.name.removesuffix(FOLDED).removesuffix(".T").rpartition(".")[0]))
    ]


def _with_weights(
    model: onnx.ModelProto, expected: onnx.ModelProto, drawn: onnx.ModelProto
) -> onnx.ModelProto:
    """The model with the weights of ``drawn`` in place of those that are as ``expected``."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    ours = {tensor.name: tensor for tensor in expected.graph.initializer}
    theirs = {tensor.name: tensor for tensor in drawn.graph.initializer}
    for tensor in copy.graph.initializer:
        if tensor.name in theirs and tensor == ours.get(tensor.name):
            tensor.CopyFrom(theirs[tensor.name])
    return copy


def _with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> bytes:
    """The model with ``names`` among its outputs, as a file's content."""
    known = {item.name for item in model.graph.output}
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    return copy.SerializeToString()


@torch.no_grad()
def _layer_by_layer(
    net: Network, feeds: Feeds, theirs: Mapping[Value, Array]
) -> Iterator[tuple[Value, Difference]]:
    """Each value of the file against what PyTorch makes of the file's values before it, so that no
    rounding adds up and a difference is the layer's own.
    """
    forget(net)
    values = {value: torch.from_numpy(feeds[value.blob]) for value in net.graph.inputs}
    for node in net.graph.nodes:
        if node.is_data:
            continue
        tops = as_tuple(net.module_of(node)(*(values[value] for value in node.inputs)))
        for value, top in zip(node.outputs, tops, strict=False):
            values[value] = top
            if value in theirs:
                output = theirs[value]
                yield value, _difference(value.blob, top.numpy(), output, node.layer.name)
                values[value] = torch.from_numpy(output) if output.shape == top.shape else top


def _difference(
    output: str, ours: Array, theirs: Array, layer: str, tolerance: float = TOLERANCE
) -> Difference:
    """NaN and infinity count as equal in the same places, and as infinitely apart elsewhere."""
    if ours.shape != theirs.shape:
        return Difference(output, np.inf, 0.0, 0, layer, tolerance)
    numbers = np.isfinite(ours) & np.isfinite(theirs)
    odd = ~numbers & ~((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)))
    apart = np.abs(np.where(numbers, ours, 0) - np.where(numbers, theirs, 0))
    largest = np.inf if odd.any() else float(apart.max(initial=0))
    scale = float(np.abs(ours, where=numbers, out=np.zeros_like(ours)).max(initial=0))
    return Difference(output, largest, scale, int(numbers.sum()) or int(not ours.size), layer, tolerance)
