"""How pictures become a net's input: as its own data layer says, or as options do."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from converters.data.forks.augment import augmented, resizes
from converters.data.images.crops import TEN, oversample
from converters.data.images.transform import Choices, check, means, open_mean, transform
from converters.data.order import sample_generator
from converters.export.metadata import with_mean
from converters.host.places import HERE
from converters.layers.registry import record_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError
from zoo.cli.choices import ORDERS

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Asked:
    """What options say of it; None where they say nothing."""

    mean: str | None = None
    scale: float | None = None
    order: str | None = None
    resize: tuple[int, int] | None = None
    crops: int = 1

    @property
    def options(self) -> list[str]:
        """The options that were given."""
        names = ("--mean", "--scale", "--channel-order", "--resize", "--crops")
        values = (self.mean, self.scale, self.order, self.resize, self.crops if self.crops > 1 else None)
        return [name for name, value in zip(names, values, strict=True) if value is not None]


@dataclass(frozen=True)
class Stated:
    """What a net itself says of it: the data layer that reads its pictures, if it has one, in words whose
    that is, its order of channels, and the places where the mean_file of the layer is sought.
    """

    layer: LayerParameter | None = None
    origin: str = ""
    places: Sequence[Path] = HERE
    order: str = ORDERS[0]


def asked_of(args: argparse.Namespace) -> Asked:
    """What the command line says."""
    return Asked(args.mean, args.scale, args.channel_order, args.resize, args.crops)


@dataclass(frozen=True)
class Preparation:
    """How pictures become an input of ``shape`` (channels, height, width).

    ``layer`` is an ImageData that reads and resizes them, and whose transform_param has the mean and scale;
    ``mean`` its mean image, (H, W, C); ``is_rgb`` whether the net takes red first. Of what is larger than
    the input the centre is taken, or ten ``crops``. ``origin`` is who says so. ``resizing`` is a layer of the
    series author's fork that resizes each picture first, to its crop_size, as it does in TEST.
    """

    layer: LayerParameter
    shape: tuple[int, int, int]
    mean: Tensor | None
    is_rgb: bool
    crops: int
    origin: str
    resizing: LayerParameter | None = None

    def tensor(self, pictures: Sequence[Array]) -> Tensor:
        """(height, width, channels) BGR or grey pictures, uint8 or float32, as (N·crops, C, H, W), the crops
        of one together.

        Raises InputError for a picture of other channels, smaller than the input, or of another size than the
        mean image.
        """
        if self.resizing is not None:
            drawn = sample_generator(0, 0, 0)
            pictures = [augmented(picture, self.resizing, False, drawn) for picture in pictures]
        if len({picture.shape for picture in pictures}) == 1:
            return self._tensor(np.stack(pictures))
        return torch.cat([self._tensor(picture[None]) for picture in pictures])

    def _tensor(self, pictures: Array) -> Tensor:
        height, width, channels = pictures.shape[1:]
        if channels != self.shape[0]:
            raise InputError(f"a picture of {channels} channels, and the net's input has {self.shape[0]}")
        if height < self.shape[1] or width < self.shape[2]:
            raise InputError(f"a picture of {height}×{width} is smaller than the input, {_sized(self.shape)}")
        check(self.layer, height, width, channels, self.mean)
        ordered = np.ascontiguousarray(pictures[..., ::-1] if self.is_rgb else pictures)
        whole = transform(self.layer, torch.from_numpy(ordered), _uncropped(len(pictures)), self.mean)
        if self.crops == TEN:
            return oversample(whole, self.shape[1:])
        row, column = (height - self.shape[1]) // 2, (width - self.shape[2]) // 2
        return whole[:, :, row : row + self.shape[1], column : column + self.shape[2]]

    def __str__(self) -> str:
        """The steps in words, and who says so."""
        images, param = self.layer.image_data_param, self.layer.transform_param
        size = f"{images.new_height}×{images.new_width}" if images.new_height else "their own size"
        steps = [f"whole pictures at {size}"]
        if self.resizing is not None:
            steps.append(f"then resized to {self.resizing.transform_param.crop_size}")
        if images.new_height != self.shape[1] or images.new_width != self.shape[2]:
            cut = "ten crops" if self.crops == TEN else "the centre"
            steps.append(f"{cut} of {_sized(self.shape)}")
        steps.append("grey" if self.shape[0] == 1 else ORDERS[self.is_rgb])
        if param.mean_file:
            steps.append(f"less {param.mean_file}")
        elif param.mean_value:
            steps.append(f"less {', '.join(f'{value:.6g}' for value in param.mean_value)}")
        if param.scale != 1:
            steps.append(f"times {param.scale:.6g}")
        return f"{', '.join(steps)} ({self.origin})"


def prepare(
    stated: Stated,
    shape: tuple[int, int, int],
    asked: Asked,
    mean_a_channel: bool = False,
    as_stored: bool = False,
) -> Preparation:
    """The preparation of the net's own data layer, or without one of whole pictures resized to the input,
    changed as ``asked``.

    Pictures are resized as is asked, else as an ImageData says, else to the mean image, else to the input; an
    ImageData that crops and resizes nothing takes them as they are, and so it is with those of a database
    (``as_stored``). The mean file of an option is subtracted pixel by pixel, or ``mean_a_channel``.

    Raises InputError for a mean that does not fit, and ten crops of pictures no larger than the input.
    """
    layer = _reader(stated.layer, shape[0])
    _take_mean_and_scale(layer, asked, shape[0] if mean_a_channel else None)
    means(layer, shape[0])
    mean = _mean_image(layer, stated, asked)
    if not as_stored:
        _resize(layer, stated.layer, shape, asked, mean)
    elif asked.resize:
        raise InputError(f'--resize: the pictures of layer "{layer.name}" are of the size that they have')
    if asked.order and shape[0] != len(asked.order):
        raise InputError(f"--channel-order {asked.order}: the net's input has {shape[0]} channels")
    is_rgb = (asked.order or stated.order) == ORDERS[1]
    origin = ", ".join(part for part in (stated.origin, *asked.options) if part)
    origin = origin or "no option and no layer says more"
    own = stated.layer if stated.layer is not None and resizes(stated.layer) and not asked.resize else None
    return Preparation(layer, shape, mean, is_rgb, asked.crops, origin, own)


def _mean_image(layer: LayerParameter, stated: Stated, asked: Asked) -> Tensor | None:
    try:
        return open_mean(layer, stated.places)
    except InputError as error:
        hint = "; --mean says another" if asked.mean is None else ""
        raise error.reworded(f"{error.with_layer()}{hint}") from None


def _reader(own: LayerParameter | None, channels: int) -> LayerParameter:
    """An ImageData, or what else reads lists of images, that reads pictures as the net's ``own`` data layer
    does, whole and not mirrored.
    """
    layer = LayerParameter(name="--mean", type="ImageData", top=["data", "label"])
    if own is not None:
        layer.name = own.name
        layer.transform_param.CopyFrom(own.transform_param)
        layer.image_data_param.CopyFrom(own.image_data_param)
        tops = record_of(own).data_tops
        if tops is not None and tops.is_list:
            layer.type, layer.dialect = own.type, own.dialect
    for field in ("crop_size", "mirror"):
        layer.transform_param.ClearField(field)
    layer.image_data_param.is_color = channels != 1
    return layer


def _take_mean_and_scale(layer: LayerParameter, asked: Asked, channels: int | None) -> None:
    """Put the options' mean and scale in place of the layer's; of a mean file the mean of each of so many
    ``channels``, where they are given (classification.cpp, SetMean).
    """
    param = layer.transform_param
    if asked.mean is not None:
        said = with_mean(asked.mean)
        if channels and (image := open_mean(said)) is not None:
            if image.shape[2] != channels:
                raise InputError(
                    f"--mean {asked.mean}: has {image.shape[2]} channels, the net's input {channels}"
                )
            said.transform_param.Clear()
            said.transform_param.mean_value.extend(image.double().mean((0, 1)).tolist())
        for field in ("mean_file", "mean_value"):
            param.ClearField(field)
        param.MergeFrom(said.transform_param)
    if asked.scale is not None:
        param.scale = asked.scale


def _resize(
    layer: LayerParameter,
    own: LayerParameter | None,
    shape: tuple[int, int, int],
    asked: Asked,
    mean: Tensor | None,
) -> None:
    images = layer.image_data_param
    size = asked.resize or (images.new_height, images.new_width)
    crops_alone = own is not None and own.type == "ImageData" and own.transform_param.crop_size
    crops_alone = crops_alone or (own is not None and resizes(own))
    if not size[0] and not crops_alone:
        size = (mean.shape[0], mean.shape[1]) if mean is not None else shape[1:]
    images.new_height, images.new_width = size
    if asked.resize and (size[0] < shape[1] or size[1] < shape[2]):
        raise InputError(f"--resize {size[0]}x{size[1]} is smaller than the input, {_sized(shape)}")
    if asked.crops == TEN and size == shape[1:]:
        raise InputError(
            f"--crops {TEN} takes crops of pictures that are larger than the input, {_sized(shape)}: give "
            "--resize HxW, as pycaffe's classify.py has 256x256"
        )


def _uncropped(count: int) -> Choices:
    return Choices(*(torch.zeros(count, dtype=kind) for kind in (torch.long, torch.long, torch.bool)))


def _sized(shape: tuple[int, int, int]) -> str:
    return f"{shape[1]}×{shape[2]}"
