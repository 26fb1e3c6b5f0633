"""A whole net as ONNX nodes, layer by layer."""

from collections import Counter
from collections.abc import Mapping, Sequence

from onnx import TensorProto, helper

from converters.export.limits import UNTRACEABLE, in_brackets, limits
from converters.export.model import Model
from converters.export.names import value_names
from converters.export.nodes.free import Free, Shapes, named_axes, shapes_of
from converters.export.nodes.rules import load_rules, rule_of
from converters.export.nodes.writer import NotFreeError, Tensor, Writer
from converters.export.preprocess import Preprocess
from converters.graph import Node, Value, layer_labels, reads
from converters.layers import Layer
from converters.layers.registry import record_of
from converters.network import Network
from prototxt.errors import InputError, first_line

Axes = Mapping[Value, Sequence[int | str]]


def onnx_net(net: Network, free: Free, opset: int, preprocess: Preprocess | None = None) -> Model:
    """The net as a model whose inputs are of any size where ``free`` says so, with ``preprocess`` before it.

    Raises NotFreeError where a layer keeps them from being, and InputError, naming the layer, for one that no
    file can have.
    """
    load_rules()
    shapes = shapes_of(net, free)
    g = Writer(opset, {(id(net.layers[blob.child]), blob.slot): blob.name for blob in net.blobs})
    inputs = {value: Tensor(g.fresh(), shapes.free[value]) for value in net.graph.inputs}
    tensors = dict(inputs)
    if preprocess:
        tensors[preprocess.value] = _preprocessed(g, preprocess, inputs[preprocess.value])
    counts = reads(net.graph)
    g.readers = {tensor.name: counts[value] for value, tensor in tensors.items()}
    labels = layer_labels([node.layer.name for node in net.graph.nodes])
    for node, label in zip(net.graph.nodes, labels, strict=True):
        if not node.is_data:
            _write(net, node, label, g, tensors, shapes)
            _count(g, node, tensors, counts)
    _end(net, g, tensors)
    return _model(net, g, inputs, tensors, named_axes(net, shapes, free))


def _preprocessed(g: Writer, preprocess: Preprocess, pixels: Tensor) -> Tensor:
    g.layer, image = preprocess.value.blob, pixels.name
    if preprocess.is_swapped:
        image = g.add("Gather", image, g.ints([2, 1, 0]), axis=1)
    if preprocess.mean is not None:
        image = g.add("Sub", image, g.constant(preprocess.mean[None]))
    return Tensor(g.scaled(image, preprocess.scale), pixels.shape)


def _write(
    net: Network, node: Node, label: str, g: Writer, tensors: dict[Value, Tensor], shapes: Shapes
) -> None:
    layer, bottoms = net.module_of(node), [tensors[value] for value in node.inputs]
    g.layer, g.tops = label, [shapes.free[value] for value in node.outputs]
    before = len(g.nodes)
    tops = rule_of(layer)(layer, g, *bottoms)
    if tops is None:
        del g.nodes[before:]
        tops = _by_torch(node, layer, g, bottoms, [shapes.sample[value] for value in node.inputs])
    for value, top in zip(node.outputs, tops, strict=False):
        tensors[value] = Tensor(top, shapes.free[value])


def _by_torch(
    node: Node, layer: Layer, g: Writer, bottoms: list[Tensor], sizes: list[tuple[int, ...]]
) -> Sequence[str]:
    from converters.export.nodes.by_torch import LEAST_OPSET, by_torch  # which loads torch's exporter

    name, message = node.layer.name, node.layer
    if record_of(node.layer).untraceable:
        raise InputError(UNTRACEABLE, name, message)
    if g.opset < LEAST_OPSET:
        raise InputError(f"can be written for opset {LEAST_OPSET} and later alone", name, message)
    try:
        return by_torch(layer, g, bottoms, sizes)
    except NotFreeError as error:
        raise NotFreeError(limits([node]) or f'layer "{name}": {error}') from error
    except Exception as error:  # whatever stood in torch's way
        why = first_line(error.__cause__ or error)  # torch.onnx says over it what to try next
        raise InputError(
            f"cannot be exported to ONNX{in_brackets(limits([node]))}: {why}", name, message
        ) from error


def _count(g: Writer, node: Node, tensors: Mapping[Value, Tensor], counts: Counter[Value]) -> None:
    """How often the node's tops are read; one that is its bottom, too, is read by it no longer."""
    for value in set(node.inputs):
        name = tensors[value].name
        if any(tensors[top].name == name for top in node.outputs if top in tensors):
            g.readers[name] -= node.inputs.count(value)
    for value in node.outputs:
        if value in tensors:
            name = tensors[value].name
            g.readers[name] = g.readers.get(name, 0) + counts[value]


def _end(net: Network, g: Writer, tensors: dict[Value, Tensor]) -> None:
    """Make each output of the net a node's, and none of them twice."""
    taken = {tensors[value].name for value in net.graph.inputs} | g.arrays.keys()
    for value in net.graph.outputs:
        if tensors[value].name in taken:
            g.layer = value.layer
            tensors[value] = Tensor(g.add("Identity", tensors[value].name), tensors[value].shape)
        taken.add(tensors[value].name)


def _model(
    net: Network, g: Writer, inputs: Mapping[Value, Tensor], tensors: Mapping[Value, Tensor], axes: Axes
) -> Model:
    names = value_names(net.graph)
    final = {inputs[value].name: names[value] for value in net.graph.inputs}
    final |= {tensors[value].name: names[value] for value in net.graph.outputs}
    for value in reversed(list(tensors)):
        if tensors[value].name not in g.arrays and value not in inputs:
            final.setdefault(tensors[value].name, names[value])
    nodes, arrays = g.finish(final)
    inputs_told, outputs_told = (
        [helper.make_tensor_value_info(names[value], TensorProto.FLOAT, list(axes[value])) for value in side]
        for side in (net.graph.inputs, net.graph.outputs)
    )
    graph = helper.make_graph(nodes, net.graph.name or "net", inputs_told, outputs_told)
    opsets = [helper.make_opsetid("", g.opset)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="caffe-zoo")
    model.ir_version = helper.find_min_ir_version_for(opsets)
    return Model(model, arrays)
