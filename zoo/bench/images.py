"""The images that runs were trained and tested on, as ``zoo bench`` and ``zoo report`` take them."""

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import torch
from torch import Tensor

from converters.host.places import seek
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError
from zoo.bench.models import Model, run_graph
from zoo.runs.first_row import Rows, first_other_row, image_rows
from zoo.runs.identity import first_difference, of_classes_named
from zoo.runs.resume import say_sampled
from zoo.runs.run_folder import RunFolder
from zoo.runs.sums import RowSums
from zoo.tasks.classes import Classes
from zoo.terminal.progress import counting
from zoo.train.images.dataset import (
    ImageSet,
    check_labels,
    fingerprint,
    of_classes,
    open_images,
)
from zoo.train.images.decoding import Advance
from zoo.train.images.feed import ImageFeed
from zoo.train.images.names import names_beside
from zoo.train.planning.lists import list_param, sole_image_layer, sole_pair_layer, source_of
from zoo.variants.sizing import ignored_labels

_SEEN = {"TRAIN": "trained", "TEST": "tested"}


class OtherDataError(InputError):
    """A list, or its pictures, are not those that a run saw."""


class NoFigureError(InputError):
    """Nothing that is measured here is of labels such as a run's pictures have."""


def validation(model: Model) -> Iterator[tuple[Tensor, Tensor]]:
    """The validation list once, in batches, as the TEST net's data layer served it to the training."""
    yield from in_batches(judged_images(model))


def judged_images(model: Model) -> ImageSet:
    """The validation list's images that accuracy is over. Raises InputError as :func:`listed_images`, and
    NoFigureError for pictures of several labels whose net tells neither numbers nor distributions.
    """
    images = listed_images(model, "TEST")
    assert images is not None
    assert model.record is not None
    if not isinstance(model.task, Classes):
        return images
    if images.labels.ndim > 1:
        raise NoFigureError(f"pictures of {images.labels.shape[1]} labels each are not judged")
    return of_classes(images, model.record.get("classes"))


def decode_lists(models: Sequence[Model], keys: Sequence[str]) -> None:
    """Decode the models' lists into the cache, with a progress bar for each.

    A list that cannot be read is passed over: whoever needs it raises the error.
    """
    for model in models:
        for key in keys:
            if (listed := model.list_of(key)) and not model.reads_pairs:
                with suppress(InputError), counting(f"decoding {Path(listed['list']).name}") as advance:
                    listed_images(model, key, advance)


def _ignore(done: int, total: int) -> None:
    """No progress is shown of what is decoded already."""


def listed_images(model: Model, key: str, advance: Advance = _ignore) -> ImageSet | None:
    """The images of the run's TRAIN or TEST list as its TEST net's data layer reads them; of the list that
    ``elsewhere`` names in place of TEST.

    None where the run has no such list; where it was never tested, the TRAIN net's layer reads them. Raises
    OtherDataError where they are not what the run saw.
    """
    if model.record is None or model.folder is None or key not in model.record["data"]:
        return None
    layer = reading_layer(model.folder, key)
    path, places = whereabouts(model, key, layer)
    options = model.record.get("options", {})
    skip_bad, label_size = bool(options.get("skip_bad")), options.get("label_size")
    images = open_images(layer, path, places, advance, skip_bad, label_size)
    if key != "TEST" or model.elsewhere.list is None:
        _check_seen(model, key, images)
    return images


def check_classes(model: Model) -> None:
    """Raise InputError, with the first difference, where the list that --list names is of other classes than
    the run: a classes.txt beside it has other names or another order, or a label exceeds the run's classes.
    """
    path, record = model.elsewhere.list, model.record
    if path is None or record is None:
        return
    if model.reads_pairs:
        return
    ours, theirs = record.get("class_names"), names_beside(path)
    if ours and theirs and (other := first_difference(of_classes_named(ours), of_classes_named(theirs))):
        raise InputError(f"{path}: the classes.txt beside it has {other} as {model.where} was trained with")
    if (classes := record.get("classes")) and not record.get("options", {}).get("label_size"):
        layer = reading_layer(model.folder, "TEST") if model.folder else None
        check_labels(path, classes, ignored_labels(model.net.layer), ignores_negative=True, layer=layer)


