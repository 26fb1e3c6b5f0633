"""The blobs of a weight file by layer, read before there is a net for them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.layers.choice import Stored
from converters.weights.formats import read_tensor, tensor_shapes, weights_format
from converters.weights.hdf5 import stored_datasets
from prototxt.binary.blob import StoredBlob
from prototxt.binary.caffemodel import find_layers
from prototxt.binary.wire import Source, WireError
from prototxt.errors import InputError

Blobs = dict[str, list[Stored]]


def stored_blobs(path: Path) -> Blobs:
    """The blobs of each layer of a .caffemodel or .h5 file, in Caffe's order, or of a .safetensors file, with
    their names; values are read when they are asked for.

    Raises InputError for a file that is not whole.
    """
    readers: dict[str, Callable[[Path], Blobs]] = {
        "caffemodel": _of_caffemodel,
        "hdf5": stored_datasets,
        "safetensors": _of_safetensors,
    }
    return readers[weights_format(path)](path)


def _of_caffemodel(path: Path) -> Blobs:
    try:
        with path.open("rb") as file:
            layers = find_layers(Source(file))
    except WireError as error:
        raise InputError(f"{path}: no whole .caffemodel: {error}") from None
    return {
        layer.name: [Stored(blob.shape, partial(_read, path, blob)) for blob in layer.blobs]
        for layer in layers
    }


def _read(path: Path, blob: StoredBlob) -> NDArray[np.float32]:
    values = np.zeros(blob.count, np.float32)
    with path.open("rb") as file:
        blob.read_into(Source(file), values)
    return values


def _of_safetensors(path: Path) -> Blobs:
    blobs: Blobs = {}
    for key, shape in tensor_shapes(path).items():
        layer, _, name = key.rpartition(".")
        blobs.setdefault(layer, []).append(Stored(shape, partial(_tensor, path, key), name))
    return blobs


def _tensor(path: Path, key: str) -> NDArray[np.float32]:
    values: NDArray[np.float32] = read_tensor(path, key).float().numpy()
    return values
