"""How the fork of the tuning series' author varies an image before it is cropped
(longpeng2008/Caffe_Long: data_transformer.cpp, Transform of a cv::Mat). Images are (height, width, channels)
uint8, and what is random comes from the generator that a caller hands over."""

from collections.abc import Collection
from math import ceil, floor, isfinite
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from converters.data.forks.colours import scaled
from converters.data.forks.cropping import feasible, resizable
from converters.layers.parts.caffe_long import AUGMENTS, is_of_caffe_long
from prototxt.caffe_pb2 import LayerParameter, TransformationParameter
from prototxt.errors import InputError

Image = NDArray[np.uint8]
Drawn = np.random.Generator
Size = tuple[int, int]  # height and width


def is_augmented(layer: LayerParameter) -> bool:
    """Whether a layer follows the fork's rules, or asks for one of its steps and for no other's rules."""
    if layer.dialect or is_of_caffe_long(layer):
        return is_of_caffe_long(layer)
    return any(getattr(layer.transform_param, name) for name in AUGMENTS)


def augmented(image: Image, layer: LayerParameter, train: bool, drawn: Drawn) -> Image:
    """The image rotated, resized, and with other colours and details: in TEST resized alone. Of another size
    where it is rotated or resized, with as many channels.

    Raises InputError as :func:`check_augmentation` does, and for an image that cannot become as large.
    """
    check_augmentation(layer, train)
    param = layer.transform_param
    if train and param.max_rotation_angle:
        angle = int(drawn.integers(-param.max_rotation_angle, param.max_rotation_angle, endpoint=True))
        image = rotated(image, angle)
    image = _resized(image, param, train, drawn)
    if train:
        image = shifted(image, param, drawn)
        image = contrasted(image, param, drawn)
        image = _smoothed(image, param, drawn)
    return image


def rotated(image: Image, angle: int) -> Image:
    """By whole degrees, counter-clockwise, about the middle; as large as its corners ask for, and black where
    no pixel was.
    """
    if not angle:
        return image
    height, width = image.shape[:2]
    corners = cv2.boxPoints(((width / 2, height / 2), (width, height), angle)).tolist()
    # cv::RotatedRect::boundingRect
    size = tuple(ceil(max(each)) - floor(min(each)) + 1 for each in zip(*corners, strict=True))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1)
    turn[0, 2] += size[0] / 2 - width / 2
    turn[1, 2] += size[1] / 2 - height / 2
    with feasible(f"rotated by {angle} degrees"):
        return _with_channels(cv2.warpAffine(image, turn, size))


def is_deformed(param: TransformationParameter, drawn: Drawn) -> bool:
    """Whether an image is squeezed into a square, which is drawn."""
    return bool(param.use_deformed_resize and drawn.random() >= param.deformed_resize_th)


def may_deform(param: TransformationParameter) -> bool:
    """Whether :func:`is_deformed` is true of any image."""
    return param.use_deformed_resize and param.deformed_resize_th < 1


def keeps_aspect(param: TransformationParameter) -> bool:
    """Whether images that are not squeezed are resized by a side: one bound alone does nothing."""
    return bool(param.min_side_min and param.min_side_max)


def resizes(layer: LayerParameter) -> bool:
    """Whether a layer of the fork resizes images in TEST, to its crop_size."""
    param = layer.transform_param
    return is_augmented(layer) and (may_deform(param) or keeps_aspect(param))


def drawn_side(param: TransformationParameter, drawn: Drawn) -> int:
    """The length of a side, each from min_side_min to min_side_max as likely."""
    return int(drawn.integers(param.min_side_min, param.min_side_max, endpoint=True))


def _resized(image: Image, param: TransformationParameter, train: bool, drawn: Drawn) -> Image:
    """Bilinearly, to a side that is drawn, in TEST to the crop's."""
    deformed = is_deformed(param, drawn)
    if not (deformed or keeps_aspect(param)):
        return image
    side = drawn_side(param, drawn) if train else param.crop_size
    height, width = (side, side) if deformed else _fitted((image.shape[0], image.shape[1]), side)
    with resizable(f"to {height}×{width}"):
        return _with_channels(cv2.resize(image, (width, height)))


def _fitted(size: Size, side: int) -> Size:
    """Of an image of ``size`` the one whose shorter side is ``side``. The other is rounded up from a quotient
    in double precision, which may lie above a whole number: 22×22 becomes 30×31.
    """
    height, width = size
    if height <= width:
        return side, ceil(width / (height / side))
    return ceil(height / (width / side)), side


def shifted(image: Image, param: TransformationParameter, drawn: Drawn) -> Image:
    """By apply_probability, blue, green and red each by up to max_color_shift, all up or all down."""
    if not param.max_color_shift or not _happens(param, drawn):
        return image
    by = [*drawn.integers(param.max_color_shift, size=3, endpoint=True), 0]  # a fourth channel stays
    change = cv2.add if drawn.random() < 0.5 else cv2.subtract  # ten times as fast as a table
    # A row of them, one a channel: OpenCV takes what has one axis for the pixels of a grey image of 4×1.
    return _with_channels(change(image, np.array([by[: image.shape[2]]], np.float64), dtype=cv2.CV_8U))


