"""A net out again as ONNX."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

import onnx

from converters.build import Shape
from converters.export.deploy import deploy
from converters.export.limits import refuse_layers
from converters.export.metadata import Transform, image_inputs, metadata
from converters.export.model import Model
from converters.export.nodes.free import Free
from converters.export.nodes.net import onnx_net
from converters.export.nodes.writer import NotFreeError
from converters.export.preprocess import Preprocess, preprocess_of
from converters.graph import Graph
from converters.host.files import whole
from converters.net_state import without_rules
from converters.network import Network
from prototxt.caffe_pb2 import NetParameter
from prototxt.errors import InputError
from prototxt.text import Warn

OPSET = 18  # the least that torch's exporter writes, which has the layers without a rule here


def deploy_net(
    net: Network, graph: Graph | None = None, input_shapes: Mapping[str, Shape] | None = None
) -> Network:
    """A copy of ``net`` without labels, losses and Accuracy, in TEST mode, with the same weights; of
    ``graph``, a part of its deployed graph, where that is given, and for inputs of ``input_shapes``.

    Raises InputError where nothing is left, and for shapes that a layer does not take.
    """
    graph = graph or deploy(net.graph)
    shapes = {value.blob: net.shapes[value] for value in graph.inputs} | dict(input_shapes or {})
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
    """What a file says of itself besides the net, the ``transform`` of its pictures and ``note``, its
    doc_string; and what it is: its ``opset``, from 13 on, whether height and width are dynamic as well as the
    batch, and whether it takes pixels as they are (:class:`converters.export.preprocess.Preprocess`).
    ``warn`` takes a line for what is not as asked. ``task`` says what the outputs are, where they are no
    scores of classes.
    """

    transform: Transform
    note: str
    opset: int
    dynamic_size: bool
    preprocess: bool
    warn: Warn
    task: str


def export_onnx(
    net: Network,
    path: Path,
    classes: Sequence[str] = (),
    graph: Graph | None = None,
    **about: Unpack[About],
) -> bool:
    """Write the deploy net of ``net``, or of ``graph`` (see :func:`deploy_net`), to ``path``, whole or not
    at all; whether its batch is dynamic.

    The batch (axis 0 of every input; of sequences time and axis 1) is dynamic, but for nets that cannot have
    it so, such as those with a Reshape to a fixed one: their file has the prototxt's. Blobs have
    Caffe's names as :func:`converters.export.names.value_names` gives them, weights are named as in
    ``state_dict``, a transposed one with ``.T`` behind. The metadata is
    :func:`converters.export.metadata.metadata`'s. Raises InputError where the net cannot be deployed or
    exported. Nothing is checked here against the net: :func:`eval.parity.write_onnx` does both.
    """
    return export_file(file_net(net, graph), path, classes, **about)


def export_file(small: Network, path: Path, classes: Sequence[str] = (), **about: Unpack[About]) -> bool:
    """:func:`export_onnx` of what :func:`file_net` made."""
    model, form = onnx_model(small, classes, **about)
    with whole(path) as beside:
        save(model, beside)
    return form.free.batch


def save(model: Model, path: Path) -> None:
    """Write a model that is right by onnx's own checker."""
    onnx.checker.check_model(model.plain())
    model.write(path)


@dataclass(frozen=True)
class Form:
    """How a file is written: what is of any size in it, its opset, what its pictures go through."""

    free: Free
    opset: int = OPSET
    preprocess: Preprocess | None = None

    def write(self, net: Network) -> Model:
        """The net as such a file. Raises NotFreeError and InputError as :func:`onnx_net`."""
        return onnx_net(net, self.free, self.opset, self.preprocess)


def onnx_model(small: Network, classes: Sequence[str] = (), **about: Unpack[About]) -> tuple[Model, Form]:
    """What :func:`export_file` writes, and in which form."""
    refuse_layers(small)
    preprocess = preprocess_asked(small, **about)
    if preprocess and (others := _other_images(small, preprocess)):
        about.get("warn", _hear)(
            f'input "{preprocess.value.blob}" takes pixels as they are; as the net takes them: {others}'
        )
    model, form = _model(small, about, preprocess)
    model.proto.doc_string = about.get("note", "")
    told = about.get("transform", Transform())
    entries = metadata(small, classes, told, about.get("preprocess", False), about.get("task", ""))
    onnx.helper.set_model_props(model.proto, entries)
    return model, form


def preprocess_asked(small: Network, **about: Unpack[About]) -> Preprocess | None:
    """What the file does to its pictures, where it is to. Raises InputError where the net has none."""
    if not about.get("preprocess"):
        return None
    return preprocess_of(small, about.get("transform", Transform()), about.get("dynamic_size", False))


def _other_images(small: Network, preprocess: Preprocess) -> str:
    """The inputs that are pictures, too, by name."""
    return ", ".join(f'"{v.blob}"' for _, v, _ in image_inputs(small) if v != preprocess.value)


def _hear(line: str) -> None:
    """Nobody asked."""


def _model(net: Network, about: About, preprocess: Preprocess | None) -> tuple[Model, Form]:
    """The net with what it can have of any size: the batch, or else the batch it has. Raises InputError where
    height and width are to be dynamic and cannot be, or what is made of as many rows as values leave.
    """
    size, why = about.get("dynamic_size", False), ""
    for batch in (True, False) if net.graph.inputs else (False,):
        form = Form(Free(batch, size), about.get("opset", OPSET), preprocess)
        try:
            model = form.write(net)
        except NotFreeError as error:
            why = str(error)
            continue
        if why:
            keeps = "batch, and any height and width" if size else "shapes"
            about.get("warn", _hear)(
                f"the batch cannot be dynamic in this net ({why}): the ONNX file has the prototxt's {keeps}"
            )
        return model, form
    asked = "height and width" if size else "what its detector's rows go through"
    raise InputError(f"{asked} cannot be dynamic in this net ({why})")
