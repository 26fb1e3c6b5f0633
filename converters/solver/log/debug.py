"""The lines of ``debug_info``: mean absolute values of blobs, parameters and gradients (net.cpp).

Caffe's automatic Split layers, which there is none of here, have no lines. The [Update] lines are those of
Caffe before 1.0, which prints none.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from converters.blobs import memory, owner
from converters.graph import Node, Value
from converters.network import Network
from converters.solver.update.rules import Learnable

NOTICE = "debug_info: the lines of Caffe's automatic Split layers are left out"


def forward_lines(net: Network, values: Mapping[Value, Tensor]) -> list[str]:
    """Every layer's tops and parameters (Net::ForwardDebugInfo)."""
    lines = []
    for node in net.graph.nodes:
        head = f"    [Forward] Layer {node.layer.name}"
        lines += [f"{head}, top blob {value.blob} data: {_mean(values[value])}" for value in node.outputs]
        for index, blob in enumerate(net.blobs_of(node)):
            lines.append(f"{head}, param blob {display_name(node, index)} data: {_mean(blob)}")
    return lines


def backward_lines(
    net: Network, seen: Mapping[Node, Sequence[Tensor]], parameters: Sequence[Learnable]
) -> list[str]:
    """Every layer's bottom and parameter gradients, the last layer's first, and the norms of all
    parameters together (Net::BackwardDebugInfo, Net::Backward). ``seen``: what each layer read.
    """
    lines = []
    for node in reversed(net.graph.nodes):
        head = f"    [Backward] Layer {node.layer.name}"
        for value, bottom in zip(node.inputs, seen.get(node, []), strict=False):
            if bottom.requires_grad and bottom.grad is not None:
                lines.append(f"{head}, bottom blob {value.blob} diff: {_mean(bottom.grad)}")
        for index, blob in enumerate(net.blobs_of(node)):
            shared = owner(blob)
            if shared.requires_grad and shared.grad is not None:
                lines.append(f"{head}, param blob {index} diff: {_mean(shared.grad)}")
    return [*lines, _norms(parameters)]


def _norms(parameters: Sequence[Learnable]) -> str:
    data = [parameter.blob.detach() for parameter in parameters]
    diff = [parameter.blob.grad for parameter in parameters if parameter.blob.grad is not None]
    one, two = ([_norm(blobs, order) for blobs in (data, diff)] for order in (1, 2))
    norms = f"L1 norm = ({one[0]:g}, {one[1]:g}); L2 norm = ({two[0]:g}, {two[1]:g})"
    return f"    [Backward] All net params (data, diff): {norms}"


def _norm(blobs: Sequence[Tensor], order: int) -> float:
    norms = [torch.linalg.vector_norm(blob, order) for blob in blobs]
    return torch.linalg.vector_norm(torch.stack(norms), order).item() if norms else 0.0


def data_means(parameters: Sequence[Learnable]) -> dict[int, str]:
    """Each blob's mean, to be told after the update that follows."""
    return {memory(parameter.blob): _mean(parameter.blob) for parameter in parameters}


def update_lines(net: Network, parameters: Sequence[Learnable], before: Mapping[int, str]) -> list[str]:
    """Every blob before the update and what the update took off it (Net::UpdateDebugInfo)."""
    taken = {memory(p.blob): p.taken if p.taken is not None else torch.zeros(1) for p in parameters}
    owners: dict[int, str] = {}
    lines = []
    for node, index, blob in _each_blob(net):
        name, diff = display_name(node, index), _mean(taken[memory(blob)])
        head = f"    [Update] Layer {node.layer.name}, param"
        if memory(blob) in owners:
            lines.append(f"{head} blob {name} ({owners[memory(blob)]}) diff: {diff}")
        else:
            lines.append(f"{head} {name} data: {before[memory(blob)]}; diff: {diff}")
            owners[memory(blob)] = f"owned by layer {node.layer.name}, param {name}"
    return lines


def _each_blob(net: Network) -> Iterator[tuple[Node, int, Tensor]]:
    for node in net.graph.nodes:
        for index, blob in enumerate(net.blobs_of(node)):
            yield node, index, blob


def display_name(node: Node, index: int) -> str:
    """A parameter's name, or else its place among the layer's."""
    name = node.layer.param[index].name if index < len(node.layer.param) else ""
    return name or str(index)


def _mean(blob: Tensor) -> str:
    return f"{blob.detach().abs().mean().item():g}"
