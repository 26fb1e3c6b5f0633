"""The data layers of a run's nets, and the list files of those that read images."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from converters.data.images.lists import Entry
from converters.data.images.transform import check_resize
from converters.graph import Graph
from converters.host.places import missing, seek
from converters.layers.checks import positive
from converters.layers.data_tops import DataTops
from converters.layers.registry import record_of
from converters.solver.nets import NetSource
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError, of_layer

# Outputs that need no image each: a list may hold a few images of ImageNet's thousand classes.
_MOST_UNSEEN = 1000


def data_layers(graph: Graph) -> list[LayerParameter]:
    """The layers that a net is fed by, in order."""
    return [node.layer for node in graph.nodes if node.is_data]


def check_data(graph: Graph, key: str) -> None:
    """Raise InputError for a net that no file can feed, and for an ImageData that serves nothing."""
    for layer in data_layers(graph):
        with graph.located(), of_layer(layer):
            if layer.type == "Input":
                raise InputError(
                    f'the {key} net has "{layer.name}" (Input), which no file feeds: training needs a data '
                    "layer, such as ImageData"
                )
            tops = record_of(layer).data_tops
            if tops is not None and tops.is_list:
                positive(layer, batch_size=layer.image_data_param.batch_size)
                check_resize(layer)


def sole_image_layer(graph: Graph) -> LayerParameter | None:
    """The net's layer of a list of images where that alone feeds it: they are decoded once, and kept."""
    return _sole_layer(graph, lambda tops: tops.is_list)


def sole_pair_layer(graph: Graph) -> LayerParameter | None:
    """The net's layer of images and label maps where that alone feeds it."""
    return _sole_layer(graph, lambda tops: tops.are_pairs)


def _sole_layer(graph: Graph, is_such: Callable[[DataTops], bool]) -> LayerParameter | None:
    layers = data_layers(graph)
    tops = record_of(layers[0]).data_tops if len(layers) == 1 else None
    return layers[0] if tops is not None and is_such(tops) else None


def list_param(layer: LayerParameter) -> Any:
    """The message of a data layer that names its list and the folder that the list's names count from."""
    tops = record_of(layer).data_tops
    assert tops is not None
    return getattr(layer, tops.param)


def source_of(layer: LayerParameter) -> str:
    """The list that a data layer names."""
    return str(list_param(layer).source)


def find_lists(
    layers: dict[str, LayerParameter], nets: dict[str, NetSource], places: tuple[Path, ...], may_be_demo: bool
) -> dict[str, Path]:
    """The list file of each net; where none is found and it may be, the demo data set's, drawn if need be."""
    paths = {key: seek(source_of(layer), places) for key, layer in layers.items()}
    if layers and may_be_demo and not any(paths.values()):
        from zoo.data.command import ensure_demo

        return {key: ensure_demo(source_of(layer)) / source_of(layer) for key, layer in layers.items()}
    for key, layer in layers.items():
        if paths[key] is None:
            with nets[key].located(), of_layer(layer):
                raise _missing(source_of(layer), places)
    return {key: path for key, path in paths.items() if path}


def _missing(source: str, places: tuple[Path, ...]) -> InputError:
    """The error about a list that is nowhere, with what makes the usual ones of a folder of class folders."""
    from zoo.data.demo import TRAIN_LIST, VAL_LIST
    from zoo.data.folders import class_folders

    error = missing("list", source, places)
    classes = next((place for place in places[:1] if len(class_folders(place)) > 1), None)
    if classes is None or source not in (TRAIN_LIST, VAL_LIST):
        return error
    return InputError(f"{error}; `zoo data import {classes}` makes it of a folder a class")


def rival_lists(layers: dict[str, LayerParameter], lists: dict[str, Path], here: Path) -> list[str]:
    """A line for each list taken from --root where the current folder, Caffe's own place, has one too."""
    rivals = {path: here / source_of(layers[key]) for key, path in lists.items()}
    return [
        f"{path}: taken, as --root says, and not {other}"
        for path, other in rivals.items()
        if other.is_file() and not other.samefile(path)
    ]


Rows = Mapping[Path, Sequence[Entry]]  # of each list


def listed_classes(lists: dict[str, Path], rows: Rows, ignored: Collection[int] = ()) -> int | None:
    """The outputs that the lists' labels call for, but for those ``ignored``: the greatest one and 1; None
    where no label is left that counts.

    Raises InputError, naming list and line, for a label that calls for more outputs than there are images.
    """
    entries = [(path, entry) for path in lists.values() for entry in rows[path]]
    counted = [pair for pair in entries if pair[1].label >= 0 and pair[1].label not in ignored]
    if not counted:
        return None
    path, last = max(counted, key=lambda pair: pair[1].label)
    if last.label >= max(_MOST_UNSEEN, len(entries)):
        raise InputError(
            f"{path}:{last.line}: label {last.label} calls for {last.label + 1:,} outputs, and there are "
            f"{len(entries):,} images in the lists; labels count from 0 (--classes N allows it all the same)"
        )
    return last.label + 1


def untrained_labels(lists: dict[str, Path], rows: Rows, ignored: Collection[int] = ()) -> list[str]:
    """A line for each list with labels, other than those ``ignored``, that no image of the training list
    has, so that none is learned.
    """
    if "TRAIN" not in lists:
        return []
    trained = {entry.label for entry in rows[lists["TRAIN"]]} | set(ignored)
    lines = []
    for path, listed in rows.items():
        entries = [entry for entry in listed if entry.label not in trained]
        if entries:
            labels = sorted({entry.label for entry in entries})
            shown = ", ".join(map(str, labels[:5])) + (", …" if len(labels) > 5 else "")
            lines.append(
                f"{path}:{entries[0].line}: {len(entries)} images with labels never trained: {shown}"
            )
    return lines
