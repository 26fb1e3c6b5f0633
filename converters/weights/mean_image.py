"""``.binaryproto``: one blob in a file, as Caffe keeps mean images."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.host.files import whole
from prototxt.binary.blob import find_blob
from prototxt.binary.wire import Source, WireError
from prototxt.caffe_pb2 import BlobProto
from prototxt.errors import InputError

_LEGACY = ("num", "channels", "height", "width")


def read_mean(path: Path) -> NDArray[np.float32]:
    """The blob of a .binaryproto (Blob::FromProto). Raises InputError where it is not one, or not whole."""
    try:
        with path.open("rb") as file:
            source = Source(file)
            blob = find_blob(source, 0, source.size)
            if not blob.count or blob.problem():
                raise WireError(f"the blob {blob.problem() or 'is empty'}")
            values = np.empty(blob.count, np.float32)
            blob.read_into(source, values)
    except WireError as error:
        raise InputError(f"{path}: no whole .binaryproto: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    return values.reshape(blob.shape)


def write_mean(path: Path, image: NDArray[np.float32]) -> None:
    """Write a blob as a .binaryproto, whole or not at all; four axes as compute_image_mean.cpp does."""
    blob = BlobProto(data=image.astype(np.float32).ravel())
    if image.ndim == len(_LEGACY):
        for field, size in zip(_LEGACY, image.shape, strict=True):
            setattr(blob, field, size)
    else:
        blob.shape.dim.extend(image.shape)
    with whole(path) as beside:
        beside.write_bytes(blob.SerializeToString())
