"""Edits of how training pictures are changed: transform_param of the data layers of TRAIN alone."""

from collections.abc import Iterator

from converters.net_state import is_included, net_state
from prototxt.caffe_pb2 import LayerParameter, NetParameter
from prototxt.errors import InputError

_SPARE = 256 / 224  # the article's: pictures of 256×256, of which 224×224 are cropped


def set_none(net: NetParameter) -> None:
    """Training pictures as validation has them: whole, resized to the input, not mirrored, nothing random."""
    for layer in _training(net):
        size = _crop_of(layer)
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
