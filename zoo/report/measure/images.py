"""The photographs of a finished run as its TEST net sees them."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from converters.data.forks.augment import augmented
from converters.data.images.cut import Cutter
from converters.data.images.lists import read_image
from converters.data.images.transform import choose_crops, transform
from converters.data.order import sample_generator
from converters.graph import Graph
from converters.host.machine import cores
from converters.load import build
from converters.network import Network
from eval.robustness import PixelBatch
from prototxt.caffe_pb2 import ImageDataParameter, LayerParameter
from prototxt.errors import InputError
from prototxt.upgrade import quiet
from zoo.bench.images import listed_images
from zoo.bench.models import Model, run_graph
from zoo.runs.run_folder import RunFolder
from zoo.terminal.progress import counting
from zoo.train.images.dataset import ImageSet, of_classes
from zoo.train.planning.lists import sole_image_layer

BATCH = 64


def folder_of(model: Model) -> RunFolder:
    """The folder of a model that comes from a run."""
    assert model.folder is not None
    return model.folder


def tested_graph(model: Model, size: int | None = None) -> Graph:
    """The net that a run tested, as :func:`zoo.bench.models.run_graph` has it. InputError without one."""
    folder = folder_of(model)
    graph = run_graph(folder, "TEST", size)
    if graph is None:
        raise InputError(f"{folder.path}: was trained without a test net, so that nothing can be measured")
    return graph


def run_net(model: Model, size: int | None = None) -> Network:
    """:func:`tested_graph` with the run's weights. Raises InputError where it cannot take ``size``."""
    graph = tested_graph(model, size)
    shapes = _stored_shapes(model, graph) if size is None else None
    return build(graph, "TEST", shapes, weights=[folder_of(model).weights], warn=quiet)


def _stored_shapes(model: Model, graph: Graph) -> dict[str, list[int]]:
    """The shape of the photographs' top, which the ONNX file knows even where the prototxt leaves it to the
    photographs.
    """
    layer, inputs = sole_image_layer(graph), model.inputs[0]
    if layer is None or layer.top[0] not in inputs:
        return {}
    return {layer.top[0]: [layer.image_data_param.batch_size, *inputs[layer.top[0]]]}


def open_list(model: Model, key: str) -> ImageSet:
    """The photographs of a run's TRAIN or TEST list, resized as its TEST net's data layer resizes them.

    Raises InputError for a run on data that is no list of images, and as ``open_images`` does.
    """
    listed = (model.record or {})["data"].get(key)
    if listed is None or sole_image_layer(tested_graph(model)) is None:
        raise InputError(f"{model.where}: its data is no list of images, so that nothing can be measured")
    with counting(f"decoding {Path(listed['list']).name}") as advance:
        images = listed_images(model, key, advance)
    assert images is not None
    if images.mean is not None and images.are_apart:
        raise InputError(
            f"{model.where}: has a mean_file, and images of several sizes: nothing can be measured"
        )
    if images.labels.ndim > 1:
        raise InputError(f"{model.where}: its labels are no classes, so that nothing can be measured")
    return of_classes(images, (model.record or {}).get("classes"))


def pixels_of(images: ImageSet, rows: Sequence[int]) -> PixelBatch:
    """(n, H, W, C): these photographs, all of one size, before they are cropped; those that have sizes of
    their own, or that the series author's fork resizes first, as its TEST crops them.
    """
    layer, pixels = images.layer, images.pixels
    if not images.are_apart:
        return images.array[list(rows)]
    cutter, drawn = Cutter(layer, False), np.ones(3)  # not mirrored
    each = (augmented(pixels[int(row)], layer, False, sample_generator(0, 0, int(row))) for row in rows)
    return np.stack([cutter.cut(image, drawn, cutter.size(pixels[0].shape))[0] for image in each])


def served(images: ImageSet, pixels: PixelBatch) -> Tensor:
    """(N, H, W, C) pixels to the net's input (N, C, crop, crop): centre crop, mean and scale, no mirror."""
    layer = LayerParameter()
    layer.CopyFrom(images.layer)
    layer.transform_param.mirror = False
    choices = choose_crops(layer, False, (pixels.shape[1], pixels.shape[2]), np.ones((len(pixels), 3)))
    return transform(layer, torch.from_numpy(np.require(pixels, requirements="W")), choices, images.mean)


def slices(rows: Sequence[int]) -> Iterator[list[int]]:
    """``rows`` in batches."""
    for start in range(0, len(rows), BATCH):
        yield list(rows[start : start + BATCH])


def at_size(images: ImageSet, layer: LayerParameter, rows: Sequence[int], share: float) -> ImageSet:
    """These photographs read anew for ``layer``, a data layer of ``share`` times the training size.

    From the files: a larger input has the detail that the photograph has. A mean image is resized too.
    """
    height, width = (round(side * share) for side in images.array.shape[1:3])
    param = images.layer.image_data_param
    pixels = _read(tuple(images.base.path(images.paths[row]) for row in rows), height, width, param.is_color)
    mean = images.mean
    if mean is not None:
        scaled = cv2.resize(mean.numpy(), (width, height)).reshape(height, width, -1)
        mean = torch.from_numpy(scaled)
    return replace(images, layer=layer, pixels=pixels, mean=mean)


@lru_cache(maxsize=3)  # runs on the same photographs follow one another
def _read(paths: tuple[Path, ...], height: int, width: int, is_color: bool) -> PixelBatch:
    param = ImageDataParameter(new_height=height, new_width=width, is_color=is_color)
    with ThreadPoolExecutor(cores()) as pool:
        return np.stack(list(pool.map(lambda path: read_image(path, param), paths)))
