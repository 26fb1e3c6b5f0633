"""The nets that ``zoo bench`` measures, and the images that their runs were trained and tested on."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from converters.deploy import deploy
from converters.graph import Graph, build_graph, net_state
from converters.network import Network
from converters.places import existing_folder, seek
from eval.runtime import input_shapes
from prototxt.caffe_pb2 import LayerParameter, NetParameter, NetState
from prototxt.errors import InputError
from prototxt.text import read_net, read_solver
from zoo.dataset import ImageSet, fingerprint, of_classes, open_images
from zoo.decoding import Advance
from zoo.display import counting
from zoo.feed import Feed
from zoo.identity import as_key, of_message
from zoo.lists import sole_image_layer
from zoo.nets import read_nets
from zoo.resume import say_sampled
from zoo.run_folder import RunFolder, read_record
from zoo.sizing import resize_input

_SEEN = {"TRAIN": "trained", "TEST": "tested"}
# What is read of a finished run's record, and would not be in another program's run.json.
_RECORD = {"name": str, "variant": str, "head": str, "seed": int, "iteration": int, "data": dict}


class OtherDataError(InputError):
    """A list, or its pictures, are not those that a run saw."""


@dataclass(frozen=True)
class Elsewhere:
    """Where the user says that runs' data is: ``root`` holds lists and pictures that have moved, ``list`` is
    to be judged by in place of the runs' own validation lists.
    """

    root: Path | None = None
    list: Path | None = None


HERE = Elsewhere()  # where the runs say that it is


@dataclass(frozen=True)
class Model:
    """A deploy net to be measured, with the run it comes from, if any."""

    name: str
    path: Path
    net: NetParameter
    folder: RunFolder | None = None
    record: dict[str, Any] | None = None
    elsewhere: Elsewhere = HERE

    @property
    def where(self) -> str | None:
        """The run folder as it was given; None without a run."""
        return str(self.folder.path) if self.folder else None

    @cached_property
    def deploys(self) -> object:
        """What models of one deploy net have in common, so that one's latency is the other's: the net, the
        state that its layers are kept by, and the sizes that it takes.
        """
        state = read_solver(self.folder.solver).train_state if self.folder else NetState()
        return as_key(of_message(self.net)), as_key(of_message(state)), repr(self.inputs)

    @cached_property
    def inputs(self) -> tuple[dict[str, list[int]], int | None]:
        """As :func:`eval.runtime.input_shapes` says."""
        return input_shapes(self.path)


def find_runs(folder: Path) -> tuple[list[Model], list[str]]:
    """(the finished runs at or below ``folder``, a line about each other one). Raises InputError for none."""
    existing_folder(folder)
    models: list[Model] = []
    left_out: list[str] = []
    for path in sorted(folder.rglob("run.json")):
        try:
            models.append(_finished(RunFolder(path.parent, "")))
        except InputError as error:
            left_out.append(f"{error}, left out")
    if not models:
        why = f" ({left_out[0]})" if left_out else ""
        raise InputError(
            f"{folder}: holds no finished run; `zoo train` makes one, --untrained needs none{why}"
        )
    return models, left_out


def _finished(run: RunFolder) -> Model:
    """A folder's run. Raises InputError for one that is not finished, and a run.json of another program."""
    record = read_record(run.path) or {}
    if not record.get("finished") or not run.model.is_file():
        raise InputError(f"{run.path}: not finished")
    if lacking := [key for key, kind in _RECORD.items() if not isinstance(record.get(key), kind)]:
        raise InputError(
            f"{run.path / 'run.json'}: is no record of a run: {', '.join(lacking)} not as in one"
        )
    return Model(record["name"], run.model, read_net(run.net), run, record)


def run_graph(folder: RunFolder, key: str, size: int | None = None) -> Graph | None:
    """The run's net of ``key`` in the very state that it was trained or tested in, made for another input
    ``size`` if given; None without one.
    """
    solver = read_solver(folder.solver)
    source = read_nets(solver, folder.solver, (folder.path,)).get(key)
    if source is None:
        return None
    if size is not None:
        resize_input(source.message, size)
    return source.graph()


def deployed(model: Model) -> Network:
    """The net of the model's ONNX file in PyTorch, weights and all."""
    shapes, batch = model.inputs
    if model.folder is None:
        return _deploy(build_graph(model.net, net_state("TEST")), shapes, batch or 1, fill=True)
    graph = run_graph(model.folder, "TRAIN")
    assert graph is not None
    net = _deploy(graph, shapes, batch or 1, fill=None)
    net.load_weights(model.folder.weights)
    return net


def _deploy(graph: Graph, inputs: dict[str, list[int]], batch: int, fill: bool | None) -> Network:
    """The graph's deploy net, its inputs of the ONNX file's shapes."""
    shapes = {name: (batch, *shape) for name, shape in inputs.items()}
    return Network(deploy(graph), "TEST", shapes, fill_blobs=fill)


