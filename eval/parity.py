"""Whether an ONNX file computes what its net does, layer by layer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from converters.build import as_tuple
from converters.export.names import value_names
from converters.export.onnx_file import About, export_file, file_net
from converters.graph import Graph, Value
from converters.host.files import whole
from converters.layers.registry import DRAWS
from converters.network import Network
from eval.probe import draw_constants, forget, probe_inputs, tensors
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
    with whole(path) as beside:
        small = file_net(net, graph)
        is_dynamic = export_file(small, beside, classes, **about)
        for item in _compare(small, onnx.load(beside), [1 if is_dynamic else None], 0):
            if item.differs:
                raise InputError(_refusal(small, item), item.layer)
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
    fixed = any(
        axes and axes[0].HasField("dim_value")
        for axes in (item.type.tensor_type.shape.dim for item in model.graph.input)
    )
    return _compare(file_net(net, graph), model, [None] if fixed else _BATCHES, seed)


def _compare(
    small: Network, model: onnx.ModelProto, batches: Sequence[int | None], seed: int
) -> list[Difference]:
    weights = _compare_weights(small, model)
    draw_constants(small, model, seed)
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
    return weights + list(worst.values())


def _badness(item: Difference) -> tuple[bool, float]:
    return item.differs, item.largest


def _compare_weights(net: Network, model: onnx.ModelProto) -> list[Difference]:
    """Every initializer that has a weight's key, element by element."""
    blobs = {key: blob.detach() for key, blob in net.state_dict().items()}
    owners = {blob.name: blob.node.layer.name for blob in net.blobs}
    differences = []
    for tensor in model.graph.initializer:
        key = tensor.name if tensor.name in blobs else tensor.name.removesuffix(".T")
        if key in blobs:
            theirs = onnx.numpy_helper.to_array(tensor)
            ours = (blobs[key] if key == tensor.name else blobs[key].T).numpy().reshape(theirs.shape)
            differences.append(_difference(tensor.name, ours, theirs, owners[key], WEIGHTS))
    return differences


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
