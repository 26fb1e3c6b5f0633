"""What data layers have in common: a layer that is fed, and the shapes that its prototxt gives its tops."""

from collections.abc import Sequence

from torch import Tensor

from converters.layers.base import Layer
from converters.layers.choice import Dialect
from converters.layers.data_tops import DataTops
from converters.layers.facts import Facts
from converters.layers.registry import Count, Shapes, free
from prototxt.caffe_pb2 import LayerParameter

Size = tuple[int, int]  # height and width
Stated = Sequence[Sequence[int | None] | None]


class Fed(Layer):
    """A layer whose tops are inputs of the net: it stands in the graph and is never called. What its files
    hold is read by the DataSource that its record names.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()

    def forward(self) -> tuple[Tensor, ...]:
        """Not called."""
        raise AssertionError("the tops of a data layer are inputs of the net")


def fed(
    source: str,
    tops: Count,
    data_tops: DataTops,
    fields: tuple[str, ...] = (),
    dialect: Dialect | None = None,
) -> Facts:
    """What the record of a data layer says, by the fork's file ``source``."""
    facts: Facts = {
        "source": source,
        "role": "data",
        "bottoms": (0, 0),
        "tops": tops,
        "macs": free,
        "data_tops": data_tops,
        "fields": fields,
    }
    return facts | {"dialect": dialect} if dialect else facts


def cropped(layer: LayerParameter) -> Size | None:
    """The size that ``transform_param`` crops to, by Caffe's field or a fork's; None where it does not."""
    param = layer.transform_param
    if param.crop_size:
        return param.crop_size, param.crop_size
    sizes = [(param.crop_h, param.crop_w), (param.crop_height, param.crop_width)]
    return next((size for size in sizes if all(size)), None)


def served(layer: LayerParameter, resized: Size = (0, 0)) -> Size | None:
    """The size of the images that a layer serves, which its own field resizes to ``resized`` (0: it does
    not) before the crop; None where only the data know.
    """
    return cropped(layer) or (resized if all(resized) else None)


def images(batch: int, channels: int | None, size: Size | None) -> Sequence[int | None] | None:
    """(batch, channels, height, width); None where only the data know the size, and for the channels where
    only they know that.
    """
    return (batch, channels, *size) if size else None


def decoded_channels(layer: LayerParameter) -> int | None:
    """The channels of a Datum's image as ``transform_param`` has it decoded; None where it keeps its own."""
    param = layer.transform_param
    return 1 if param.force_gray else 3 if param.force_color else None
