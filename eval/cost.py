"""What a net costs: parameters and multiply-accumulates."""

from dataclasses import dataclass

from converters.graph import Node
from converters.layers.convolution import Convolution
from converters.layers.dense import InnerProduct
from converters.network import Network

CONVENTION = (
    "MACs: multiply-accumulates of convolutions and inner products for one image; biases, activations, "
    "pooling, normalisation and element-wise layers are not counted"
)
_FREE = frozenset(
    {
        "Accuracy", "BatchNorm", "Concat", "Dropout", "Eltwise", "EuclideanLoss", "Flatten", "HingeLoss",
        "LRN", "Pooling", "ReLU", "Scale", "Sigmoid", "Softmax", "SoftmaxWithLoss", "Split", "TanH",
    }
)  # fmt: skip


@dataclass(frozen=True)
class LayerCost:
    """A layer's cost for one image; ``macs`` is None where its type is not in the convention."""

    name: str
    type: str
    shape: tuple[int, ...]
    parameters: int
    macs: int | None


def layer_costs(net: Network) -> list[LayerCost]:
    """One row per layer, in order; ``shape`` is that of the first top."""
    rows = []
    for node in net.graph.nodes:
        shape = tuple(net.shapes[node.outputs[0]]) if node.outputs else ()
        rows.append(
            LayerCost(node.layer.name, node.layer.type, shape, _parameters(net, node), _macs(net, node))
        )
    return rows


def _parameters(net: Network, node: Node) -> int:
    return 0 if node.is_data else sum(blob.numel() for blob in net.module_of(node).parameters())


def _macs(net: Network, node: Node) -> int | None:
    if node.is_data or node.layer.type in _FREE:
        return 0
    module = net.module_of(node)
    if not isinstance(module, Convolution | InnerProduct):
        return None
    outputs = module.weight.shape[1] if getattr(module, "transpose", False) else module.weight.shape[0]
    each = module.weight.numel() // outputs
    return sum(net.shapes[top][1:].numel() * each for top in node.outputs)


def parameters(net: Network) -> int:
    """Learnable numbers, shared ones once; BatchNorm's sums are not learnable."""
    return sum(blob.numel() for blob in net.parameters())


def total_macs(net: Network) -> tuple[int, list[str]]:
    """(MACs of one image under CONVENTION, the layers whose type it does not cover)."""
    rows = layer_costs(net)
    return sum(row.macs or 0 for row in rows), [
        f"{row.name} ({row.type})" for row in rows if row.macs is None
    ]
