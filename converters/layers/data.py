"""Data layers, whose tops are inputs of a net, and the shapes that the prototxt gives them."""

from collections.abc import Sequence

from torch import Tensor

from converters.layers.base import Layer
from converters.layers.registry import ONE_OR_MORE, Count, DataTops, Facts, Shapes, free, layer
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

Stated = Sequence[Sequence[int] | None]  # the shape of each top; None where only the data know it


def _fed(source: str, tops: Count, data_tops: DataTops) -> Facts:
    return {
        "source": source,
        "role": "data",
        "bottoms": (0, 0),
        "tops": tops,
        "macs": free,
        "data_tops": data_tops,
    }


def _input(layer: LayerParameter) -> Stated:
    shapes = [list(shape.dim) for shape in layer.input_param.shape]
    if len(shapes) not in (0, 1, len(layer.top)):
        raise InputError(f"{len(shapes)} shapes for {len(layer.top)} tops", layer.name)
    return shapes * len(layer.top) if len(shapes) == 1 else shapes


def _image_data(layer: LayerParameter) -> Stated:
    """(batch, 3 or 1, crop or new size), (batch,) (image_data_layer.cpp)."""
    param = layer.image_data_param
    crop = layer.transform_param.crop_size
    height, width = (crop, crop) if crop else (param.new_height, param.new_width)
    channels = 3 if param.is_color else 1
    data = (param.batch_size, channels, height, width) if height and width else None
    return [data, (param.batch_size,)]


def _data(layer: LayerParameter) -> Stated:
    """(batch, channels, crop, crop), (batch,); without a crop only the records know (data_layer.cpp)."""
    crop = layer.transform_param.crop_size
    channels = 1 if layer.transform_param.force_gray else 3
    batch = layer.data_param.batch_size
    return [(batch, channels, crop, crop) if crop else None, (batch,)]


def _memory_data(layer: LayerParameter) -> Stated:
    """(batch, channels, height, width), (batch,), with a crop too (memory_data_layer.cpp)."""
    param = layer.memory_data_param
    return [(param.batch_size, param.channels, param.height, param.width), (param.batch_size,)]


def _window_data(layer: LayerParameter) -> Stated:
    """(batch, 3, crop, crop), (batch,) (window_data_layer.cpp)."""
    param = layer.window_data_param
    crop = layer.transform_param.crop_size or param.crop_size
    return [(param.batch_size, 3, crop, crop), (param.batch_size,)]


_HDF5 = DataTops("converters.data.hdf5:Hdf5Source", "hdf5_data_param")
_RECORDS = DataTops("converters.data.records:RecordSource", "data_param", _data, is_images=True)
_LIST = DataTops(
    "converters.data.images.source:ImageSource",
    "image_data_param",
    _image_data,
    is_images=True,
    takes_label_lists=True,
)
_ARRAYS = DataTops("converters.data.memory:MemorySource", "memory_data_param", _memory_data, is_images=True)
_WINDOWS = DataTops(
    "converters.data.windows.source:WindowSource", "window_data_param", _window_data, is_images=True
)


@layer("Input", **_fed("input_layer.cpp", ONE_OR_MORE, DataTops(shapes=_input)))
@layer("HDF5Data", **_fed("hdf5_data_layer.cpp", ONE_OR_MORE, _HDF5))
@layer("Data", **_fed("data_layer.cpp", (1, 2), _RECORDS))
@layer("ImageData", **_fed("image_data_layer.cpp", (2, 2), _LIST))
@layer("MemoryData", **_fed("memory_data_layer.cpp", (2, 2), _ARRAYS))
@layer("WindowData", **_fed("window_data_layer.cpp", (2, 2), _WINDOWS))
class Fed(Layer):
    """A layer whose tops are inputs of the net: it stands in the graph and is never called. What its files
    hold is read by the DataSource that its record names.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()

    def forward(self) -> tuple[Tensor, ...]:
        """Not called."""
        raise AssertionError("the tops of a data layer are inputs of the net")
