"""The net that is verified, and the inputs that every engine is given."""

import argparse
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters.export.deploy import deploy
from converters.export.onnx_file import deploy_net
from converters.graph import Graph, refuse_python
from converters.network import Network
from eval.probe import probe_inputs
from eval.runtime import Feeds
from eval.verdict.recording import Recording
from prototxt.errors import InputError, about
from prototxt.net_file import NetFile
from zoo.classifier import picture_layer
from zoo.classify.reading import picture_of
from zoo.conversion import built, check_weights, read_file, request_of, wired
from zoo.preparation import Asked, Stated, prepare
from zoo.terminal.console import notice

_BATCH = 2  # so that what mixes the pictures of a batch shows


@dataclass(frozen=True)
class Verified:
    """A deployed net with its weights, the files it is of, and its inputs with, in words, what they are."""

    net: Network
    file: NetFile
    weights: tuple[Path, ...]
    feeds: Feeds
    fed: str
    recording: Recording | None


def verified(args: argparse.Namespace) -> Verified:
    """What the command line names. Raises InputError, with file, line, layer and blob."""
    request = request_of(args)
    if not request.weights:
        raise InputError(f"{args.net}: give its WEIGHTS, without which there is nothing to verify")
    reference = getattr(args, "reference", None)
    recording = Recording.read(Path(reference)) if reference else None
    if recording and args.image:
        raise InputError("--reference has the inputs that it was recorded with: leave out --image")
    file = read_file(request, notice)
    with file.located():
        graph = wired(file, request)
        part = deploy(graph)
        refuse_python(part.nodes)
        check_weights(part, request)
        net = _sized(deploy_net(built(part, request, notice)), recording, bool(request.input_shapes))
    feeds, fed = _inputs(net, graph, args, recording)
    return Verified(net, file, tuple(request.weights), feeds, fed, recording)


def _sized(net: Network, recording: Recording | None, is_asked: bool) -> Network:
    """The net for the recording's inputs, or else, where it can be, for a batch of two at most."""
    ours = {value.blob: tuple(net.shapes[value]) for value in net.graph.inputs}
    if recording:
        return _shaped(net, {blob: array.shape for blob, array in recording.inputs(list(ours)).items()})
    if not is_asked:
        with suppress(InputError):
            return _shaped(net, {blob: (min(s[0], _BATCH), *s[1:]) if s else s for blob, s in ours.items()})
    return net


def _shaped(net: Network, shapes: dict[str, tuple[int, ...]]) -> Network:
    if all(tuple(net.shapes[value]) == shapes[value.blob] for value in net.graph.inputs):
        return net
    return deploy_net(net, net.graph, shapes)


def _inputs(
    net: Network, graph: Graph, args: argparse.Namespace, recording: Recording | None
) -> tuple[Feeds, str]:
    if recording:
        return recording.inputs(net.inputs), f"what {recording.path} was recorded with"
    if args.image:
        return _picture(net, graph, args)
    return probe_inputs(net, None, args.seed), f"random numbers (--seed {args.seed})"


def _picture(net: Network, graph: Graph, args: argparse.Namespace) -> tuple[Feeds, str]:
    """The picture as the net's own data layer or the options prepare it, for each of the batch."""
    shapes = {value.blob: net.shapes[value] for value in net.graph.inputs}
    images = [blob for blob, shape in shapes.items() if len(shape) == 4 and shape[1] in (1, 3)]
    if len(images) != 1 or len(shapes) != 1:
        raise InputError(
            f"{args.net}: --image is for a net of one input that is a picture: {', '.join(shapes)}"
        )
    blob, shape = images[0], shapes[images[0]]
    own = picture_layer(graph, blob)
    folder = graph.file.path.parent if graph.file else Path()
    stated = Stated(own, f'layer "{own.name}"' if own else "", [Path(), folder])
    asked = Asked(args.mean, args.scale, args.channel_order, args.resize)
    preparation = prepare(stated, (shape[1], shape[2], shape[3]), asked, mean_a_channel=True)
    path = Path(args.image)
    with about(path):
        one = preparation.tensor([picture_of(preparation, path, own is not None)]).numpy()
    batch = np.ascontiguousarray(np.broadcast_to(one, tuple(shape)), np.float32)
    return {blob: batch}, f"{path}: {preparation}"
