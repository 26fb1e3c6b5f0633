"""Data layers of the tuning series' author's fork: images with several labels, and images that are varied."""

from dataclasses import replace

from converters.layers.data_tops import DataTops
from converters.layers.parts.caffe_long import SOURCE, of_caffe_long
from converters.layers.parts.fed import Fed, Size, Stated, decoded_channels, fed, images
from converters.layers.registry import layer
from prototxt.caffe_pb2 import LayerParameter


def _size(layer: LayerParameter, resized: Size = (0, 0)) -> Size | None:
    """What images are cropped to, without a crop the new size; None where only the data know."""
    crop = layer.transform_param.crop_size
    return (crop, crop) if crop else resized if all(resized) else None


def _labelled(layer: LayerParameter) -> Stated:
    """(batch, 3 or 1, size), (batch, labels, 1, 1) (image_data_layer.cpp)."""
    param = layer.image_data_param
    size = _size(layer, (param.new_height, param.new_width))
    return [
        images(param.batch_size, 3 if param.is_color else 1, size),
        (param.batch_size, param.label_size, 1, 1),
    ]


def _mapped(layer: LayerParameter) -> Stated:
    """(batch, 3 or 1, size), (batch, 1, size) (image_seg_data_layer.cpp, image_prob_data_layer.cpp)."""
    param = layer.image_data_param
    size = _size(layer, (param.new_height, param.new_width))
    channels = 3 if param.is_color else 1
    return [images(param.batch_size, channels, size), images(param.batch_size, 1, size)]


def _stored(layer: LayerParameter) -> Stated:
    """(batch, the records' channels, crop), (batch,), or an axis of the batch's length for each label of a
    record, which only the records know (data_layer.cpp).
    """
    batch = layer.data_param.batch_size
    return [images(batch, decoded_channels(layer), _size(layer)), (batch,)]


def _handed_over(layer: LayerParameter) -> Stated:
    """(batch, channels, height, width), (batch, 1, 1, 1) (memory_data_layer.cpp)."""
    param = layer.memory_data_param
    return [(param.batch_size, param.channels, param.height, param.width), (param.batch_size, 1, 1, 1)]


_LISTED = DataTops(
    "converters.data.forks.labelled:LabelledSource",
    "image_data_param",
    shapes=_labelled,
    is_images=True,
    is_list=True,
)
_STORED = DataTops(
    "converters.data.forks.labelled:AugmentedRecords", "data_param", shapes=_stored, is_images=True
)
_ARRAYS = DataTops(
    "converters.data.memory:MemorySource", "memory_data_param", "", shapes=_handed_over, is_images=True
)
_MAPPED = DataTops(
    "converters.data.forks.label_maps:SegmentSource",
    "image_data_param",
    shapes=_mapped,
    is_images=True,
    names_of="converters.data.forks.pairs:paired_names",
)
_LIKELY = replace(_MAPPED, reader="converters.data.forks.label_maps:ProbabilitySource")

_OF_LISTS = of_caffe_long("image_data_param.label_size")
_OF_ARRAYS = of_caffe_long("memory_data_param.label_size")
_FILE = f"{SOURCE}: image_%s_layer.cpp"

# Registered beside the other forks' rules of its name, which the order tells from each other.
LABEL_MAPS = fed(_FILE % "seg_data", (2, 2), _MAPPED, dialect=of_caffe_long(is_default=True))


@layer("ImageData", **fed(_FILE % "data", (2, 2), _LISTED, dialect=_OF_LISTS))
@layer("ImageRegressionData", **fed(_FILE % "regressiondata", (2, 2), _LISTED, dialect=_OF_LISTS))
@layer("ImageProbData", **fed(_FILE % "prob_data", (2, 2), _LIKELY, dialect=of_caffe_long()))
@layer("Data", **fed(f"{SOURCE}: data_layer.cpp", (1, 2), _STORED, dialect=of_caffe_long()))
@layer("MemoryData", **fed(f"{SOURCE}: memory_data_layer.cpp", (2, 2), _ARRAYS, dialect=_OF_ARRAYS))
class AuthorsData(Fed):
    """A data layer of the fork."""
