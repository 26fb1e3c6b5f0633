"""Nets that are named with their weights, as models to be measured."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from converters.export.deploy import deploy
from converters.export.metadata import Transform
from converters.export.onnx_file import deploy_message, file_net, onnx_model
from converters.graph import Graph, refuse_python
from converters.host.places import existing_folder, seek
from converters.layers.registry import record_of
from converters.network import Network
from eval.parity import write_onnx
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError, nearest
from prototxt.net_file import NetFile
from prototxt.rawbytes import from_message
from zoo import catalogue
from zoo.bench.masked import Masked, masked
from zoo.bench.models import Given, Model
from zoo.bench.pictures import Listed, Pictures, list_of_folder, listed, numbered, stored
from zoo.classifier import Classifier, classifier_of, ends_in_softmax_loss, picture_layer
from zoo.cli.choices import ORDERS
from zoo.conversion import Request, built, check_weights, places_of, put_out, read_file, wired, write_file
from zoo.preparation import Asked, Preparation, Stated, asked_of, prepare
from zoo.tasks.classes import Classes
from zoo.tasks.maps import Maps
from zoo.tasks.told import least_values, task_of, told_by_labels
from zoo.terminal.console import notice
from zoo.train.images.dataset import class_names
from zoo.train.planning.lists import source_of
from zoo.variants.sizing import ignored_labels


class UnjudgedError(InputError):
    """There is nothing that a net's accuracy could be measured over, or no accuracy to be measured."""


@dataclass(frozen=True)
class _Net:
    """A net with its weights: the whole graph of its phase, and the module of what is deployed of it."""

    name: str
    request: Request
    graph: Graph
    net: Network


@dataclass(frozen=True)
class _Judging:
    """What the command line says that nets are judged by: a list, what tables call it, the class folders that
    it was made of, where its pictures lie, and how they become inputs.
    """

    list: Path | None
    name: str
    folders: int | None
    root: Path | None
    asked: Asked

    @classmethod
    def of(cls, args: argparse.Namespace) -> "_Judging":
        """Raises InputError for a list or folder that is not there, and for both."""
        if args.list and args.data:
            raise InputError("--list and --data both say what to judge by: give one of them")
        if args.list and not Path(args.list).is_file():
            raise InputError(f"--list {args.list}: no such file")
        path, folders = list_of_folder(Path(args.data)) if args.data else (args.list, None)
        root = existing_folder(args.root, "--root ").absolute() if args.root else None
        name = args.data or args.list or ""
        return cls(Path(path) if path else None, name, folders, root, asked_of(args))


def given_nets(args: argparse.Namespace, scratch: Path) -> list[Model]:
    """A model for each NET and NET=WEIGHTS of the command line, its ONNX file in ``scratch``.

    A line for each says what it is judged by, or why by nothing, and of one that ONNX cannot have why it is
    left out.
    Raises InputError for what cannot be read, for weights of another net, for a list that does not fit a net,
    and where none can be exported.
    """
    requests = _requests(args)
    files = [read_file(request, notice) for request in requests]
    judging = _Judging.of(args)
    models: list[Model] = []
    refused: list[InputError] = []
    for index, (name, file, request) in enumerate(zip(_names(files, requests), files, requests, strict=True)):
        with file.located():
            graph = wired(file, request)
            part = put_out(deploy(graph), graph, False, args.output_blob)
            refuse_python(part.nodes)
            check_weights(part, request)
            net = built(part, request, notice)
        it = _Net(name, request, graph, net)
        pictures, why = _judged_by(it, judging)
        try:
            models.append(_model(it, pictures, why, judging.asked, scratch / f"{index}.onnx"))
        except InputError as error:
            refused.append(error.reworded(f"{name}: left out: {error.with_layer()}"))
    if not models:
        raise refused[0]
    for each in refused:
        notice(str(each))
    return models


def _judged_by(it: _Net, judging: _Judging) -> tuple[Pictures | None, str | None]:
    """What the net is judged by; else None, and why by nothing. A line says it."""
    try:
        pictures = _pictures(it, judging)
    except UnjudgedError as error:
        notice(f"{it.name}: no accuracy: {error}")
        return None, str(error)
    notice(f"{it.name}: judged by {pictures.count:,} of {pictures.name}, {pictures.preparation}")
    return pictures, None


