"""A net out again as ONNX."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any, TypedDict, Unpack

import onnx
import onnx_ir as ir
import torch
from torch import Tensor, nn

from converters.export.deploy import deploy
from converters.export.limits import limits, refuse_layers
from converters.export.metadata import metadata
from converters.export.names import rename, value_names
from converters.export.tidy import tidy
from converters.graph import Graph
from converters.host.files import whole
from converters.host.places import HERE
from converters.net_state import without_rules
from converters.network import Network
from prototxt.caffe_pb2 import NetParameter
from prototxt.errors import InputError


def deploy_net(net: Network, graph: Graph | None = None) -> Network:
    """A copy of ``net`` without labels, losses and Accuracy, in TEST mode, with the same weights; of
    ``graph``, a part of its deployed graph, where that is given.

    Raises InputError where nothing is left.
    """
    graph = graph or deploy(net.graph)
    shapes = {value.blob: net.shapes[value] for value in graph.inputs}
    copy = Network(graph, "TEST", shapes, fill_blobs=None)
    copy.take_blobs(net)
    return copy


def file_net(net: Network, graph: Graph | None = None) -> Network:
    """The deploy net as a file holds it: BatchNorm's sums divided by their factor for good."""
    copy = deploy_net(net, graph).cpu()
    for node in copy.graph.nodes:
        if not node.is_data:
            copy.module_of(node).settle()
    return copy


def deploy_message(net: Network) -> NetParameter:
    """A deploy net as a prototxt's message: one Input layer for each input, then its layers without rules."""
    message = NetParameter(name=net.graph.name)
    for value in net.graph.inputs:
        fed = message.layer.add(name=value.blob, type="Input", top=[value.blob])
        fed.input_param.shape.add(dim=net.shapes[value])
    for node in net.graph.nodes:
        if not node.is_data:
            message.layer.append(without_rules(node.layer))
    return message


class About(TypedDict, total=False):
    """What a file says of itself besides the net: ``mean`` and ``places`` as
    :func:`converters.export.metadata.metadata` takes them, ``note`` its doc_string.
    """

    mean: str
    places: Sequence[Path]
    note: str


def export_onnx(
    net: Network,
    path: Path,
    classes: Sequence[str] = (),
    graph: Graph | None = None,
    **about: Unpack[About],
) -> bool:
    """Write the deploy net of ``net``, or of ``graph`` (see :func:`deploy_net`), to ``path``, whole or not
    at all; whether its batch is dynamic.

    The batch (axis 0 of every input) is dynamic, but for nets that cannot have it so, such as those that
    take axis 0 for time: their file has the prototxt's shapes. Blobs have Caffe's names as
    :func:`converters.export.names.value_names` gives them, weights are named as in ``state_dict``, a
    transposed one with ``.T`` behind. The metadata is :func:`converters.export.metadata.metadata`'s; a
    mean file is sought in ``places``. Raises InputError where the net cannot be deployed or exported.
    Nothing is checked here against the net: :func:`eval.parity.write_onnx` does both.
    """
    return export_file(file_net(net, graph), path, classes, **about)


def export_file(small: Network, path: Path, classes: Sequence[str] = (), **about: Unpack[About]) -> bool:
    """:func:`export_onnx` of what :func:`file_net` made."""
    refuse_layers(small)
    model, is_dynamic = _model(small)
    model.graph.name = small.graph.name or "net"
    model.producer_name, model.doc_string = "caffe-zoo", about.get("note", "")
    entries = metadata(small, classes, about.get("mean", ""), about.get("places", HERE))
    onnx.helper.set_model_props(model, entries)
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
        cause = error.__cause__ or error  # torch.onnx says over it what to try next
        reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        why = limits(net.graph)
        raise InputError(f'net "{net.graph.name}" cannot be exported to ONNX{why}: {reason}') from error


def _has_free_batch(value: onnx.ValueInfoProto) -> bool:
    axes = value.type.tensor_type.shape.dim
    return bool(axes and axes[0].dim_param)


class _AllValues(nn.Module):
    """A net whose outputs are the values of every layer, so that the exporter tells which are which."""

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.net = net
        self.made = [value for node in net.graph.nodes if not node.is_data for value in node.outputs]

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        values = self.net.values(dict(zip(self.net.inputs, inputs, strict=True)))
        return [values[value] for value in self.made]


def _exported(net: Network, batch: int | None, axes: dict[int, Any] | None) -> onnx.ModelProto:
    """The net as ONNX from inputs of its shapes, with another ``batch`` and dynamic ``axes`` where given."""
    shapes = [net.shapes[value] for value in net.graph.inputs]
    inputs = tuple(torch.zeros(shape if batch is None else (batch, *shape[1:])) for shape in shapes)
    every = _AllValues(net).eval()
    with silenced():
        program = torch.onnx.export(
            every,
            inputs,
            dynamic_shapes={"inputs": tuple(axes for _ in inputs)} if axes and inputs else None,
            dynamo=True,
            verbose=False,
            optimize=False,
        )
        assert program is not None
        return _finished(program.model, every)


def _finished(model: ir.Model, every: _AllValues) -> onnx.ModelProto:
    """The exporter's model, tidy, with the net's own outputs alone and the names of blobs and weights."""
    graph, net = model.graph, every.net
    by_value = dict(zip(every.made, graph.outputs, strict=True))
    made = {value: output.name for value, output in by_value.items()}  # as it is before anything is joined
    graph.outputs[:] = [by_value[value] for value in net.graph.outputs]
    keys = _weights(graph, net)
    tidy(model, keys)
    names = value_names(net.graph)
    ends = dict(zip([*net.graph.inputs, *net.graph.outputs], [*graph.inputs, *graph.outputs], strict=True))
    blobs = {end: names[value] for value, end in ends.items()}
    present = {output.name: output for node in graph for output in node.outputs}
    for value, name in made.items():
        if name in present:
            blobs.setdefault(present[name], names[value])
    rename(model, blobs, keys)
    return ir.to_proto(model)


def _weights(graph: ir.Graph, net: Network) -> dict[ir.Value, str]:
    """The keys of ``state_dict`` by the initializers that hold their blobs."""
    names = {f"net.{blob.path}": blob.name for blob in net.blobs}
    return {weight: names[name] for name, weight in graph.initializers.items() if name in names}


@contextmanager
def silenced() -> Iterator[None]:
    """Keep a converter's own notes, about optional packages and its deprecations, from the user."""
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
