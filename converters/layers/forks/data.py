"""Data layers of forks, whose tops are inputs of a net, with their shapes as far as the prototxt says."""

from dataclasses import replace
from math import floor

from converters.layers.choice import Dialect
from converters.layers.data_tops import DataTops
from converters.layers.forks.data_long import LABEL_MAPS
from converters.layers.parts.fed import Fed, Size, Stated, decoded_channels, fed, images, served
from converters.layers.registry import layer
from prototxt.caffe_pb2 import LayerParameter, ResizeParameter, VideoDataParameter

_BOX = 8  # image, class, instance, left, top, right, bottom, difficult


def _resized(layer: LayerParameter) -> Size:
    """The size that SSD's ``resize_param`` makes of every image, of MobileNet-YOLO's several the first;
    (0, 0) where it depends on the image.
    """
    policies = layer.transform_param.resize_param
    fixed = [
        (each.height, each.width) for each in policies if each.resize_mode != ResizeParameter.FIT_SMALL_SIZE
    ]
    return fixed[0] if fixed else (0, 0)


def _annotated(layer: LayerParameter) -> Stated:
    """(batch, the records' channels, size), and a line a box, (1, 1, boxes, 8): here one an image; for YOLO
    300 lines an image, (batch, 300, 5) (annotated_data_layer.cpp).
    """
    batch = layer.data_param.batch_size
    data = images(batch, decoded_channels(layer), served(layer, _resized(layer)))
    is_yolo = layer.annotated_data_param.yolo_data_type == 1
    return [data, (batch, 300, 5) if is_yolo else (1, 1, batch, _BOX)]


def _segmented(layer: LayerParameter) -> Stated:
    """(batch, 3 or 1, size), (batch, 1, size), and height and width, (batch, 1, 1, 2)
    (image_seg_data_layer.cpp, image_labelmap_data_layer.cpp).
    """
    param = layer.image_data_param
    size = served(layer, (param.new_height, param.new_width))
    channels = 3 if param.is_color else 1
    return [
        images(param.batch_size, channels, size),
        images(param.batch_size, 1, size),
        (param.batch_size, 1, 1, 2),
    ]


def _pictures(layer: LayerParameter) -> Stated:
    """The size of BSDS's pictures, which HED learns from."""
    batch = layer.image_data_param.batch_size
    return [images(batch, 3, (321, 481)), images(batch, 1, (321, 481))]


def _street(layer: LayerParameter) -> Stated:
    """The size of CamVid's pictures, which SegNet learns from."""
    batch = layer.dense_image_data_param.batch_size
    return [images(batch, 3, (360, 480)), images(batch, 1, (360, 480))]


