"""A net out again as ONNX."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch

from converters.files import whole
from converters.graph import deploy
from converters.network import Network
from prototxt.caffe_pb2 import LayerParameter, NetParameter
from prototxt.errors import InputError


def deploy_net(net: Network) -> Network:
    """A copy of ``net`` without labels, losses and Accuracy, in TEST mode, with the same weights.

    Raises InputError where nothing is left.
    """
    graph = deploy(net.graph)
    shapes = {value.blob: net.shapes[value] for value in graph.inputs}
    copy = Network(graph, "TEST", shapes, fill_blobs=False)
    copy.take_blobs(net)
    return copy


def deploy_message(net: Network) -> NetParameter:
    """A deploy net as a prototxt's message: one Input layer for each input, then its layers without rules."""
    message = NetParameter(name=net.graph.name)
    for value in net.graph.inputs:
        fed = message.layer.add(name=value.blob, type="Input", top=[value.blob])
        fed.input_param.shape.add(dim=net.shapes[value])
    for node in net.graph.nodes:
        if not node.is_data:
            layer = message.layer.add()
            layer.CopyFrom(node.layer)
            for field in ("include", "exclude"):
                layer.ClearField(field)
    return message


def input_metadata(layer: LayerParameter) -> dict[str, Any]:
    """What the input has gone through, from the data layer that served it: order, means, scale."""
    param = layer.transform_param
    is_color = layer.type != "ImageData" or layer.image_data_param.is_color
    metadata: dict[str, Any] = {"channel_order": "BGR" if is_color else "grey"}
    if layer.type != "Input":
        metadata |= {"mean": list(param.mean_value), "scale": param.scale}
    return metadata


def export_onnx(net: Network, path: Path, classes: Sequence[str] = ()) -> bool:
    """Write the deploy net of ``net`` to ``path``, whole or not at all; whether its batch is dynamic.

    The batch (axis 0 of every input) is dynamic, but for nets that cannot have it so, such as those that
    take axis 0 for time: their file has the prototxt's shapes. Inputs and outputs have Caffe's blob
    names, weights are named as in ``state_dict``. The metadata holds channel_order, mean, scale,
    input_size (height, width) and classes, each as JSON. Raises InputError where the net cannot be
    deployed or exported.
    """
    small = deploy_net(net)
    model, is_dynamic = _model(small)
    model.graph.name = small.graph.name or "net"
    model.producer_name = "caffe-zoo"
    onnx.helper.set_model_props(model, _metadata(small, classes))
    onnx.checker.check_model(model)
    with whole(path) as beside:
        onnx.save(model, beside)
    return is_dynamic


def _model(net: Network) -> tuple[onnx.ModelProto, bool]:
    """The net as ONNX with a dynamic batch, or else with the batch it has; which of them."""
    try:
        model = _exported(net, 2, {0: torch.export.Dim("batch")})  # export takes a 1 for a constant
        if all(_has_free_batch(value) for value in model.graph.input):
            return model, True
    except Exception as error:  # whatever stood in the way, the shapes as they are may do
        logging.getLogger(__name__).debug("no dynamic batch: %s", error)
    try:
        return _exported(net, None, None), False
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f'net "{net.graph.name}" cannot be exported to ONNX: {reason}') from error


def _has_free_batch(value: onnx.ValueInfoProto) -> bool:
    axes = value.type.tensor_type.shape.dim
    return bool(axes and axes[0].dim_param)


def _exported(net: Network, batch: int | None, axes: dict[int, Any] | None) -> onnx.ModelProto:
    """The net as ONNX from inputs of its shapes, with another ``batch`` and dynamic ``axes`` where given."""
    shapes = [net.shapes[value] for value in net.graph.inputs]
    inputs = tuple(torch.zeros(shape if batch is None else (batch, *shape[1:])) for shape in shapes)
    with quiet():
        program = torch.onnx.export(
            net,
            inputs,
            input_names=net.inputs,
            output_names=net.outputs,
            dynamic_shapes={"inputs": tuple(axes for _ in inputs)} if axes and inputs else None,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return _with_named_weights(program.model_proto, {blob.path: blob.name for blob in net.blobs})


def _with_named_weights(model: onnx.ModelProto, names: Mapping[str, str]) -> onnx.ModelProto:
    """The model with its weights under the names of ``state_dict``, in place of the modules' own."""
    for tensor in model.graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    for value in [*model.graph.value_info, *model.graph.output]:
        value.name = names.get(value.name, value.name)
    return model


def _metadata(net: Network, classes: Sequence[str]) -> dict[str, str]:
    served = [node for node in net.graph.nodes if node.is_data]
    entries = input_metadata(served[0].layer) if served else {}
    if served:
        entries["input_size"] = list(net.shapes[served[0].outputs[0]][2:])
    if classes:
        entries["classes"] = list(classes)
    return {name: json.dumps(value, ensure_ascii=False) for name, value in entries.items()}


@contextmanager
def quiet() -> Iterator[None]:
    """Keep a converter's own notes, about optional packages and its deprecations, from the user."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
