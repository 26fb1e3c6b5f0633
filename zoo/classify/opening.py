"""What ``zoo classify`` asks: a net with its weights, an ONNX file, or a run of ``zoo train``."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from converters.export.deploy import deploy
from converters.export.onnx_file import deploy_net
from converters.graph import Graph, refuse_python
from converters.network import Network
from eval.accuracy import finite, run_outputs, run_scores
from eval.runtime import input_shapes, metadata_of, open_session
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError, about
from zoo.bench.models import find_runs, run_graph
from zoo.classifier import Classifier, classifier, classifier_of, ends_in_softmax_loss, picture_layer
from zoo.cli.choices import ORDERS
from zoo.conversion import Request, built, check_weights, put_out, read_file, request_of, wired
from zoo.preparation import Stated
from zoo.tasks.classes import Classes
from zoo.tasks.distributions import Distributions
from zoo.tasks.numbers import Numbers
from zoo.tasks.task import Task
from zoo.tasks.told import least_values, task_of
from zoo.terminal.console import notice

CLASSES = Classes()
_FREE = (1, 1, 2, 2)  # stands for axes of an output that are of any length: a batch, height and width


@dataclass(frozen=True)
class Opened:
    """A classifier, or a net that tells numbers: ``scores`` of (N, channels, height, width) pictures, (N,
    classes), or of one that tells each pixel's class (N, classes, height, width); what it says of how these
    are made, the ``names`` of its classes, where it has them, and what it tells. ``any_size``: pictures may
    be of other sizes than its input, where its layers take them.
    """

    scores: Callable[[Tensor], Tensor]
    found: Classifier
    stated: Stated
    names: Sequence[str] = ()
    task: Task = CLASSES
    any_size: bool = False


def opened(args: argparse.Namespace) -> Opened:
    """The classifier that --net names. Raises InputError, naming it, for what is none."""
    path = Path(args.net)
    is_whole = path.is_dir() or path.suffix == ".onnx"
    if is_whole and args.weights:
        raise InputError(f"--weights: {path} has its own")
    if path.suffix == ".onnx" and not path.is_dir():
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        if args.output_blob:
            raise InputError(f"--until: {path} ends where it was written to end")
        return _of_onnx(path)
    return _of_run(path, args.output_blob) if path.is_dir() else _of_net(args)


def _of_net(args: argparse.Namespace) -> Opened:
    request = request_of(args)
    if not request.weights:
        raise InputError(f"{args.net}: give its --weights, without which it says nothing")
    file = read_file(request, notice)
    with file.located():
        graph = wired(file, request)
        net = _module(graph, request, args.output_blob)
    return _of_module(net, graph, args.net, [Path(), file.path.parent], task=task_of(graph))


def _of_run(folder: Path, output_blobs: Sequence[str]) -> Opened:
    """A finished run, with the transform of its TEST net, ended at ``output_blobs`` where there are any."""
    models, _ = find_runs(folder)
    if len(models) > 1:
        raise InputError(f"{folder}: holds {len(models)} finished runs: name one of them")
    run, record = models[0].folder, models[0].record
    assert run is not None and record is not None
    graph = run_graph(run, "TEST") or run_graph(run, "TRAIN")
    assert graph is not None
    inputs, batch = models[0].inputs  # the prototxt may leave the size to the pictures
    shapes = {name: (batch or 1, *shape) for name, shape in inputs.items()}
    net = _module(graph, Request(net=str(run.net), weights=[run.weights], input_shapes=shapes), output_blobs)
    names = record.get("class_names") or ()
    places = [run.path, *map(Path, record["places"])]
    return _of_module(net, graph, str(folder), places, names, models[0].task)


def _module(graph: Graph, request: Request, output_blobs: Sequence[str]) -> Network:
    """What of the graph is deployed, with the softmax of its loss, for one picture at a time."""
    whole = deploy(graph)
    if ends_in_softmax_loss(graph, whole):  # with several ends messages name these probabilities
        whole = put_out(whole, graph, True, ())
    part = put_out(whole, graph, False, output_blobs)
    if output_blobs and ends_in_softmax_loss(graph, part):
        part = put_out(part, graph, True, ())
    refuse_python(part.nodes)
    check_weights(part, request)
    net = built(part, request, notice)
    return deploy_net(net, part, {value.blob: (1, *net.shapes[value][1:]) for value in part.inputs})


def _of_module(
    net: Network,
    graph: Graph,
    name: str,
    places: Sequence[Path],
    names: Sequence[str] = (),
    task: Task = CLASSES,
) -> Opened:
    with about(name):
        found = classifier_of(net, least_values(task), may_be_map=True)
    own = picture_layer(graph, found.input)

    def scores(pictures: Tensor) -> Tensor:
        with torch.no_grad():
            if found.is_map:
                sized = deploy_net(net, net.graph, {found.input: tuple(pictures.shape)})
                return finite(sized(pictures))
            return finite(torch.cat([net(each[None]).flatten(1) for each in pictures]))

    origin = f'layer "{own.name}"' if own else "classification.bin"
    fits = len(names) == found.classes
    return Opened(scores, found, Stated(own, origin, places), names if fits else (), task, found.is_map)


def _of_onnx(path: Path) -> Opened:
    """An ONNX file, with the transform and the classes that its metadata has."""
    inputs, batch = input_shapes(path)
    session, entries = open_session(path), metadata_of(path)
    shapes = {name: [batch or 1, *shape] for name, shape in inputs.items()}
    any_size = any(0 in shape for shape in inputs.values())
    if size := entries.get("input_size"):
        shapes = {name: [*shape[:2], *size] if len(shape) == 4 else shape for name, shape in shapes.items()}
    outputs = {
        output.name: [size if isinstance(size, int) else _FREE[at] for at, size in enumerate(output.shape)]
        for output in session.get_outputs()
    }
    with about(path):
        found = classifier(shapes, outputs, least=1, may_be_map=True)
    names = entries.get("classes")
    names = names if isinstance(names, list) and len(names) == found.classes else []

    def scores(pictures: Tensor) -> Tensor:
        with about(path):
            return run_outputs(session, pictures) if found.is_map else run_scores(session, pictures)

    task = _task(entries.get("task"), found)
    return Opened(scores, found, _stated(path, entries), list(map(str, names)), task, any_size)


def _task(said: object, found: Classifier) -> Task:
    """What a file's metadata say that it tells; without a word one value is a number."""
    if said == Distributions.name:
        return Distributions()
    return Numbers() if said == Numbers.name or found.classes == 1 else CLASSES


def _stated(path: Path, entries: Mapping[str, Any]) -> Stated:
    """What an ONNX file's metadata say. Raises InputError where they are no numbers."""
    own, order = LayerParameter(name=path.name), entries.get("channel_order")
    try:
        own.transform_param.mean_value.extend(entries.get("mean") or [])
        own.transform_param.scale = entries.get("scale", 1)
    except TypeError as error:
        raise InputError(
            f"{path}: its metadata have another mean or scale than zoo convert writes"
        ) from error
    return Stated(own, f"the metadata of {path.name}", order=order if order in ORDERS else ORDERS[0])
