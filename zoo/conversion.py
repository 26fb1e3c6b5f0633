"""From a net's name or path to its module and its ONNX file, step by step: what ``zoo convert`` and the
functions of ``import zoo`` share.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from converters.build import Shape, check_input_shapes
from converters.dialects import settled
from converters.export.deploy import ending_in, with_softmax
from converters.export.names import value_names
from converters.graph import Graph, graph_of, with_known_classes
from converters.host.places import HERE
from converters.layers.registry import record_of
from converters.load import build
from converters.net_state import net_state
from converters.network import Network
from converters.trained import is_trained
from converters.weights.stored import stored_blobs
from prototxt.errors import InputError
from prototxt.net_file import NetFile
from prototxt.rawbytes import from_message
from prototxt.text import Warn
from zoo.cli.choices import VARIANT
from zoo.variants.edits import find_net


@dataclass(frozen=True)
class Request:
    """The net that is asked for: a path or a shipped net's name, with the ``variant`` that edits it, the
    weight files, of which the later count first (without any, a .caffemodel itself), and the state that its
    layers are chosen by.
    """

    net: str
    variant: str = VARIANT
    weights: Sequence[Path] = ()
    phase: str = "TEST"
    level: int = 0
    stages: Sequence[str] = ()
    input_shapes: Mapping[str, Shape] = field(default_factory=dict)
    dialect: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.weights and is_trained(self.net):
            object.__setattr__(self, "weights", (Path(self.net),))


def request_of(args: argparse.Namespace) -> Request:
    """The net that a command line asks for, with the options that its command has."""
    asked = vars(args)
    return Request(
        net=args.net,
        variant=asked.get("variant", VARIANT),
        weights=[Path(name) for name in (asked.get("weights") or "").split(",") if name],
        phase=asked.get("phase") or "TEST",
        level=asked.get("level") or 0,
        stages=asked.get("stage", ()),
        input_shapes=dict(asked.get("input_shape", ())),
        dialect=args.dialect,
    )


def read_file(request: Request, warn: Warn) -> NetFile:
    """The net's file, edited, with the dialect of each layer. Raises InputError, with file and line."""
    file = find_net(request.net, request.variant, warn, request.dialect)
    return settled(file, request.dialect, request.weights, warn)


def file_stem(file: NetFile, variant: str) -> str:
    """What a net's files are called: its name, else its file's, with the variant where that edits it."""
    name = (from_message(file.message.name) or file.path.stem).replace("/", "_")
    return name if variant == VARIANT else f"{name}-{variant}"


def wired(file: NetFile, request: Request, allow_python: bool = False) -> Graph:
    """The layers of the state asked for. Those of type Python are among them, for a deploy net may do without
    them: who runs what is left refuses them (:func:`converters.graph.refuse_python`). A class whose rule is
    known here is not run, but with ``allow_python``.

    Raises InputError, with file and line, and for the shape of an input that is not there.
    """
    if not allow_python:
        file = replace(file, message=with_known_classes(file.message))
    graph = graph_of(file, net_state(request.phase, request.level, request.stages), allow_python=True)
    check_input_shapes(graph, request.input_shapes)
    return graph


def built(graph: Graph, request: Request, warn: Warn) -> Network:
    """The module of the graph, or of a part of it, with the weights asked for. Raises InputError, with file
    and line.
    """
    inputs = {value.blob for value in graph.inputs}
    shapes = {blob: shape for blob, shape in request.input_shapes.items() if blob in inputs}
    return build(graph, request.phase, shapes, seed=request.seed, weights=request.weights, warn=warn)


def check_weights(part: Graph, request: Request) -> None:
    """Raise InputError for a weight file that holds nothing for any layer of ``part`` that learns: what the
    net answered would be its fillers' work.
    """
    layers = {node.layer.name for node in part.nodes if record_of(node.layer).learns}
    for path in request.weights:
        if layers and not layers & stored_blobs(path).keys():
            raise InputError(f"{path}: holds no blob for any layer of {request.net}: weights of another net")


def put_out(part: Graph, whole: Graph, softmax: bool, output_blobs: Sequence[str]) -> Graph:
    """What a file holds of ``part``, which is deployed of ``whole``: with the softmax of its losses, ended at
    ``output_blobs``. Raises InputError where there is no such loss or blob.
    """
    if softmax:
        part = with_softmax(part, whole)
    return ending_in(part, output_blobs) if output_blobs else part


def write_file(net: Network, part: Graph, path: Path, warn: Warn, write: Callable[..., bool]) -> None:
    """Have ``write`` make the ONNX file of ``part`` of the net; ``warn`` takes a line for what is in it
    otherwise than in the prototxt. Raises InputError where there cannot be such a file: none is written.
    """
    names = value_names(part)
    for value in part.outputs:
        if names[value] != value.blob:
            why = "an input has that name" if value.blob else "ONNX knows no empty name"
            warn(f'output "{value.blob}" is called "{names[value]}" in the ONNX file: {why}')
    write(net, path, graph=part, warn=warn)


def places_of(graph: Graph) -> Sequence[Path]:
    """Where the files that a net names are sought."""
    return (graph.file.path.parent, Path()) if graph.file else HERE
