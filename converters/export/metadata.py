"""What an ONNX file says of its input besides the shape."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from converters.data.images.transform import open_mean
from converters.graph import Value
from converters.host.places import HERE
from converters.layers.dialects import dialects_of
from converters.layers.registry import record_of
from converters.network import Network
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError
from prototxt.text import to_stderr

COLOURS = {1: "grey", 3: "BGR"}  # as OpenCV decodes for Caffe (io.cpp)


@dataclass(frozen=True)
class Transform:
    """What was done to pictures that no data layer tells, or beats what one does: ``mean``, a file or numbers
    joined by commas, sought in ``places``; ``scale``, by which the rest was multiplied; ``order``, the net's
    order of channels, BGR or RGB.
    """

    mean: str = ""
    scale: float | None = None
    order: str = "BGR"
    places: Sequence[Path] = HERE


def metadata(
    net: Network,
    classes: Sequence[str] = (),
    told: Transform = Transform(),
    is_preprocessed: bool = False,
    task: str = "",
) -> dict[str, str]:
    """Each entry as JSON: channel_order (BGR, or grey; only where the first input's channels tell),
    input_size (height, width; of an input of 4 axes), what its data layer, or ``told``, did to the pixels
    (mean a channel, scale), classes, the ``task`` (what the outputs are, where they are no scores of
    classes), and dialects (type to the fork whose rule it follows).

    A mean image stands as its mean a channel, and as mean_image, {"file", "shape" (C, H, W)}. Where the file
    itself does all that (``is_preprocessed``), channel_order is RGB and nothing is left to do.
    """
    entries: dict[str, Any] = {}
    if served := image_input(net):
        layer, _, shape = served
        if len(shape) == 4:
            entries |= {"channel_order": _order(shape[1], told)} if shape[1] in COLOURS else {}
            entries["input_size"] = list(shape[2:])
        entries |= _preprocessed(entries) if is_preprocessed else _transform(layer, told)
    if classes:
        entries["classes"] = list(classes)
    if task:
        entries["task"] = task
    if dialects := dialects_of(node.layer for node in net.graph.nodes):
        entries["dialects"] = dialects
    return {name: json.dumps(value, ensure_ascii=False) for name, value in entries.items()}


def _preprocessed(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Of a file that takes pixels as they are, in the order that others keep them in."""
    return {"channel_order": "RGB"} if entries.get("channel_order") == "BGR" else {}


def _order(channels: int, told: Transform) -> str:
    return told.order if channels > 1 else COLOURS[channels]


Served = tuple[LayerParameter, Value, tuple[int, ...]]  # a data layer, an input of it and its shape


def image_input(net: Network) -> Served | None:
    """The first input that is an image, else the first."""
    return next(iter(image_inputs(net) or _served(net)), None)


def image_inputs(net: Network) -> list[Served]:
    """The inputs that are images."""
    return [item for item in _served(net) if len(item[2]) == 4 and item[2][1] in COLOURS]


def _served(net: Network) -> list[Served]:
    return [
        (node.layer, value, tuple(net.shapes[value]))
        for node in net.graph.nodes
        if node.is_data
        for value in node.outputs
    ]


def _transform(layer: LayerParameter, told: Transform) -> dict[str, Any]:
    tops = record_of(layer).data_tops
    is_images = tops is not None and tops.is_images
    mean = _mean(with_mean(told.mean), HERE) if told.mean else {}
    if is_images and not mean:
        mean = _mean(layer, told.places)
    scale = layer.transform_param.scale if told.scale is None else told.scale
    says_scale = told.scale is not None or (is_images and not told.mean)
    return mean | ({"scale": scale} if says_scale else {})


def with_mean(mean: str) -> LayerParameter:
    """A data layer, called ``--mean``, that subtracts what that option says: a .binaryproto's blob, or a
    number a channel, with commas. Raises InputError for a number that is none, nan or inf.
    """
    layer = LayerParameter(name="--mean")
    try:
        layer.transform_param.mean_value.extend(float(number) for number in mean.split(","))
    except ValueError:
        layer.transform_param.Clear()
        layer.transform_param.mean_file = mean
    if not all(isfinite(number) for number in layer.transform_param.mean_value):
        raise InputError(f"--mean {mean}: is no number a channel")
    return layer


def _mean(layer: LayerParameter, places: Sequence[Path]) -> dict[str, Any]:
    param = layer.transform_param
    if not param.mean_file:
        return {"mean": list(param.mean_value)}
    try:
        image = open_mean(layer, places)
    except InputError as error:
        if layer.name == "--mean":
            raise
        to_stderr(f"{error}: the ONNX file's metadata has no mean")
        return {"mean_image": {"file": Path(param.mean_file).name}}
    assert image is not None
    height, width, channels = image.shape
    shape = {"file": Path(param.mean_file).name, "shape": [channels, height, width]}
    return {"mean": [round(value, 6) for value in image.double().mean((0, 1)).tolist()], "mean_image": shape}