def contrasted(image: Image, param: TransformationParameter, drawn: Drawn) -> Image:
    """By apply_probability, every value times a factor and plus a whole number."""
    if not param.contrast_brightness_adjustment or not _happens(param, drawn):
        return image
    factor = drawn.uniform(param.min_contrast, param.max_contrast)
    most = param.max_brightness_shift
    return scaled(image, factor, int(drawn.integers(-most, most, endpoint=True)))


def _smoothed(image: Image, param: TransformationParameter, drawn: Drawn) -> Image:
    """By apply_probability, one of four filters of a width that is odd; the last has twice as much."""
    if not _may_smooth(param) or not _happens(param, drawn):
        return image
    kind, width = int(drawn.integers(4)), 1 + 2 * int(drawn.integers(int(param.max_smooth / 2)))
    with feasible(f"smoothed over {width} pixels"):
        return _with_channels(_filtered(image, kind, width))


def _filtered(image: Image, kind: int, width: int) -> Any:
    if kind == 0:
        return cv2.GaussianBlur(image, (width, width), 0)
    if kind == 1:
        return cv2.blur(image, (width, width))
    if kind == 2:
        return cv2.medianBlur(image, width)
    return cv2.blur(image, (2 * width, 2 * width))


def _may_smooth(param: TransformationParameter) -> bool:
    return param.smooth_filtering and param.max_smooth > 1


def _happens(param: TransformationParameter, drawn: Drawn) -> bool:
    return bool(drawn.random() > 1 - param.apply_probability)


def _with_channels(image: Any) -> Image:
    """OpenCV's image with an axis of channels, which it leaves out of a grey one."""
    made: Image = image if image.ndim == 3 else image[:, :, None]
    return made


def check_augmentation(layer: LayerParameter, train: bool) -> None:
    """Raise InputError for fields of ``transform_param`` with which the fork aborts, at the first image or at
    the first that draws what it cannot do.
    """
    param = layer.transform_param
    if may_deform(param) or keeps_aspect(param):
        _check_sides(layer, train)
    if train and param.apply_probability > 0:
        _check_amounts(layer)
    if train:
        check_generator(layer, train)


def _check_sides(layer: LayerParameter, train: bool) -> None:
    param = layer.transform_param
    if param.min_side_min < param.crop_size:
        reason = f"min_side_min {param.min_side_min} is less than crop_size {param.crop_size}"
        raise InputError(reason, layer.name)
    if not train and not param.crop_size:
        raise InputError("images are resized to crop_size in TEST, and none is said", layer.name)
    if train:
        check_drawn_side(layer)


def check_drawn_side(layer: LayerParameter) -> None:
    """Raise InputError where no side can be drawn."""
    param = layer.transform_param
    if param.min_side_max < param.min_side_min:
        reason = f"min_side_max {param.min_side_max} is less than min_side_min {param.min_side_min}"
        raise InputError(reason, layer.name)
    if not param.min_side_min:
        raise InputError("use_deformed_resize needs a min_side_min above 0", layer.name)


def _check_amounts(layer: LayerParameter) -> None:
    param = layer.transform_param
    if param.contrast_brightness_adjustment:
        check_contrast(layer)
    if _may_smooth(param) and not (param.max_smooth >= 2 and isfinite(param.max_smooth)):
        reason = f"max_smooth {param.max_smooth:g}: 2 or more smooths, 1 or less does not"
        raise InputError(reason, layer.name)


def check_contrast(layer: LayerParameter) -> None:
    """Raise InputError where no factor can be drawn."""
    low, high = layer.transform_param.min_contrast, layer.transform_param.max_contrast
    if not (low <= high and isfinite(low) and isfinite(high)):
        raise InputError(f"min_contrast {low:g} is more than max_contrast {high:g}", layer.name)


def check_generator(layer: LayerParameter, train: bool, without: Collection[str] = ()) -> None:
    """Raise InputError where something is drawn, but for fields ``without`` effect, and the fork has made
    nothing to draw from (DataTransformer::InitRand): it needs mirror, or in TRAIN crop_size.
    """
    param = layer.transform_param
    if param.mirror or (train and param.crop_size):
        return
    happening = train and param.apply_probability > 0
    drawing = {
        "max_rotation_angle": train and param.max_rotation_angle,
        "min_side_min": keeps_aspect(param),
        "use_deformed_resize": may_deform(param),
        "max_color_shift": happening and param.max_color_shift,
        "contrast_brightness_adjustment": happening and param.contrast_brightness_adjustment,
        "smooth_filtering": happening and _may_smooth(param),
    }
    for name in (name for name, is_drawn in drawing.items() if is_drawn and name not in without):
        raise InputError(f"{name} draws at random, which takes crop_size in TRAIN, or mirror", layer.name)