def validation(model: Model) -> Iterator[tuple[Tensor, Tensor]]:
    """The validation list once, in batches, as the TEST net's data layer served it to the training."""
    images = listed_images(model, "TEST")
    assert images is not None
    assert model.record is not None
    yield from in_batches(of_classes(images, model.record.get("classes")))


def calibration(model: Model, count: int) -> Iterator[dict[str, np.ndarray[Any, np.dtype[np.float32]]]]:
    """``count`` images spread evenly over the run's training list, under the TEST transform, by input.

    Random pixels, as many, for a net without a training list.
    """
    images = listed_images(model, "TRAIN")
    if images is None:
        yield from _random_pixels(model, count)
        return
    rows = np.linspace(0, len(images.labels) - 1, min(count, len(images.labels))).astype(int)
    chosen = replace(images, pixels=images.pixels[rows], labels=images.labels[rows])
    (name,) = model.inputs[0]
    for data, _ in in_batches(chosen):
        yield {name: data.contiguous().numpy()}


def has_training_images(model: Model) -> bool:
    """Whether :func:`calibration` has more than random pixels."""
    return model.record is not None and "TRAIN" in model.record["data"] and len(model.inputs[0]) == 1


def _random_pixels(model: Model, count: int) -> Iterator[dict[str, np.ndarray[Any, np.dtype[np.float32]]]]:
    shapes, batch = model.inputs
    drawn = np.random.Generator(np.random.PCG64(1))
    for _ in range(-(-count // (batch or 16))):
        yield {
            name: drawn.uniform(-128, 128, (batch or 16, *shape)).astype(np.float32)
            for name, shape in shapes.items()
        }


def decode(models: Sequence[Model], keys: Sequence[str]) -> None:
    """Have the models' lists decoded and kept, so that what follows finds them; a progress bar for each.

    What cannot be read is said where it is needed.
    """
    for model in models:
        for key in keys:
            listed = model.record and model.record["data"].get(key)
            if listed:
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
    layer = _reading_layer(model.folder, key)
    path, places = _whereabouts(model, key, layer)
    options = model.record.get("options", {})
    skip_bad, label_size = bool(options.get("skip_bad")), options.get("label_size")
    images = open_images(layer, path, places, advance, skip_bad, label_size)
    if key != "TEST" or model.elsewhere.list is None:
        _check_seen(model, key, images)
    return images


def _whereabouts(model: Model, key: str, layer: LayerParameter) -> tuple[Path, list[Path]]:
    """(a list's path, where its pictures are sought)."""
    given, record = model.elsewhere, model.record
    assert record is not None
    places = [Path(place) for place in record["places"]]
    if given.list is not None and key == "TEST":
        path = given.list.absolute()
        return path, [place for place in (given.root, path.parent, *places) if place is not None]
    path = Path(record["data"][key]["list"])
    if given.root is None:
        return path, places
    moved = given.root.absolute()
    found = seek(layer.image_data_param.source, [moved]) or seek(path.name, [moved])
    return found or path, [moved]


def _check_seen(model: Model, key: str, images: ImageSet) -> None:
    """Raise OtherDataError where a list or its pictures are not what the run saw. Of an earlier version's
    run, the validation list's pictures are compared where it knew them, and the training list's number.
    """
    assert model.record is not None
    held = model.record["data"][key]
    if "content" in held:
        is_same, has_rows = held["content"] == images.content, held.get("rows") == images.rows
    else:
        say_sampled(Path(str(model.where)))
        has_rows = held.get("images") in (None, len(images.labels))
        is_same = has_rows and (key != "TEST" or held.get("fingerprint") in (None, fingerprint(images)))
    if not is_same:
        what = "its pictures are" if has_rows else "it is"
        raise OtherDataError(
            f"{images.list_path}: {what} not what {model.where} was {_SEEN[key]} on; --root names where its "
            "own pictures lie now, --list another list to judge by"
        )


def _reading_layer(folder: RunFolder, key: str) -> LayerParameter:
    """The TEST net's data layer; for the training list with that list's own name and root folder."""
    layers = {
        phase: sole_image_layer(graph) for phase in ("TRAIN", "TEST") if (graph := run_graph(folder, phase))
    }
    layer = LayerParameter()
    layer.CopyFrom(layers.get("TEST") or layers["TRAIN"])  # type: ignore[arg-type]
    if own := layers.get(key):
        layer.image_data_param.root_folder = own.image_data_param.root_folder
        layer.image_data_param.source = own.image_data_param.source
    return layer


def in_batches(images: ImageSet) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image once: (N, C, H, W) data, cropped at the centre and not mirrored, and (N,) labels."""
    feed = Feed(images, False, 0, torch.device("cpu"))
    count, size = len(images.labels), feed.batch_size
    for index in range(-(-count // size)):
        batch, kept = feed.batch(index), min(size, count - index * size)
        yield batch[images.layer.top[0]][:kept], batch[images.layer.top[1]][:kept]
