"""What a net and its ONNX file are given to be told apart: inputs where its layers are defined, and drawn
weights where they would be constant."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from converters.graph import Node, Value
from converters.layers.registry import record_of
from converters.network import Network
from eval.runtime import Feeds

Sizes = Mapping[str, tuple[int, ...]]  # of inputs
Reader = tuple[Node, set[Value]]  # a layer, and the values that are an input's


@torch.no_grad()
def draw_weights(net: Network, seed: int = 0) -> bool:
    """Draw every blob whose values are all the same, as are those of fillers that a prototxt leaves out;
    whether there was one.
    """
    generator = torch.Generator().manual_seed(seed)
    constant = {key: blob for key, blob in net.state_dict().items() if _is_constant(blob)}
    for key, blob in constant.items():
        blob.copy_(_drawn(key, blob.shape, generator))
    return bool(constant)


def _is_constant(blob: Tensor) -> bool:
    return bool(blob.numel()) and bool((blob == blob.reshape(-1)[0]).all())


def _drawn(key: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Weights that keep a layer's output near its input's size (He 2015); others, such as a number a channel
    whatever their axes, of a size near 1.
    """
    if sum(side > 1 for side in shape) > 1:
        size = math.sqrt(2 / max(shape[1:].numel(), 1))
        return torch.randn(shape, generator=generator) * size
    spread = torch.rand(shape, generator=generator)
    is_shift = key.endswith((".bias", ".mean"))
    return spread * 0.2 - 0.1 if is_shift else spread + 0.5


def probe_inputs(net: Network, batch: int | None, seed: int = 0, shapes: Sizes | None = None) -> Feeds:
    """Random values for every input, (batch, …) where ``batch`` is given, or of ``shapes``: whole numbers in
    range where they are indices, 0 and 1 where they are marks, what a layer asks for where it says so
    (boxes), else normal ones, or such of one sign where those leave fewer values undefined (Log, a Power of
    0.5).
    """
    trials = []
    for sign in (0, 1, -1):
        feeds = random_inputs(net, batch, sign, seed, shapes)
        undefined = _undefined(net, feeds)
        if not undefined:
            return feeds
        trials.append((undefined, sign, feeds))
    return min(trials, key=lambda trial: trial[:2])[2]


def random_inputs(
    net: Network, batch: int | None = None, sign: int = 0, seed: int = 0, shapes: Sizes | None = None
) -> Feeds:
    """Random values for every input, in the net's shapes, (batch, …) or ``shapes``: whole numbers where they
    are indices, else normal ones; where ``sign`` is 1 or -1 all of that sign.
    """
    ours = {value.blob: tuple(net.shapes[value]) for value in net.graph.inputs}
    if batch is not None:
        ours = {blob: (batch, *shape[1:]) for blob, shape in ours.items()}
    ours |= shapes or {}
    return {value.blob: _input(net, value, ours[value.blob], sign, seed) for value in net.graph.inputs}


def _input(net: Network, value: Value, shape: tuple[int, ...], sign: int, seed: int) -> NDArray[np.float32]:
    random = np.random.Generator(np.random.PCG64(seed))
    readers = list(_readers(net, value))
    if (own := _own_values(net, readers, shape, random)) is not None:
        return own
    limit = min((limit for node, same in readers for limit in _limits(net, node, same, shape)), default=None)
    if limit is not None:
        return random.integers(0, max(limit, 1), shape).astype(np.float32)
    drawn = random.standard_normal(shape).astype(np.float32)
    return drawn if not sign else sign * (np.abs(drawn) + np.float32(0.05))


def _own_values(
    net: Network, readers: Sequence[Reader], shape: tuple[int, ...], random: np.random.Generator
) -> NDArray[np.float32] | None:
    """What the first layer says that it wants, of those that say so; None where none does."""
    for node, same in readers:
        for at, draw in record_of(node.layer).probes.items():
            if node.inputs[at] in same:
                shapes = _shapes(net, node, same, shape)
                return draw(net.module_of(node), shapes, random).astype(np.float32).reshape(shape)
    return None


def _undefined(net: Network, feeds: Feeds) -> int:
    forget(net)
    with torch.no_grad():
        values = net.values(tensors(feeds))
    return sum(int((~torch.isfinite(x)).sum()) for x in values.values())


def _readers(net: Network, value: Value) -> Iterator[Reader]:
    """The layers that read an input, or the values of one that were passed on as they are."""
    same = {value}
    for node in net.graph.nodes:
        if same.intersection(node.inputs):
            yield node, same
        if record_of(node.layer).routes and node.inputs and node.inputs[0] in same:
            same.update(node.outputs)


def _limits(net: Network, node: Node, same: set[Value], shape: tuple[int, ...]) -> list[int]:
    """What limits the bottoms of a layer that are among ``same``, which have this shape: one more than the
    largest whole number, of those that index, and of labels the number of classes that are scored.
    """
    shapes, record = _shapes(net, node, same, shape), record_of(node.layer)
    limits = [
        limit(net.module_of(node), shapes) for at, limit in record.indices.items() if node.inputs[at] in same
    ]
    if record.scores_classes and node.inputs[1] in same and len(shapes[0]) > 1:
        limits.append(shapes[0][1])
    return limits


def _shapes(net: Network, node: Node, same: set[Value], shape: tuple[int, ...]) -> list[torch.Size]:
    return [torch.Size(shape) if value in same else net.shapes[value] for value in node.inputs]


def forget(net: Network) -> None:
    """Have recurrent layers begin anew, as an ONNX file does at every run."""
    for node in net.graph.nodes:
        if not node.is_data:
            net.module_of(node).reset()


def tensors(feeds: Feeds) -> dict[str, Tensor]:
    """Arrays as tensors."""
    return {name: torch.from_numpy(array) for name, array in feeds.items()}
