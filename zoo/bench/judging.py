"""What nets that are named with their weights are judged by: a list, a folder, or their own data layer."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.export.onnx_file import file_net, onnx_model
from converters.graph import Graph
from converters.host.places import existing_folder, seek
from converters.layers.data_tops import DataTops
from converters.layers.registry import record_of
from converters.network import Network
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError
from zoo.bench.masked import masked
from zoo.bench.pictures import Pictures, list_of_folder, listed, numbered, stored
from zoo.classifier import Classifier, classifier_of, picture_layer
from zoo.conversion import Request
from zoo.preparation import Asked, Preparation, Stated, asked_of, prepare
from zoo.tasks.classes import Classes
from zoo.tasks.told import least_values, task_of
from zoo.terminal.console import notice
from zoo.train.planning.lists import source_of
from zoo.variants.sizing import ignored_labels


class UnjudgedError(InputError):
    """There is nothing that a net's accuracy could be measured over, or no accuracy to be measured."""


@dataclass(frozen=True)
class WeightedNet:
    """A net with its weights: the whole graph of its phase, and the module of what is deployed of it."""

    name: str
    request: Request
    graph: Graph
    net: Network

    @property
    def takes_any_size(self) -> bool:
        """Whether its ONNX file can be one for pictures of any size."""
        try:
            onnx_model(file_net(self.net, self.net.graph), dynamic_size=True)
        except InputError:
            return False
        return True


@dataclass(frozen=True)
class Judging:
    """What the command line says that nets are judged by: a list, what tables call it, how many class folders
    it was made of, where its pictures lie, and how they become inputs.
    """

    list: Path | None
    name: str
    folders: int | None
    root: Path | None
    asked: Asked

    @classmethod
    def of(cls, args: argparse.Namespace) -> "Judging":
        """Raises InputError for a list or folder that is not there, and for both."""
        if args.list and args.data:
            raise InputError("--list and --data both say what to judge by: give one of them")
        if args.list and not Path(args.list).is_file():
            raise InputError(f"--list {args.list}: no such file")
        path, folders = list_of_folder(Path(args.data)) if args.data else (args.list, None)
        root = existing_folder(args.root, "--root ").absolute() if args.root else None
        name = args.data or args.list or ""
        return cls(Path(path) if path else None, name, folders, root, asked_of(args))

    def places(self, graph: Graph) -> Sequence[Path]:
        """Where a net's pictures are sought."""
        folder = graph.file.path.parent if graph.file else Path()
        return [place for place in (self.root, Path(), folder) if place is not None]

    def path(self, own: LayerParameter | None, places: Sequence[Path]) -> Path:
        """The list, else that of the net's ``own`` data layer. Raises UnjudgedError where it is not there."""
        if self.list is not None:
            return self.list
        assert own is not None
        path = seek(source_of(own), places)
        if path is None:
            raise UnjudgedError(f'the list of layer "{own.name}", {source_of(own)}, is not there')
        return path


def judged_by(it: WeightedNet, judging: Judging) -> tuple[Pictures | None, str | None]:
    """What the net is judged by; else None, and why by nothing. A line says it. Raises InputError for a list
    or folder that does not fit the net.
    """
    try:
        pictures = _pictures(it, judging)
    except UnjudgedError as error:
        notice(f"{it.name}: no accuracy: {error}")
        return None, str(error)
    notice(f"{it.name}: judged by {pictures.count:,} of {pictures.name}, {pictures.preparation}")
    return pictures, None


def _pictures(it: WeightedNet, judging: Judging) -> Pictures:
    """Raises UnjudgedError where there is nothing."""
    try:
        found = classifier_of(it.net, least_values(task_of(it.graph)), may_be_map=True)
    except InputError as error:
        raise UnjudgedError(str(error)) from None
    own = picture_layer(it.graph, found.input)
    if judging.list is None and own is None:
        raise UnjudgedError("no --list, no --data, and no data layer of its own that reads pictures")
    if not it.request.weights:
        raise UnjudgedError("no weights were given")
    _check_folders(it.name, found, judging)
    return (_with_maps if found.is_map else _with_labels)(it, judging, found, own)


def _check_folders(name: str, found: Classifier, judging: Judging) -> None:
    """Raise InputError for class folders that are not the net's classes."""
    if found.is_map and judging.folders is not None:
        raise InputError(
            f"--data {judging.name}: has class folders, and {name} tells label maps: give a --list"
        )
    if judging.folders not in (None, found.classes):
        raise InputError(
            f"--data {judging.name}: has {judging.folders} class folders, and {name} scores "
            f"{found.classes} classes: give a list"
        )


def _with_maps(it: WeightedNet, judging: Judging, found: Classifier, own: LayerParameter | None) -> Pictures:
    tops, places = _tops(own), judging.places(it.graph)
    if judging.list is None and not (tops and tops.are_pairs):
        raise UnjudgedError("no --list, and no data layer of its own that reads label maps")
    path = judging.path(own, places)
    return masked(path, judging.name or str(path), own, found, judging.asked, places, it.takes_any_size)


def _with_labels(
    it: WeightedNet, judging: Judging, found: Classifier, own: LayerParameter | None
) -> Pictures:
    tops, places = _tops(own), judging.places(it.graph)
    if judging.list is None and own is not None and not (tops and tops.is_list):
        return _stored(own, found, judging.asked, places)
    path, preparation = judging.path(own, places), _preparation(own, found, judging.asked, places)
    name = judging.name or str(path)
    if not isinstance(task_of(it.graph), Classes):
        return numbered(path, name, preparation, places, found.classes)
    ignored = frozenset(ignored_labels(it.graph.file.message.layer if it.graph.file else ()))
    return listed(path, name, preparation, places, found.classes, ignored)


def _tops(own: LayerParameter | None) -> DataTops | None:
    return record_of(own).data_tops if own is not None else None


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
