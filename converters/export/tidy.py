"""What the exporter leaves, made plain: constants folded, weights kept whole and under their names.

torch's own clean-up joins equal weights, drops a bias of zeros and folds BatchNorm into convolutions, all
by the weights' values; a file whose weights are to be found again, and checked, is made without.
"""

import onnx_ir as ir
from onnx_ir.passes import PassManager
from onnx_ir.passes import common as passes
from onnxscript import optimizer, rewriter
from onnxscript.rewriter.rules import common as rules

_LAYOUT = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Identity"})
_RULES = (
    rules.no_op_cast_rule,
    rules.cast_cast_rule,
    rules.no_op_expand_rule,
    rules.reshape_reshape_rule,
    rules.squeeze_reshape_1d_rule,
    rules.collapse_slice_rule,
    rules.collapse_slice2_rule,
    rules.materialize_reshape_shape_rule,
)


def tidy(model: ir.Model, keys: dict[ir.Value, str]) -> None:
    """Simplify ``model`` in place; ``keys`` (weight to name) follows weights that are laid out anew."""
    passes.InlinePass()(model)
    _fold_layouts(model.graph, keys)
    optimizer.fold_constants(model, onnx_shape_inference=True)
    rewriter.rewrite(model, pattern_rewrite_rules=_RULES)
    optimizer.fold_constants(model, onnx_shape_inference=True)
    PassManager(
        [
            passes.RemoveUnusedNodesPass(),
            passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
            passes.CommonSubexpressionEliminationPass(),
            passes.OutputFixPass(),
            passes.RemoveUnusedOpsetsPass(),
        ],
        steps=1,
    )(model)


def _fold_layouts(graph: ir.Graph, keys: dict[ir.Value, str]) -> None:
    """Weights that are only reshaped, or transposed as a matrix, in their new shape; the transposed of
    "fc.weight" is called "fc.weight.T".
    """
    for node in list(graph):
        source = node.inputs[0] if node.inputs else None
        if source is None or source not in keys or source.const_value is None:
            continue
        laid = _laid_out(node, source.const_value)
        if laid is not None:
            _replace(graph, node, laid, keys)


def _laid_out(node: ir.Node, weight: ir.TensorProtocol) -> ir.TensorProtocol | None:
    if node.op_type == "Transpose" and len(weight.shape) == 2:
        return ir.tensor(weight.numpy().T)
    shape = _shape(node) if node.op_type in _LAYOUT else None
    return None if shape is None else ir.tensor(weight.numpy().reshape(shape))


def _shape(node: ir.Node) -> tuple[int, ...] | None:
    """The shape of what a node makes, where the exporter knows it or a constant says it."""
    known = node.outputs[0].shape
    if known is not None and known.is_static():
        return known.numpy()
    wanted = node.inputs[1] if node.op_type == "Reshape" else None
    target = None if wanted is None else ir.convenience.get_const_tensor(wanted)
    sides = () if target is None else tuple(int(side) for side in target.numpy())
    return sides if sides and 0 not in sides else None


def _replace(graph: ir.Graph, node: ir.Node, laid: ir.TensorProtocol, keys: dict[ir.Value, str]) -> None:
    source, old = node.inputs[0], node.outputs[0]
    assert source is not None
    new = ir.Value(
        name=f"{old.name}.laid", const_value=laid, type=source.type, shape=ir.Shape(laid.numpy().shape)
    )
    graph.register_initializer(new)
    keys[new] = keys[source] + (".T" if node.op_type == "Transpose" else "")
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove(node, safe=True)