def _model(it: _Net, pictures: Pictures | None, why: str | None, asked: Asked, path: Path) -> Model:
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
    any_size = isinstance(pictures, Masked) and takes_any_size(it)
    write = partial(write_onnx, classes=names, transform=transform, dynamic_size=any_size)
    write_file(it.net, part, path, notice, write)
    softmax = ends_in_softmax_loss(it.graph, part)
    given = Given(part, tuple(it.request.weights), pictures, why, softmax, task, names)
    return Model(it.name, path, deploy_message(it.net), given=given)


def takes_any_size(it: _Net) -> bool:
    """Whether the net's ONNX file can be one for pictures of any size."""
    try:
        onnx_model(file_net(it.net, it.net.graph), dynamic_size=True)
    except InputError:
        return False
    return True


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


def _pictures(it: _Net, judging: _Judging) -> Pictures:
    """What the net is judged by. Raises UnjudgedError where there is nothing."""
    task = task_of(it.graph)
    try:
        found = classifier_of(it.net, least_values(task), may_be_map=True)
    except InputError as error:
        raise UnjudgedError(str(error)) from None
    own = picture_layer(it.graph, found.input)
    if judging.list is None and own is None:
        raise UnjudgedError("no --list, no --data, and no data layer of its own that reads pictures")
    if not it.request.weights:
        raise UnjudgedError("no weights were given")
    if found.is_map and judging.folders is not None:
        raise InputError(
            f"--data {judging.name}: has class folders, and {it.name} tells label maps: give a --list"
        )
    if judging.folders not in (None, found.classes):
        raise InputError(
            f"--data {judging.name}: has {judging.folders} class folders, and {it.name} scores "
            f"{found.classes} classes: give a list"
        )
    folder = it.graph.file.path.parent if it.graph.file else Path()
    places = [place for place in (judging.root, Path(), folder) if place is not None]
    tops = record_of(own).data_tops if own is not None else None
    if found.is_map:
        if judging.list is None and not (tops and tops.are_pairs):
            raise UnjudgedError("no --list, and no data layer of its own that reads label maps")
        path = judging.list or _own_list(own, places)
        return masked(path, judging.name or str(path), own, found, judging.asked, places, takes_any_size(it))
    if judging.list is None and own is not None and not (tops and tops.is_list):
        return _stored(own, found, judging.asked, places)
    path = judging.list or _own_list(own, places)
    ignored = frozenset(ignored_labels(it.graph.file.message.layer if it.graph.file else ()))
    preparation = _preparation(own, found, judging.asked, places)
    if not isinstance(task, Classes):
        return numbered(path, judging.name or str(path), preparation, places, found.classes)
    return listed(path, judging.name or str(path), preparation, places, found.classes, ignored)


def _own_list(own: LayerParameter | None, places: Sequence[Path]) -> Path:
    assert own is not None
    path = seek(source_of(own), places)
    if path is None:
        raise UnjudgedError(f'the list of layer "{own.name}", {source_of(own)}, is not there')
    return path


def _stored(own: LayerParameter, found: Classifier, asked: Asked, places: Sequence[Path]) -> Pictures:
    """The net's own database."""
    try:
        pictures = stored(own, _preparation(own, found, asked, places, as_stored=True), places, found.classes)
    except InputError as error:
        if asked.options:  # they are what is wrong
            raise
        raise UnjudgedError(error.with_layer()) from None
    if pictures is None:
        raise UnjudgedError(f'layer "{own.name}", {own.type}, reads no pictures with one label each')
    return pictures


def _preparation(
    own: LayerParameter | None,
    found: Classifier,
    asked: Asked,
    places: Sequence[Path],
    as_stored: bool = False,
) -> Preparation:
    origin = f'layer "{own.name}"' if own is not None else ""
    return prepare(Stated(own, origin, places), found.shape, asked, as_stored=as_stored)