def whereabouts(model: Model, key: str, layer: LayerParameter) -> tuple[Path, list[Path]]:
    """(a list's path, where its pictures are sought)."""
    elsewhere, record = model.elsewhere, model.record
    assert record is not None
    places = [Path(place) for place in record["places"]]
    if elsewhere.list is not None and key == "TEST":
        path = elsewhere.list.absolute()
        return path, [place for place in (elsewhere.root, path.parent, *places) if place is not None]
    path = Path(record["data"][key]["list"])
    if elsewhere.root is None:
        return path, places
    moved = elsewhere.root.absolute()
    moved_list = seek(source_of(layer), [moved]) or seek(path.name, [moved])
    return moved_list or path, [moved]


def _check_seen(model: Model, key: str, images: ImageSet) -> None:
    """Raise OtherDataError where a list or its pictures are not what the run saw. Of an earlier version's
    run, the validation list's pictures are compared where it knew them, and the training list's number.
    """
    assert model.record is not None
    about = model.record["data"][key]
    if "content" in about:
        rows = image_rows(images.layer, images.list_path, model.record.get("options", {}).get("label_size"))
        check_sums(model, key, images.list_path, (images.rows, images.content, images.row_sums), rows)
    else:
        say_sampled(Path(str(model.where)))
        has_rows = about.get("images") in (None, len(images.labels))
        if not has_rows or (key == "TEST" and about.get("fingerprint") not in (None, fingerprint(images))):
            raise _other(model, key, images.list_path, has_rows)


def check_sums(model: Model, key: str, path: Path, sums: tuple[str, str, RowSums], rows: Rows) -> None:
    """Raise OtherDataError where the list at ``path`` of those :func:`zoo.runs.sums.prints` is not what the
    run saw.
    """
    assert model.folder is not None and model.record is not None
    about = model.record["data"][key]
    if about["content"] != sums[1]:
        row = first_other_row(model.folder, key, path, sums[2], rows)
        raise _other(model, key, path, about.get("rows") == sums[0], f" (first {row})" if row else "")


def _other(model: Model, key: str, path: Path, has_rows: bool, first: str = "") -> OtherDataError:
    what = "its pictures are" if has_rows else "it is"
    return OtherDataError(
        f"{path}: {what} not what {model.where} was {_SEEN[key]} on{first}; --root names where its own "
        "pictures lie now, --list another list to judge by"
    )


def reading_layer(folder: RunFolder, key: str) -> LayerParameter:
    """The TEST net's data layer, of images or of images and label maps; for the training list with that
    list's own name and root folder. The TRAIN net's where the run was never tested.
    """
    graphs = {phase: graph for phase in ("TRAIN", "TEST") if (graph := run_graph(folder, phase))}
    layers = {
        phase: layer
        for phase, graph in graphs.items()
        if (layer := sole_image_layer(graph) or sole_pair_layer(graph))
    }
    layer = LayerParameter()
    layer.CopyFrom(layers.get("TEST") or layers["TRAIN"])
    if own := layers.get(key):
        ours, theirs = list_param(layer), list_param(own)
        ours.root_folder, ours.source = theirs.root_folder, theirs.source
    return layer


def in_batches(images: ImageSet) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image once: (N, C, H, W) data, cropped at the centre, not mirrored, and (N,) or (N, K) labels."""
    with closing(ImageFeed(images, False, 0, torch.device("cpu"))) as feed:
        count, size = len(images.labels), feed.batch_size
        for index in range(-(-count // size)):
            batch, rest = feed.batch(index), min(size, count - index * size)
            data, labels = (batch[top][:rest] for top in images.layer.top)
            yield data, labels.reshape(rest, *images.labels.shape[1:])
