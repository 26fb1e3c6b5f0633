"""What a net costs: parameters and multiply-accumulates."""

from dataclasses import dataclass

from converters.graph import Node
from converters.layers.registry import record_of
from converters.network import Network

CONVENTION = (
    "MACs: multiply-accumulates of convolutions, deconvolutions, inner products and recurrent layers' "
    "matrices for one image (one sequence); biases, activations, pooling, normalisation, table look-ups and "
    "element-wise layers are not counted"
)


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
    if node.is_data:
        return 0
    count = record_of(node.layer).macs
    bottoms, tops = ([net.shapes[value] for value in values] for values in (node.inputs, node.outputs))
    return count(net.module_of(node), bottoms, tops) if count else None


def parameters(net: Network) -> int:
    """Learnable numbers, shared ones once; BatchNorm's sums are not learnable."""
    return sum(blob.numel() for blob in net.parameters())


def total_macs(net: Network) -> tuple[int, list[str]]:
    """(MACs of one image under CONVENTION, the layers whose type it does not cover)."""
    rows = layer_costs(net)
    return sum(row.macs or 0 for row in rows), [
        f"{row.name} ({row.type})" for row in rows if row.macs is None
    ]
