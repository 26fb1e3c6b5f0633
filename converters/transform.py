"""transform_param: crop, mirror, mean and scale (data_transformer.cpp), on whole batches."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

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


def check(layer: LayerParameter, height: int, width: int, channels: int) -> None:
    """Raise InputError where ``layer``'s transform cannot take images of this size."""
    param = layer.transform_param
    if param.crop_size > min(height, width):
        raise InputError(
            f"crop_size {param.crop_size} is larger than the image, {height}×{width}", layer.name
        )
    if param.mean_file:
        raise InputError("mean_file is not read yet; give mean_value", layer.name)
    if len(param.mean_value) not in (0, 1, channels):
        raise InputError(f"{len(param.mean_value)} mean_value entries for {channels} channels", layer.name)


def choose(layer: LayerParameter, train: bool, size: tuple[int, int], drawn: np.ndarray) -> Choices:
    """Crop positions (random in TRAIN, central in TEST) and mirroring (random in both where set)."""
    param = layer.transform_param
    spare = np.array([side - param.crop_size if param.crop_size else 0 for side in size])
    corner = (
        np.floor(drawn[:, :2] * (spare + 1)).astype(np.int64)
        if train
        else np.tile(spare // 2, (len(drawn), 1))
    )
    mirror = (drawn[:, 2] < 0.5) & param.mirror
    return Choices(torch.from_numpy(corner[:, 0]), torch.from_numpy(corner[:, 1]), torch.from_numpy(mirror))


def transform(layer: LayerParameter, images: Tensor, choices: Choices) -> Tensor:
    """(N, H, W, C) uint8 to (N, C, crop, crop) float32, channels last in memory: (pixel - mean)·scale.

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
    if param.mean_value:
        cropped -= torch.tensor(list(param.mean_value), device=device)
    if param.scale != 1:
        cropped *= param.scale
    return cropped.permute(0, 3, 1, 2)
