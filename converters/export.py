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
from converters.graph import Node, deploy
from converters.network import Network
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


def deploy_net(net: Network) -> Network:
    """A copy of ``net`` without labels, losses and Accuracy, in TEST mode, with the same weights.

    Raises InputError where nothing is left.
    """
    graph = deploy(net.graph)
    shapes = {value.blob: net.shapes[value] for value in net.graph.inputs}
    copy = Network(graph, "TEST", shapes, fill_blobs=False)
    state = net.state_dict()
    copy.load_state_dict({name: state[name] for name in copy.state_dict()})
    return copy


def input_metadata(layer: LayerParameter) -> dict[str, Any]:
    """What the input has gone through, from the data layer that served it: order, means, scale."""
    param = layer.transform_param
    is_color = layer.type != "ImageData" or layer.image_data_param.is_color
    metadata: dict[str, Any] = {"channel_order": "BGR" if is_color else "grey"}
    if layer.type != "Input":
        metadata |= {"mean": list(param.mean_value), "scale": param.scale}
    return metadata


def export_onnx(net: Network, path: Path, classes: Sequence[str] = ()) -> None:
    """Write the deploy net of ``net`` to ``path``, whole or not at all.

    The batch (axis 0 of every input) is dynamic. Inputs and outputs have Caffe's blob names, weights
    are named as in ``state_dict``. The metadata holds channel_order, mean, scale, input_size (height,
    width) and classes, each as JSON. Raises InputError where the net cannot be deployed or exported.
    """
    small = deploy_net(net)
    examples = tuple(_example(small, node) for node in small.graph.nodes if node.is_data)
    inputs = tuple(x for group in examples for x in group)
    with _quiet():
        try:
            program = torch.onnx.export(
                small,
                inputs,
                input_names=small.inputs,
                output_names=small.outputs,
                dynamic_shapes={"inputs": tuple({0: torch.export.Dim("batch")} for _ in inputs)},
                dynamo=True,
                verbose=False,
            )
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(f'net "{small.graph.name}" cannot be exported to ONNX: {reason}') from error
    assert program is not None
    model = program.model_proto
    _name(model, small)
    onnx.helper.set_model_props(model, _metadata(small, classes))
    onnx.checker.check_model(model)
    with whole(path) as beside:
        onnx.save(model, beside)


def _example(net: Network, node: Node) -> list[torch.Tensor]:
    """Zeros of each top's shape, with a batch of 2 (torch.export takes 1 for a constant)."""
    return [torch.zeros(2, *net.shapes[value][1:]) for value in node.outputs]


def _name(model: onnx.ModelProto, net: Network) -> None:
    model.graph.name = net.graph.name or "net"
    model.producer_name = "caffe-zoo"


def _metadata(net: Network, classes: Sequence[str]) -> dict[str, str]:
    node = next(node for node in net.graph.nodes if node.is_data)
    entries = input_metadata(node.layer)
    entries["input_size"] = list(net.shapes[node.outputs[0]][2:])
    if classes:
        entries["classes"] = list(classes)
    return {name: json.dumps(value, ensure_ascii=False) for name, value in entries.items()}


def read_metadata(model: Mapping[str, str]) -> dict[str, Any]:
    """The metadata that :func:`export_onnx` wrote, from onnxruntime's ``custom_metadata_map``."""
    return {name: json.loads(value) for name, value in model.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes about optional packages and its own deprecations from the user."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
