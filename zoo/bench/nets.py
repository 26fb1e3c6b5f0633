"""Nets that are named with their weights, as models to be measured."""

import argparse
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from converters.export.deploy import deploy
from converters.export.metadata import Transform
from converters.export.onnx_file import deploy_message
from converters.graph import refuse_python
from eval.parity import write_onnx
from prototxt.errors import InputError, nearest
from prototxt.net_file import NetFile
from prototxt.rawbytes import from_message
from zoo import catalogue
from zoo.bench.judging import Judging, WeightedNet, judged_by
from zoo.bench.masked import Masked
from zoo.bench.models import Given, Model
from zoo.bench.pictures import Listed, Pictures
from zoo.classifier import classifier_of, ends_in_softmax_loss
from zoo.cli.choices import ORDERS
from zoo.conversion import Request, built, check_weights, places_of, put_out, read_file, wired, write_file
from zoo.preparation import Asked
from zoo.tasks.classes import Classes
from zoo.tasks.maps import Maps
from zoo.tasks.told import task_of, told_by_labels
from zoo.terminal.console import notice
from zoo.train.images.names import class_names


def given_nets(args: argparse.Namespace, scratch: Path) -> list[Model]:
    """A model for each NET and NET=WEIGHTS of the command line, its ONNX file in ``scratch``.

    A line for each says what it is judged by, or why by nothing, and of one that ONNX cannot have why it is
    left out.
    Raises InputError for what cannot be read, for weights of another net, for a list that does not fit a net,
    and where none can be exported.
    """
    requests = _requests(args)
    files = [read_file(request, notice) for request in requests]
    judging = Judging.of(args)
    models: list[Model] = []
    refused: list[InputError] = []
    for index, (name, file, request) in enumerate(zip(_names(files, requests), files, requests, strict=True)):
        with file.located():
            graph = wired(file, request)
            part = put_out(deploy(graph), graph, False, args.output_blob)
            refuse_python(part.nodes)
            check_weights(part, request)
            net = built(part, request, notice)
        it = WeightedNet(name, request, graph, net)
        pictures, why = judged_by(it, judging)
        try:
            models.append(_model(it, pictures, why, judging.asked, scratch / f"{index}.onnx"))
        except InputError as error:
            refused.append(error.reworded(f"{name}: left out: {error.with_layer()}"))
    if not models:
        raise refused[0]
    for each in refused:
        notice(str(each))
    return models


def _model(it: WeightedNet, pictures: Pictures | None, why: str | None, asked: Asked, path: Path) -> Model:
    """Raises InputError where ONNX cannot have the net."""
    images = pictures.images if isinstance(pictures, Listed) else None
    task = told_by_labels(task_of(it.graph), images.labels) if images else task_of(it.graph)
    names: Sequence[str] = ()
    if isinstance(pictures, Masked):
        task, names = task if isinstance(task, Maps) else Maps(), pictures.class_names
    elif images and isinstance(task, Classes):
        names = class_names(images.list_path, classifier_of(it.net).classes)
    part = it.net.graph
    transform = Transform(asked.mean or "", asked.scale, asked.order or ORDERS[0], places_of(part))
    any_size = isinstance(pictures, Masked) and it.takes_any_size
    write = partial(write_onnx, classes=names, transform=transform, dynamic_size=any_size)
    write_file(it.net, part, path, notice, write)
    softmax = ends_in_softmax_loss(it.graph, part)
    given = Given(part, tuple(it.request.weights), pictures, why, softmax, task, names)
    return Model(it.name, path, deploy_message(it.net), given=given)


def _requests(args: argparse.Namespace) -> list[Request]:
    pairs = [_pair(text) for text in dict.fromkeys(args.measured)]
    for net, _ in pairs:
        if not os.path.lexists(net) and net.removesuffix(".prototxt") not in catalogue.nets():
            raise InputError(
                f"{net}: no such folder of runs, no such prototxt, and no shipped net of that name"
                f"{nearest(net, catalogue.nets())}"
            )
    if args.weights and (len(pairs) > 1 or pairs[0][1]):
        raise InputError("--weights is for one NET; write several as NET=WEIGHTS")
    return [
        Request(
            net=net,
            weights=[Path(name) for name in (args.weights or weights).split(",") if name],
            input_shapes=dict(args.input_shape),
            dialect=args.dialect,
        )
        for net, weights in pairs
    ]


def _pair(text: str) -> tuple[str, str]:
    """A NET and its WEIGHTS; the name of a file that is there may have a = in it."""
    net, _, weights = (text, "", "") if Path(text).is_file() else text.partition("=")
    return net, weights


def _names(files: Sequence[NetFile], requests: Sequence[Request]) -> list[str]:
    """The nets' names; with their weights' or else their paths, where they are not all different."""
    names = [from_message(file.message.name) or file.path.stem for file in files]
    weights = [",".join(map(str, request.weights)) for request in requests]
    if len(set(names)) < len(names):
        stems = [Path(each).name or "no weights" for each in weights]
        names = [f"{name} ({stem})" for name, stem in zip(names, stems, strict=True)]
    if len(set(names)) < len(names):
        names = [f"{request.net}={each}" for request, each in zip(requests, weights, strict=True)]
    return names
