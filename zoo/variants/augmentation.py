"""Edits of how training pictures are changed: transform_param of the data layers of TRAIN alone."""

from collections.abc import Iterator

from converters.layers.parts.caffe_long import AUGMENTS
from converters.net_state import is_included, net_state
from prototxt.caffe_pb2 import LayerParameter, NetParameter
from prototxt.errors import InputError

_SPARE = 256 / 224  # the article's: pictures of 256×256, of which 224×224 are cropped
_DEGREES, _SHIFT = 15, 20


def set_none(net: NetParameter) -> None:
    """Training pictures as validation has them: whole, resized to the input, not mirrored, nothing random."""
    for layer in _training(net):
        size = _crop_of(layer)
        for field in AUGMENTS:
            layer.transform_param.ClearField(field)
        layer.transform_param.mirror = False
        layer.image_data_param.new_height = layer.image_data_param.new_width = size


def set_crop(net: NetParameter) -> None:
    """Training pictures resized to 8/7 of the input and cropped at random, as the article has it."""
    for layer in _training(net):
        size = round(_crop_of(layer) * _SPARE)
        layer.image_data_param.new_height = layer.image_data_param.new_width = size


def set_mirror(net: NetParameter) -> None:
    """Every other training picture mirrored."""
    for layer in _training(net):
        layer.transform_param.mirror = True


def set_colour(net: NetParameter) -> None:
    """Training pictures by chance of other colours and of other contrast and brightness (the series' fork).

    A shift of up to 20 of each channel, contrast by 0.8 to 1.2 and brightness by up to 5, each of every other
    picture, are the fields' own defaults but for the first.
    """
    for layer in _training(net):
        layer.transform_param.max_color_shift = _SHIFT
        layer.transform_param.contrast_brightness_adjustment = True


def set_rotation(net: NetParameter) -> None:
    """Training pictures rotated by up to 15 degrees either way, whole, framed in black (the series' fork)."""
    for layer in _training(net):
        transform = layer.transform_param
        side = layer.image_data_param.new_height or _crop_of(layer)
        transform.max_rotation_angle = _DEGREES
        transform.min_side_min = transform.min_side_max = side  # what rotating enlarged is as large as before


def _training(net: NetParameter) -> Iterator[LayerParameter]:
    """The ImageData layers that TRAIN has and TEST has not. Raises InputError where there is none."""
    train, test = net_state("TRAIN"), net_state("TEST")
    layers = [
        layer
        for layer in net.layer
        if layer.type == "ImageData" and is_included(layer, train) and not is_included(layer, test)
    ]
    if not layers:
        raise InputError("there is no ImageData layer of the TRAIN phase alone to act on")
    yield from layers


def _crop_of(layer: LayerParameter) -> int:
    size = layer.transform_param.crop_size
    if not size:
        raise InputError("has no crop_size, by which its pictures are resized", layer.name)
    return size
