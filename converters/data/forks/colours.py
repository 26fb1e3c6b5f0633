"""Changes of an image's pixels: SSD's ``distort_param`` and ``noise_param`` (im_transforms.cpp). Images are
(height, width, channels) uint8."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from prototxt.caffe_pb2 import DistortionParameter, NoiseParameter
from prototxt.errors import InputError

Array = NDArray[Any]


def distorted(image: Array, param: DistortionParameter, drawn: np.random.Generator) -> Array:
    """Brightness, contrast, saturation and hue, each by its probability and an amount between its bounds;
    contrast comes second or, as often, last. Then the channels in another order.
    """
    contrast = [("contrast", param.contrast_lower, param.contrast_upper)]
    colours = [
        ("saturation", param.saturation_lower, param.saturation_upper),
        ("hue", -param.hue_delta, param.hue_delta),
    ]
    steps = [*contrast, *colours] if drawn.random() > 0.5 else [*colours, *contrast]
    for name, low, high in [("brightness", -param.brightness_delta, param.brightness_delta), *steps]:
        if drawn.random() < getattr(param, f"{name}_prob"):
            image = ADJUSTMENTS[name](image, drawn.uniform(low, high))
    if drawn.random() < param.random_order_prob:
        image = image[:, :, drawn.permutation(image.shape[2])]
    return image


def check_distortion(param: DistortionParameter, layer: str) -> None:
    """Raise InputError for bounds that SSD refuses."""
    for name in ("brightness", "hue"):
        if not 0 <= getattr(param, f"{name}_delta") < np.inf:
            raise InputError(f"{name}_delta must not be negative, nor infinite", layer)
    for name in ("contrast", "saturation"):
        if not 0 <= getattr(param, f"{name}_lower") <= getattr(param, f"{name}_upper") < np.inf:
            raise InputError(f"{name}_lower must not be negative, nor above {name}_upper", layer)


def brightened(image: Array, amount: float) -> Array:
    """Every value plus an amount."""
    return scaled(image, 1, amount)


def contrasted(image: Array, factor: float) -> Array:
    """Every value times a factor; one within a thousandth of 1 does nothing."""
    return scaled(image, factor, 0) if abs(factor - 1) > 1e-3 else image


def saturated(image: Array, factor: float) -> Array:
    """Saturation times a factor."""
    return _in_hsv(image, 1, factor, 0)


def hued(image: Array, amount: float) -> Array:
    """Hue, in half degrees, plus an amount; it stops at 0 and 255, and does not go round."""
    return _in_hsv(image, 0, 1, amount) if amount else image


ADJUSTMENTS: dict[str, Callable[[Array, float], Array]] = {
    "brightness": brightened,
    "contrast": contrasted,
    "saturation": saturated,
    "hue": hued,
}


def scaled(values: Array, factor: float, amount: float) -> Array:
    """cv::Mat::convertTo of bytes: in float32, rounded half to even, and cut to a byte."""
    table = np.arange(256, dtype=np.float32) * np.float32(factor) + np.float32(amount)
    return cv2.LUT(values, np.clip(np.rint(table), 0, 255).astype(np.uint8)).reshape(values.shape)


def _in_hsv(image: Array, channel: int, factor: float, amount: float) -> Array:
    if image.shape[2] != 3:
        raise InputError("saturation and hue need an image of three channels")
    hsv: Array = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    hsv[:, :, channel] = scaled(hsv[:, :, channel], factor, amount)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)


def noised(image: Array, param: NoiseParameter, drawn: np.random.Generator) -> Array:
    """Every kind of noise that is switched on, one after the other. Raises InputError for a grey image where
    one needs colours.
    """
    if param.decolorize:
        _check_coloured(image, "decolorize")
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    if param.gauss_blur:
        image = cv2.GaussianBlur(image, (7, 7), 1.5).reshape(image.shape)
    if param.hist_eq:
        image = _of_luminance(image, cv2.equalizeHist)
    if param.clahe:
        image = _of_luminance(image, cv2.createCLAHE(clipLimit=4).apply)
    if param.jpeg > 0:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(param.jpeg)]
        image = through_jpeg(image, cv2.IMREAD_COLOR, quality)
    if param.erode:
        image = cv2.erode(image, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))).reshape(image.shape)
    if param.posterize:
        image = image // 64 * 64 + 32
    if param.inverse:
        image = ~image
    if param.saltpepper:
        image = _spotted(image, list(param.saltpepper_param.value), param.saltpepper_param.fraction, drawn)
    if param.convert_to_hsv:
        _check_coloured(image, "convert_to_hsv")
        image = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    return image


def _check_coloured(image: Array, what: str) -> None:
    if image.shape[2] < 3:
        raise InputError(f"{what} needs an image in colour")


def through_jpeg(image: Array, flag: int, options: Sequence[int] = ()) -> Array:
    """What is left of an image after it was a JPEG, decoded as ``flag`` says."""
    decoded = cv2.imdecode(cv2.imencode(".jpg", np.ascontiguousarray(image), options)[1], flag)
    assert decoded is not None, "a JPEG that was just made"
    return decoded


def _of_luminance(image: Array, change: Callable[[Array], Array]) -> Array:
    """The image with its luminance changed."""
    if image.shape[2] == 1:
        return change(image[:, :, 0])[:, :, None]
    parts = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb)
    parts[:, :, 0] = change(np.ascontiguousarray(parts[:, :, 0]))
    return cv2.cvtColor(parts, cv2.COLOR_YCrCb2BGR)


def _spotted(image: Array, values: Sequence[float], fraction: float, drawn: np.random.Generator) -> Array:
    """A share of the pixels, drawn with replacement, in one colour."""
    height, width, channels = image.shape
    if len(values) not in (1, channels):
        raise InputError(f"saltpepper_param has {len(values)} values for {channels} channels")
    count = max(0, int(np.float32(fraction) * width * height))
    columns, rows = drawn.integers(width, size=count), drawn.integers(height, size=count)
    spotted = image.copy()
    spotted[rows, columns] = np.array(values, np.float32).astype(np.uint8)
    return spotted
