"""``.caffemodel`` files and a net's blobs."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from converters.host.files import whole
from prototxt.binary.blob import StoredBlob
from prototxt.binary.caffemodel import StoredLayer, find_layers, write_layer, write_net_name
from prototxt.binary.wire import Source, WireError
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

# What Caffe's reader takes (ReadProtoFromBinaryFile: SetTotalBytesLimit of INT_MAX).
_MOST_BYTES = 2**31 - 1


class LayerBlobs(NamedTuple):
    """A layer of a net with its blobs, live; ``label`` tells it from others of its ``name``."""

    name: str
    label: str
    blobs: Sequence[Tensor]


class SavedLayer(NamedTuple):
    """A layer as it is to be written; ``diffs`` are what its blobs' last updates took off them."""

    message: LayerParameter
    blobs: Sequence[Tensor]
    diffs: Sequence[Tensor] | None = None


def load_caffemodel(path: Path, ours: Sequence[LayerBlobs]) -> tuple[list[str], list[Tensor]]:
    """Read each blob of the layers that both have straight into its tensor (Net::CopyTrainedLayersFrom).

    A layer of the file goes into the first of the net that has its name, so that of several in the file the
    last one stays. Returns (layers with blobs that the net lacks, tensors that the file gave). Raises
    InputError, with layer and blob, for a file that is not whole or does not fit; nothing has been changed
    then.
    """
    try:
        with path.open("rb") as file:
            source = Source(file)
            layers = find_layers(source)
            unknown, pairs = _match(path, layers, ours)
            for stored, blob in pairs:
                assign(blob, partial(stored.read_into, source))
    except WireError as error:
        raise InputError(f"{path}: no whole .caffemodel: {error}") from None
    return unknown, [blob for _, blob in pairs]


def _match(
    path: Path, layers: Sequence[StoredLayer], ours: Sequence[LayerBlobs]
) -> tuple[list[str], list[tuple[StoredBlob, Tensor]]]:
    """Pair the file's blobs with the net's, by layer name and place."""
    if not layers:
        raise InputError(f"{path}: no .caffemodel, or one without weights: no layer in it has a blob")
    targets = by_name(reversed(ours))
    holding = {layer.name for layer in layers if layer.blobs}
    named = [x for x in layers if x.name in targets and (x.blobs or x.name not in holding)]
    unknown = [layer.name for layer in layers if layer.blobs and layer.name not in targets]
    if unknown and any(targets.values()) and not any(layer.blobs for layer in named):
        raise InputError(f"{path}: none of its layers with blobs is in the net: {_some(unknown)}")
    for layer in named:
        _check(path, layer, targets[layer.name])
    return unknown, [pair for layer in named for pair in zip(layer.blobs, targets[layer.name], strict=True)]


def by_name(layers: Iterable[LayerBlobs]) -> dict[str, Sequence[Tensor]]:
    """The blobs that a name stands for: of several layers the last one's that has any."""
    blobs: dict[str, Sequence[Tensor]] = {}
    for layer in layers:
        if layer.blobs or layer.name not in blobs:
            blobs[layer.name] = layer.blobs
    return blobs


def _check(path: Path, layer: StoredLayer, blobs: Sequence[Tensor]) -> None:
    """Caffe's rules for one layer: as many blobs, and of the same shapes."""
    place = f'{path}: layer "{layer.name}"'
    if len(layer.blobs) != len(blobs):
        hint = count_hint([stored.shape for stored in layer.blobs], len(blobs))
        raise InputError(f"{place}: {len(layer.blobs)} blobs in the file, {len(blobs)} in the net{hint}")
    for index, (stored, blob) in enumerate(zip(layer.blobs, blobs, strict=True)):
        if problem := stored.problem():
            raise InputError(f"{place}: blob {index} {problem}")
        if not stored.fits(blob.shape):
            shapes = f"{stored.shape}, in the net {tuple(blob.shape)}"
            raise InputError(f"{place}: blob {index} has shape {shapes}")


def count_hint(stored: Sequence[Sequence[int]], ours: int) -> str:
    """What a file's number of blobs for a layer, other than the net's, means where that is known."""
    counts = [math.prod(shape) for shape in stored]
    if len(counts) == 5 and counts[2] == 1 and counts == [counts[0]] * 2 + [1] + [counts[0]] * 2:
        return (
            ": these are of NVIDIA's BatchNorm with scale_bias (mean, variance, 1, scale, bias); Caffe 1.0 "
            "has scale and bias in a Scale layer with bias_term: true behind it"
        )
    if {len(counts), ours} == {1, 2}:
        with_bias, without = ("file", "net") if ours == 1 else ("net", "file")
        return f": the {with_bias} has a bias and the {without} has none; bias_term in the prototxt decides"
    return ""


def _some(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


@torch.no_grad()
def assign(blob: Tensor, read: Callable[[NDArray[np.float32]], object]) -> None:
    """Have ``read`` fill a flat array of the blob's values: its own memory, where it can be."""
    direct = blob.device.type == "cpu" and blob.dtype == torch.float32 and blob.is_contiguous()
    target = blob.detach() if direct else torch.empty(blob.shape, dtype=torch.float32)
    read(target.numpy().reshape(-1))
    if not direct:
        blob.copy_(target)


def as_array(blob: Tensor) -> NDArray[np.float32]:
    """The blob's values as Caffe has them, without a copy where they are so already."""
    array: NDArray[np.float32] = blob.detach().to("cpu", torch.float32).contiguous().numpy()
    return array


def save_caffemodel(path: Path, name: str, layers: Sequence[SavedLayer]) -> None:
    """Write a net as Caffe does (Net::ToProto), whole or not at all.

    Blobs that layers share are written with each of them. Raises InputError for more than the 2 GiB that
    Caffe reads.
    """
    values = sum(4 * math.prod(x.shape) for layer in layers for x in [*layer.blobs, *(layer.diffs or [])])
    if values > _MOST_BYTES:
        raise InputError(f"{path}: {values:,} bytes of weights; Caffe reads up to 2 GiB: save as .h5")
    with whole(path) as beside, beside.open("wb") as file:
        write_net_name(file, name)
        for message, blobs, diffs in layers:
            shapes = [blob.shape for blob in blobs]
            arrays = None if diffs is None else map(as_array, diffs)
            write_layer(file, message, shapes, map(as_array, blobs), arrays)
