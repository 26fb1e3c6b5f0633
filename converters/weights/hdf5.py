"""Weights as HDF5, laid out as Caffe's: ``/data/<layer>/<blob>`` (Net::ToHDF5)."""

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from converters.blobs import memory
from converters.host.files import whole
from converters.layers.choice import Stored
from converters.weights.caffemodel import LayerBlobs, SavedLayer, as_array, assign, by_name, count_hint
from prototxt.errors import InputError
from prototxt.rawbytes import bytes_of, text_of, to_message

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_BROKEN = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)


def load_hdf5(path: Path, ours: Sequence[LayerBlobs]) -> tuple[list[str], list[Tensor]]:
    """Read the blobs of the layers that both have (Net::CopyTrainedLayersFromHDF5).

    Of the net's layers of one name the last is read into, as Caffe's index of names has that. A blob that
    shares another's memory may be absent. Returns (layers with blobs that the net lacks, tensors that the
    file gave). Raises InputError, with layer and blob, for a file that does not fit, before anything has
    changed, and for one that is not whole.
    """
    with _opened(path) as data:
        if not len(data):
            raise InputError(f'{path}: no weights of Caffe: its group "data" holds no layer')
        stored = _datasets(data)
        targets = by_name(ours)
        groups = {_group(name): name for name in targets}
        unknown = [group for group in stored if group not in groups]
        if stored and any(targets.values()) and not any(group in groups for group in stored):
            raise InputError(f"{path}: none of its {len(stored)} layers with blobs is in the net")
        uses = Counter(memory(blob) for layer in ours for blob in layer.blobs)
        pairs = [
            pair
            for group, name in groups.items()
            if data.get(_native(group)) is not None
            for pair in _match(f'{path}: layer "{name}"', stored.get(group, {}), targets[name], uses)
        ]
        for dataset, blob in pairs:
            assign(blob, lambda out, dataset=dataset: _read(dataset, out))  # type: ignore[misc]
    return unknown, [blob for _, blob in pairs]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file's group ``data``; what h5py says of a broken file as an InputError."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if not isinstance(file.get("data"), h5py.Group):
                raise InputError(f'{path}: no weights of Caffe: it has no group "data"')
            yield file["data"]
    except InputError:
        raise
    except _BROKEN as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: no whole .h5 file: {reason}") from None


def _datasets(data: Any) -> dict[str, dict[str, Any]]:
    """layer → blob's name → data set, whatever depth the slashes in a layer's name put it at."""
    datasets: dict[str, dict[str, Any]] = {}
    for name, item in _visited(data, ""):
        layer, _, index = name.rpartition("/")
        datasets.setdefault(layer, {})[index] = item
    return datasets


def stored_datasets(path: Path) -> dict[str, list[Stored]]:
    """The blobs of each layer, in Caffe's order, each read when it is asked for. Raises InputError."""
    with _opened(path) as data:
        return {
            layer: [
                Stored(tuple(blobs[index].shape), partial(_values, path, layer, index))
                for index in sorted(blobs, key=int)
            ]
            for layer, blobs in _datasets(data).items()
            if all(index.isdigit() for index in blobs)
        }


def _values(path: Path, layer: str, index: str) -> NDArray[np.float32]:
    with _opened(path) as data:
        return np.asarray(data[_native(_group(f"{layer}/{index}"))], np.float32)


def _visited(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Every data set with its path; h5py has a name that is no UTF-8 as bytes."""
    import h5py

    for key in group:
        name = prefix + (to_message(text_of(key)) if isinstance(key, bytes) else key)
        item = group[key]
        if isinstance(item, h5py.Dataset):
            yield name, item
        else:
            yield from _visited(item, f"{name}/")


def _group(layer: str) -> str:
    """A layer's name as HDF5 reads it: a path, in which empty steps do not count."""
    return "/".join(step for step in layer.split("/") if step)


def _native(group: str) -> str | bytes:
    """A group's path as h5py takes it: bytes where it is no UTF-8."""
    raw = bytes_of(group)
    return group if raw == group.encode() else raw


def _match(
    place: str, stored: dict[str, Any], blobs: Sequence[Tensor], uses: Mapping[int, int]
) -> list[tuple[Any, Tensor]]:
    """Pair data sets with blobs by their number, by Caffe's rules; ``uses``: how many are one memory."""
    hint = count_hint([dataset.shape for dataset in stored.values()], len(blobs))
    if extra := stored.keys() - {str(index) for index in range(len(blobs))}:
        raise InputError(f"{place}: blob {min(extra)} in the file, {len(blobs)} blobs in the net{hint}")
    pairs = []
    for index, blob in enumerate(blobs):
        dataset = stored.get(str(index))
        if dataset is not None:
            _check(f"{place}: blob {index}", dataset, blob)
            pairs.append((dataset, blob))
        elif uses[memory(blob)] < 2:
            raise InputError(f"{place}: blob {index} is not in the file{hint}")
    return pairs


def _check(place: str, dataset: Any, blob: Tensor) -> None:
    if dataset.dtype.kind not in "fiu":
        raise InputError(f"{place} holds {dataset.dtype}, not numbers")
    if dataset.shape != tuple(blob.shape):
        raise InputError(f"{place} has shape {dataset.shape}, in the net {tuple(blob.shape)}")


def _read(dataset: Any, out: NDArray[np.float32]) -> None:
    if out.size:
        dataset.read_direct(out.reshape(dataset.shape))


def save_hdf5(path: Path, layers: Sequence[SavedLayer]) -> None:
    """Write blobs as Caffe does, whole or not at all; of blobs that layers share the first one's only.

    A slash in a layer's name makes a group in a group, as HDF5 has it: read here, but not by Caffe, which
    can neither write nor read such layers as HDF5; a Python warning says so.
    """
    import h5py

    if slashed := [layer.message.name for layer in layers if layer.blobs and "/" in layer.message.name]:
        warnings.warn(
            f'{path}: Caffe finds no layer with "/" in its name in a .h5: {slashed[0]}', stacklevel=3
        )
    _refuse_two_of_one_name(path, layers)
    seen: set[int] = set()
    with whole(path) as beside, h5py.File(beside, "w") as file:
        data = file.create_group("data")
        for message, blobs, diffs in layers:
            own = [(index, blob) for index, blob in enumerate(blobs) if memory(blob) not in seen]
            _write_layer(path, data, message.name, own)
            seen.update(memory(blob) for blob in blobs)
            if diffs is not None:
                _write_layer(path, file.require_group("diff"), message.name, list(enumerate(diffs)))


def _refuse_two_of_one_name(path: Path, layers: Sequence[SavedLayer]) -> None:
    counts = Counter(layer.message.name for layer in layers if layer.blobs)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise InputError(
            f'{path}: two layers are called "{twice[0]}", and HDF5 keeps one of a name, with Caffe as here: '
            "save as .caffemodel or .safetensors"
        )


def _write_layer(path: Path, data: Any, layer: str, blobs: Sequence[tuple[int, Tensor]]) -> None:
    """One group, with a data set a blob. Raises InputError for a name that HDF5 cannot hold beside others."""
    try:
        name = _native(_group(layer))
        group = data.require_group(name) if isinstance(name, str) else data.create_group(name)
        for index, blob in blobs:
            group.create_dataset(str(index), data=as_array(blob))
    except (ValueError, TypeError) as error:
        raise InputError(f'{path}: layer "{layer}" cannot be stored as HDF5: {error}') from None
