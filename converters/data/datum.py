"""Datum: one record of a database (caffe.proto; io.cpp, DecodeDatumToCVMat)."""

from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from prototxt.caffe_pb2 import Datum, DatumLabels, TransformationParameter
from prototxt.errors import InputError

Array = np.ndarray[Any, np.dtype[Any]]


def parse_datum(record: bytes) -> Datum:
    """A record as a Datum. Raises InputError where it is none."""
    try:
        return Datum.FromString(record)
    except DecodeError:
        raise InputError("is no Datum") from None


def labels_of(record: bytes) -> tuple[int, ...]:
    """Every label of a record, in which Caffe 1.0 writes one; 0 where there is none. Raises InputError where
    it is no Datum.
    """
    try:
        return tuple(DatumLabels.FromString(record).label) or (0,)
    except DecodeError:
        raise InputError("is no Datum") from None


def datum_pixels(datum: Datum, param: TransformationParameter) -> Array:
    """(height, width, channels): uint8 where the Datum has bytes, else float32 of its float_data.

    force_color and force_gray say how an encoded image is decoded; without them it keeps its channels.
    Raises InputError where the size is not what the Datum says, or the image cannot be decoded.
    """
    if datum.encoded:
        return _decoded(datum.data, param)
    shape = (datum.channels, datum.height, datum.width)
    values = np.frombuffer(datum.data, np.uint8) if datum.data else np.array(datum.float_data, np.float32)
    if min(shape) < 1 or len(values) != shape[0] * shape[1] * shape[2]:
        raise InputError(f"holds {len(values)} values for {shape[0]}×{shape[1]}×{shape[2]}")
    return values.reshape(shape).transpose(1, 2, 0)


def _decoded(data: bytes, param: TransformationParameter) -> Array:
    import cv2

    flag = cv2.IMREAD_COLOR if param.force_color else cv2.IMREAD_UNCHANGED
    flag = cv2.IMREAD_GRAYSCALE if param.force_gray else flag
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:  # no bytes at all
        image = None
    if image is None:
        raise InputError("holds an image that cannot be decoded")
    if image.dtype != np.uint8:  # data_transformer.cpp takes CV_8U alone
        raise InputError(f"holds an image of {image.dtype}, not of bytes")
    return image.reshape(image.shape[0], image.shape[1], -1)
