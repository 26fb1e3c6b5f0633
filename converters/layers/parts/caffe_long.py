"""What longpeng2008/Caffe_Long, the fork of the tuning series' author, has that no other Caffe has, by which
its nets are told (caffe.proto)."""

from dataclasses import replace

from converters.layers.choice import Dialect
from prototxt.caffe_pb2 import LayerParameter

CAFFE_LONG = "caffe-long"
SOURCE = "longpeng2008/Caffe_Long"
DATA_TYPES = ("ImageRegressionData", "ImageProbData")
AUGMENTS = (
    "max_rotation_angle",
    "use_deformed_resize",
    "min_side_min",
    "min_side_max",
    "max_color_shift",
    "contrast_brightness_adjustment",
    "smooth_filtering",
)
_AMOUNTS = (
    "deformed_resize_th",
    "min_contrast",
    "max_contrast",
    "max_brightness_shift",
    "max_smooth",
    "apply_probability",
    "debug_params",
)
FIELDS = tuple(f"transform_param.{name}" for name in (*AUGMENTS, *_AMOUNTS))
# What its code has no line for; a crop's height and width are other forks', too.
UNREAD = tuple(
    f"transform_param.{name}"
    for name in ("min_side", "min_scaling_factor", "max_scaling_factor", "crop_h", "crop_w")
)
_TYPES = (
    *DATA_TYPES,
    "AsymEuclideanLoss",
    "AdaptedWeightedSigmoidCrossEntropyLoss",
    "AdaptedWeightedSoftmaxWithLoss",
    "FixedWeightedSoftmaxWithLoss",
    "KnowledgeDistillation",
    "ChannelShuffle",
    "MultiLabelAccuracy",
    "MultiLabelSigmoidLoss",
    "LargeMarginInnerProduct",
)
_LABELS = ("image_data_param.label_size", "memory_data_param.label_size")
_OF_NET = Dialect(CAFFE_LONG, beside=_TYPES, beside_fields=(*FIELDS, *UNREAD[:3], *_LABELS))


def of_caffe_long(*fields: str, is_default: bool = False) -> Dialect:
    """What tells a data layer that transforms images: the fork's fields, ``fields`` of the layer's own, and
    the other layers of its net.
    """
    return replace(_OF_NET, fields=(*FIELDS, *fields), unread=UNREAD, is_default=is_default)


def is_of_caffe_long(layer: LayerParameter) -> bool:
    """Whether a data layer follows the fork's rules: its dialect says so, or its type."""
    return layer.dialect == CAFFE_LONG or layer.type in DATA_TYPES
