"""transform_param: crop, mirror, mean and scale (data_transformer.cpp), on whole batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from converters.host.places import HERE, find
from converters.layers.parts.caffe_long import is_of_caffe_long
from converters.weights.mean_image import read_mean
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class Choices:
    """Where each image of a batch is cropped (row, column: (N,) int64) and whether it is mirrored."""

    row: Tensor
    column: Tensor
    mirror: Tensor


def draw(seed: int, iteration: int, samples: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """(samples, 3) numbers in [0, 1), row ``i`` a pure function of (seed, iteration, i).

    Row, column and mirror of a sample are drawn from them, so a resumed run and one spread over
    several processes choose the same.
    """
    key = np.random.SeedSequence([seed, iteration]).generate_state(2, np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).random((samples, 3))


def open_mean(layer: LayerParameter, places: Sequence[Path] = HERE) -> Tensor | None:
    """The mean image of ``mean_file`` as (height, width, channels) float32; None where none is named.

    Raises InputError where it is missing or no image, and where mean_value is given as well.
    """
    param = layer.transform_param
    if not param.mean_file:
        return None
    if param.mean_value:
        raise InputError("has both mean_file and mean_value; Caffe allows one of them", layer.name)
    path = find(param.mean_file, places)
    try:
        mean = read_mean(path)
    except InputError as error:
        raise InputError(f"mean_file {error}", layer.name) from None
    if mean.ndim not in (3, 4):
        raise InputError(f"mean_file {path}: a blob {mean.shape} is no image", layer.name)
    return torch.from_numpy(mean.reshape(-1, *mean.shape[-3:])[0]).permute(1, 2, 0).contiguous()


def check(layer: LayerParameter, height: int, width: int, channels: int, mean: Tensor | None = None) -> None:
    """Raise InputError where ``layer``'s transform, with its mean image, cannot take images of this size."""
    param = layer.transform_param
    if param.crop_size > min(height, width):
        raise InputError(
            f"crop_size {param.crop_size} is larger than the image, {height}×{width}", layer.name
        )
    check_mean(layer, (height, width, channels), mean)


def check_mean(layer: LayerParameter, shape: tuple[int, ...], mean: Tensor | None = None) -> None:
    """Raise InputError where an image of ``shape``, (height, width, channels), is not as large as its mean
    image, or has not as many channels as there are mean values.
    """
    if mean is not None and mean.shape != shape:
        theirs = f"{mean.shape[2]}×{mean.shape[0]}×{mean.shape[1]}"
        file = layer.transform_param.mean_file
        raise InputError(
            f"mean_file {file} is {theirs}, the image {shape[2]}×{shape[0]}×{shape[1]}", layer.name
        )
    means(layer, shape[2])


def means(layer: LayerParameter, channels: int) -> NDArray[np.float32] | None:
    """The ``mean_value`` of each channel; None where none is said. Raises InputError where they are neither
    one nor as many as the channels.
    """
    values = list(layer.transform_param.mean_value)
    if len(values) not in (0, 1, channels):
        raise InputError(f"{len(values)} mean_value entries for {channels} channels", layer.name)
    return np.array(values * channels if len(values) == 1 else values, np.float32) if values else None


def less_mean(layer: LayerParameter, image: NDArray[Any], mean: Tensor | None = None) -> NDArray[np.float32]:
    """(pixel - mean)·scale of one image, (height, width, channels); ``mean``, that of ``mean_file``, is
    neither cropped nor mirrored with it.
    """
    pixels = image.astype(np.float32, order="C")
    if mean is not None:
        pixels -= mean.numpy()
    elif (each := means(layer, image.shape[2])) is not None:
        rows = pixels.reshape(len(pixels), -1)
        rows -= np.tile(each, image.shape[1])  # pixel by pixel numpy takes six times as long
    if layer.transform_param.scale != 1:
        pixels *= np.float32(layer.transform_param.scale)
    return pixels


def check_resize(layer: LayerParameter) -> None:
    """Raise InputError where an ImageData resizes one side alone (image_data_layer.cpp, DataLayerSetUp)."""
    param = layer.image_data_param
    if bool(param.new_height) != bool(param.new_width):
        raise InputError("new_height and new_width are given together or not at all", layer.name)


def mirrors(layer: LayerParameter, train: bool) -> bool:
    """Whether images are mirrored, every other one: in both phases where set, in TRAIN alone where the layer
    is longpeng2008/Caffe_Long's.
    """
    return layer.transform_param.mirror and (train or not is_of_caffe_long(layer))


def choose_crops(layer: LayerParameter, train: bool, size: tuple[int, int], drawn: np.ndarray) -> Choices:
    """Crop positions (random in TRAIN, central in TEST) and mirroring, which is random."""
    param = layer.transform_param
    spare = np.array([side - param.crop_size if param.crop_size else 0 for side in size])
    corner = (
        np.floor(drawn[:, :2] * (spare + 1)).astype(np.int64)
        if train
        else np.tile(spare // 2, (len(drawn), 1))
    )
    mirror = (drawn[:, 2] < 0.5) & mirrors(layer, train)
    return Choices(torch.from_numpy(corner[:, 0]), torch.from_numpy(corner[:, 1]), torch.from_numpy(mirror))


def transform(layer: LayerParameter, images: Tensor, choices: Choices, mean: Tensor | None = None) -> Tensor:
    """(N, H, W, C) uint8 or float to (N, C, crop, crop) float32, channels last in memory:
    (pixel - mean)·scale. A mean image, (H, W, C), is cropped and mirrored with the pixels.

    The images decide the device.
    """
    param = layer.transform_param
    count, height, width = images.shape[:3]
    height, width = (param.crop_size, param.crop_size) if param.crop_size else (height, width)
    device = images.device
    steps = torch.arange(width, device=device)
    columns = torch.where(choices.mirror.to(device)[:, None], width - 1 - steps, steps)
    columns = columns + choices.column.to(device)[:, None]
    rows = choices.row.to(device)[:, None] + torch.arange(height, device=device)
    sample = torch.arange(count, device=device)[:, None, None]
    cropped = images[sample, rows[:, :, None], columns[:, None, :]].float()
    if mean is not None:
        cropped -= mean.to(device)[rows[:, :, None], columns[:, None, :]]
    elif param.mean_value:
        cropped -= torch.tensor(list(param.mean_value), device=device)
    if param.scale != 1:
        cropped *= param.scale
    return cropped.permute(0, 3, 1, 2)
