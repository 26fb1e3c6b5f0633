"""Data layers, whose tops are inputs of a net, and the shapes that the prototxt gives them."""

from converters.layers.data_tops import DataTops
from converters.layers.parts.fed import Fed, Stated, decoded_channels, fed, images, served
from converters.layers.registry import ONE_OR_MORE, layer
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


def _input(layer: LayerParameter) -> Stated:
    shapes = [list(shape.dim) for shape in layer.input_param.shape]
    if len(shapes) not in (0, 1, len(layer.top)):
        raise InputError(f"{len(shapes)} shapes for {len(layer.top)} tops", layer.name)
    return shapes * len(layer.top) if len(shapes) == 1 else shapes


def _image_data(layer: LayerParameter) -> Stated:
    """(batch, 3 or 1, crop or new size), (batch,) (image_data_layer.cpp)."""
    param = layer.image_data_param
    size = served(layer, (param.new_height, param.new_width))
    return [images(param.batch_size, 3 if param.is_color else 1, size), (param.batch_size,)]


def _data(layer: LayerParameter) -> Stated:
    """(batch, the records' channels, crop, crop), (batch,); without a crop only the records know
    (data_layer.cpp).
    """
    batch = layer.data_param.batch_size
    return [images(batch, decoded_channels(layer), served(layer)), (batch,)]


def _memory_data(layer: LayerParameter) -> Stated:
    """(batch, channels, height, width), (batch,), with a crop too (memory_data_layer.cpp)."""
    param = layer.memory_data_param
    return [(param.batch_size, param.channels, param.height, param.width), (param.batch_size,)]


def _window_data(layer: LayerParameter) -> Stated:
    """(batch, 3, crop, crop), (batch,) (window_data_layer.cpp)."""
    param = layer.window_data_param
    crop = layer.transform_param.crop_size or param.crop_size
    return [(param.batch_size, 3, crop, crop), (param.batch_size,)]


_HDF5 = DataTops(
    "converters.data.hdf5:Hdf5Source", "hdf5_data_param", names_of="converters.data.hdf5:listed_names"
)
_RECORDS = DataTops("converters.data.records:RecordSource", "data_param", shapes=_data, is_images=True)
_LIST = DataTops(
    "converters.data.images.source:ImageSource",
    "image_data_param",
    shapes=_image_data,
    is_images=True,
    takes_label_lists=True,
    is_list=True,
)
_ARRAYS = DataTops(
    "converters.data.memory:MemorySource", "memory_data_param", "", shapes=_memory_data, is_images=True
)
_WINDOWS = DataTops(
    "converters.data.windows.source:WindowSource",
    "window_data_param",
    shapes=_window_data,
    is_images=True,
    names_of="converters.data.windows.file:image_names",
)


@layer("Input", **fed("input_layer.cpp", ONE_OR_MORE, DataTops(shapes=_input)))
@layer("HDF5Data", **fed("hdf5_data_layer.cpp", ONE_OR_MORE, _HDF5))
@layer("Data", **fed("data_layer.cpp", (1, 2), _RECORDS))
@layer("ImageData", **fed("image_data_layer.cpp", (2, 2), _LIST))
@layer("MemoryData", **fed("memory_data_layer.cpp", (2, 2), _ARRAYS))
@layer("WindowData", **fed("window_data_layer.cpp", (2, 2), _WINDOWS))
class CaffesData(Fed):
    """A data layer of Caffe 1.0."""