def _dense(layer: LayerParameter) -> Stated:
    """(batch, 3 or 1, size), (batch, 1, size), which ENet may divide (dense_image_data_layer.cpp)."""
    param = layer.dense_image_data_param
    crop, factor = (param.crop_height, param.crop_width), max(1, param.label_divide_factor)
    size = served(layer, crop if all(crop) else (param.new_height, param.new_width))
    labels = size and (size if all(crop) else (size[0] // factor, size[1] // factor))
    channels = 3 if param.is_color else 1
    return [images(param.batch_size, channels, size), images(param.batch_size, 1, labels)]


def _with_slices(layer: LayerParameter) -> Stated:
    """(batch, 3, crop), and of the labels what ``label_slice`` takes, the crop where nothing is said, as TI's
    fork has it (image_label_data_layer.cpp).
    """
    param, size = layer.image_label_data_param, served(layer)
    taken = tuple(param.label_slice.dim)
    labels = (taken[0], taken[1]) if len(taken) > 1 else size
    return [images(param.batch_size, 3, size), images(param.batch_size, 1, labels)]


def _with_boxes(layer: LayerParameter) -> Stated:
    """(batch, 3, size), for each rate (batch, 2 + coordinates, size / rate), rounded, and a line of 7 a box,
    here one an image (image_gt_data_layer.cpp).
    """
    param = layer.image_gt_data_param
    height = param.crop_height or param.resize_height
    width = param.crop_width or param.resize_width
    if not (height and width):
        return []
    size, channels = (height, width), 2 + param.coord_num
    maps = [(floor(height / rate + 0.5), floor(width / rate + 0.5)) for rate in param.downsample_rate]
    labels = [(param.batch_size, channels, *each) for each in maps]
    return [(param.batch_size, 3, *size), *labels, (param.batch_size, 7, 1, 1)]


def _clips(layer: LayerParameter) -> Stated:
    """(batch, 3, frames, size) and (batch,) of C3D 1.1, as _old_clips of 1.0; of yjxiong's segments
    (batch, channels of all frames, size), (batch,); of SSD's camera (batch, channels, size), (batch,)
    (video_data_layer.cpp).
    """
    if layer.HasField("image_data_param"):
        return _old_clips(layer)
    param = layer.video_data_param
    if not param.source:
        batch = layer.data_param.batch_size
        return [images(batch, decoded_channels(layer), served(layer, _resized(layer))), (batch,)]
    size = served(layer, (param.new_height, param.new_width))
    if param.HasField("modality"):
        channels = 3 if param.modality == VideoDataParameter.RGB else 2
        frames = param.new_length * param.num_segments
        return [images(param.batch_size, channels * frames, size), (param.batch_size,)]
    return [size and (param.batch_size, 3, param.new_length, *size), (param.batch_size,)]


def _old_clips(layer: LayerParameter) -> Stated:
    """(batch, 3, frames, size), (batch, 1, 1, 1, 1): C3D 1.0 says them in the fields of an image list."""
    param = layer.image_data_param
    crop = (param.crop_size, param.crop_size)
    size = served(layer, crop if all(crop) else (param.new_height, param.new_width))
    return [size and (param.batch_size, 3, param.new_length, *size), (param.batch_size, 1, 1, 1, 1)]


def _poses(layer: LayerParameter) -> Stated:
    """(batch, 6, size): the image, and what the data set's records have beside it; (batch, 2 · (parts + 1),
    size / stride), weights and maps (cpm_data_layer.cpp).
    """
    param, batch = layer.cpm_transform_param, layer.data_param.batch_size
    size = (param.crop_size_y, param.crop_size_x)
    maps = (size[0] // param.stride, size[1] // param.stride) if param.stride else (0, 0)
    return [(batch, 6, *size), (batch, 2 * (param.num_parts + 1), *maps)]


_PAIRS = "converters.data.forks.pairs:paired_names"
_ANNOTATED = DataTops(
    "converters.data.forks.annotated:AnnotatedSource", "data_param", shapes=_annotated, is_images=True
)
_ANNOTATED_FIELDS = (
    "annotated_data_param.batch_sampler",
    "annotated_data_param.label_map_file",
    "annotated_data_param.anno_type",
    "transform_param.resize_param",
    "transform_param.noise_param",
    "transform_param.distort_param",
    "transform_param.expand_param",
    "transform_param.emit_constraint",
    "transform_param.crop_h",
    "transform_param.crop_w",
)
_SEGMENTED = DataTops(
    "converters.data.forks.segmentation:DeepLabSource",
    "image_data_param",
    shapes=_segmented,
    is_images=True,
    names_of=_PAIRS,
)
_OF_PSPNET = replace(_SEGMENTED, reader="converters.data.forks.segmentation:PspSource")
_LABELLED = DataTops(param="image_data_param", shapes=_segmented, usual=_pictures, is_images=True)
_DENSE = DataTops(
    "converters.data.forks.segmentation:DenseSource",
    "dense_image_data_param",
    shapes=_dense,
    usual=_street,
    is_images=True,
    names_of=_PAIRS,
)
_WITH_BOXES = DataTops(param="image_gt_data_param", shapes=_with_boxes, is_images=True)
_WITH_SLICES = DataTops(param="image_label_data_param", shapes=_with_slices, is_images=True)
_CLIPS = DataTops(param="video_data_param", shapes=_clips, is_images=True)
_POSES = DataTops(param="data_param", shapes=_poses, is_images=True)


_LABELS = ("image_data_param.label_type", "image_data_param.ignore_label")
_DEEPLAB = Dialect(
    "deeplab",
    fields=(
        *_LABELS,
        "transform_param.scale_factors",
        "transform_param.crop_height",
        "transform_param.crop_width",
    ),
    is_default=True,
)
_PSPNET = Dialect(
    "pspnet",
    also=("icnet",),
    fields=(
        *_LABELS,
        "transform_param.crop_h",
        "transform_param.crop_w",
        "transform_param.rand_resize",
        "transform_param.rand_aspect_ratio",
        "transform_param.gaussian_blur",
    ),
)


_SEG_FILE = "image_seg_data_layer.cpp"
_DENSE_FILE = "alexgkendall/caffe-segnet: dense_image_data_layer.cpp"


@layer(
    "AnnotatedData",
    **fed("weiliu89/caffe: annotated_data_layer.cpp", (1, 2), _ANNOTATED, _ANNOTATED_FIELDS),
)
@layer(
    "ImageSegData",
    **fed(f"aquariusjay/deeplab-public-ver2: {_SEG_FILE}", (2, 3), _SEGMENTED, dialect=_DEEPLAB),
)
@layer("ImageSegData", **LABEL_MAPS)
@layer("ImageSegData", **fed(f"hszhao/PSPNet: {_SEG_FILE}", (2, 3), _OF_PSPNET, dialect=_PSPNET))
@layer("ImageLabelmapData", **fed("s9xie/hed: image_labelmap_data_layer.cpp", (2, 2), _LABELLED))
@layer("DenseImageData", **fed(_DENSE_FILE, (2, 2), _DENSE, ("dense_image_data_param",)))
@layer("ImageLabelData", **fed("fyu/caffe-dilation: image_label_data_layer.cpp", (2, 2), _WITH_SLICES))
@layer("ImageGtData", **fed("zhaoweicai/mscnn: image_gt_data_layer.cpp", (2, None), _WITH_BOXES))
@layer("VideoData", **fed("facebook/C3D: video_data_layer.cpp", (1, 2), _CLIPS))
@layer("CPMData", **fed("CMU caffe_train: cpm_data_layer.cpp", (2, 2), _POSES))
class ForksData(Fed):
    """A data layer of a fork."""
