"""What a net costs: parameters and multiply-accumulates."""

from collections.abc import Callable
from dataclasses import dataclass

from converters.graph import DATA_TYPES, Node
from converters.network import Network

CONVENTION = (
    "MACs: multiply-accumulates of convolutions, deconvolutions, inner products and recurrent layers' "
    "matrices for one image (one sequence); biases, activations, pooling, normalisation, table look-ups and "
    "element-wise layers are not counted"
)
_FREE = DATA_TYPES | {
    "AbsVal", "Accuracy", "ArgMax", "BNLL", "BatchNorm", "BatchReindex", "Bias", "Clip", "Concat",
    "ContrastiveLoss", "Crop", "Dropout", "DummyData", "ELU", "Eltwise", "Embed", "EuclideanLoss", "Exp",
    "Filter", "Flatten", "HDF5Output", "HingeLoss", "Im2col", "InfogainLoss", "LRN", "LSTMUnit", "Log", "MVN",
    "MultinomialLogisticLoss", "PReLU", "Parameter", "Pooling", "Power", "ReLU", "Reduction", "Reshape",
    "SPP", "Scale", "Sigmoid", "SigmoidCrossEntropyLoss", "Silence", "Slice", "Softmax", "SoftmaxWithLoss",
    "Split", "Swish", "TanH", "Threshold", "Tile",
}  # fmt: skip


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
    if node.layer.type in _FREE:
        return 0
    count = _COUNTS.get(node.layer.type)
    return count(net, node) if count else None


def _per_output(net: Network, node: Node) -> int:
    """Each output value takes one weight per input it sees: the weights of one output channel."""
    each = net.blobs_of(node)[0].numel() // _outputs(node)
    return sum(net.shapes[top][1:].numel() * each for top in node.outputs)


def _outputs(node: Node) -> int:
    if node.layer.type == "InnerProduct":
        return node.layer.inner_product_param.num_output
    return node.layer.convolution_param.num_output


def _per_input(net: Network, node: Node) -> int:
    """Each input value of a deconvolution meets the weights of its channel once."""
    weight = net.blobs_of(node)[0]
    return sum(net.shapes[bottom][1:].numel() * weight[0].numel() for bottom in node.inputs)


def _per_step(net: Network, node: Node) -> int:
    """Every matrix once a step of one sequence; a static input's matrix once."""
    steps = net.shapes[node.inputs[0]][0]
    matrices = [blob.numel() for blob in net.blobs_of(node) if blob.dim() == 2]
    exposed = {"LSTM": 2, "RNN": 1}[node.layer.type] * node.layer.recurrent_param.expose_hidden
    static = matrices.pop(1) if len(node.inputs) == 3 + exposed else 0
    return steps * sum(matrices) + static


_COUNTS: dict[str, Callable[[Network, Node], int]] = {
    "Convolution": _per_output,
    "InnerProduct": _per_output,
    "Deconvolution": _per_input,
    "LSTM": _per_step,
    "RNN": _per_step,
}


def parameters(net: Network) -> int:
    """Learnable numbers, shared ones once; BatchNorm's sums are not learnable."""
    return sum(blob.numel() for blob in net.parameters())


def total_macs(net: Network) -> tuple[int, list[str]]:
    """(MACs of one image under CONVENTION, the layers whose type it does not cover)."""
    rows = layer_costs(net)
    return sum(row.macs or 0 for row in rows), [
        f"{row.name} ({row.type})" for row in rows if row.macs is None
    ]
