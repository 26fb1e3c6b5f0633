"""Ten views of a picture, as pycaffe's Classifier takes them (python/caffe/io.py, ``oversample``)."""

import torch
from torch import Tensor

from prototxt.errors import InputError

TEN = 10


def oversample(images: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) to (10·N, C, *size): of each image the four corners, the centre, and the mirror images of
    these five, in pycaffe's order. Raises InputError for a ``size`` (height, width) above the images'.
    """
    height, width = images.shape[2:]
    if size[0] > height or size[1] > width:
        raise InputError(f"crops of {size[0]}×{size[1]} are larger than the picture, {height}×{width}")
    corners = [(row, column) for row in (0, height - size[0]) for column in (0, width - size[1])]
    places = [*corners, ((height - size[0]) // 2, (width - size[1]) // 2)]
    five = [images[:, :, row : row + size[0], column : column + size[1]] for row, column in places]
    ten = torch.stack([*five, *(crop.flip(3) for crop in five)], dim=1)
    return ten.flatten(0, 1)
