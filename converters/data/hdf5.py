"""HDF5Data: rows of datasets, one dataset a top, file after file (hdf5_data_layer.cpp)."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from converters.data.order import file_order, row_order
from converters.data.source import DataSource, SourceOptions
from converters.host.places import find
from converters.layers.checks import positive
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError
from prototxt.rawbytes import text_of

Array = np.ndarray[Any, np.dtype[np.float32]]


class Hdf5Source(DataSource):
    """The rows of every file in turn, round after round. With shuffle each round has its own order of
    files, and each file its own order of rows. One file at a time is held in memory, as in Caffe.
    """

    def __init__(self, layer: LayerParameter, options: SourceOptions) -> None:
        super().__init__(layer)
        param = layer.hdf5_data_param
        positive(layer, batch_size=param.batch_size)
        if layer.HasField("transform_param"):
            raise InputError("HDF5Data does not transform data; drop transform_param", layer.name)
        self.seed, self.shuffle, self.batch_size = options.seed, param.shuffle, param.batch_size
        names = listed_names(find(param.source, options.places))
        self.files = [find(name, options.places) for name in names]
        sizes = [_sizes(file, layer) for file in self.files]
        for file, file_sizes in zip(self.files, sizes, strict=True):
            if [size[1:] for size in file_sizes] != [size[1:] for size in sizes[0]]:
                raise InputError(f"{file}: rows of another shape than in {self.files[0]}", layer.name)
        self.counts = np.array([size[0][0] for size in sizes])
        if not self.counts.sum():
            raise InputError(f"{self.files[0]}: no file of the list has a row", layer.name)
        self.shapes = {top: (self.batch_size, *s[1:]) for top, s in zip(layer.top, sizes[0], strict=True)}
        self._loaded: tuple[int, list[Array]] = (-1, [])

    def batch(self, index: int) -> dict[str, Tensor]:
        """(batch, …) float32 of every top: the dataset's own axes after the first."""
        start = index * self.batch_size
        places = [self._place(serial) for serial in range(start, start + self.batch_size)]
        rows = [[array[row] for array in self._arrays(file)] for file, row in places]
        tops = [torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True)]
        return dict(zip(self.layer.top, tops, strict=True))

    def record(self, index: int, sample: int) -> str:
        """The file and its row, from 0."""
        file, row = self._place(index * self.batch_size + sample)
        return f"{self.files[file]}: row {row}"

    def _place(self, serial: int) -> tuple[int, int]:
        """(file, row) of the ``serial``-th row."""
        turn, place = divmod(serial, int(self.counts.sum()))
        order = file_order(self.seed, turn, len(self.files)) if self.shuffle else np.arange(len(self.files))
        ends = np.cumsum(self.counts[order])
        nth = int(np.searchsorted(ends, place, side="right"))
        file = int(order[nth])
        row = place - int(ends[nth] - self.counts[file])
        if self.shuffle:
            row = int(row_order(self.seed, turn, file, int(self.counts[file]))[row])
        return file, row

    def _arrays(self, file: int) -> list[Array]:
        if self._loaded[0] != file:
            self._loaded = file, _load(self.files[file], self.layer)
        return self._loaded[1]


def listed_names(source: Path) -> list[str]:
    """The files that an HDF5Data's source names, parted by ASCII blanks or line ends. Raises InputError for
    a list that cannot be read or is empty.
    """
    try:
        names = [text_of(name) for name in source.read_bytes().split()]
    except OSError as error:
        raise InputError(f"{source}: cannot be read as a list of HDF5 files ({error})") from None
    if not names:
        raise InputError(f"{source}: the list is empty")
    return names


def _sizes(path: Path, layer: LayerParameter) -> list[tuple[int, ...]]:
    """The shape of every top's dataset, without reading it. Raises InputError for one that is missing,
    no numbers, or of another length than the first top's.
    """
    import h5py

    with _opened(path, layer) as file:
        for top in layer.top:
            if not isinstance(file.get(top), h5py.Dataset):
                known = ", ".join(file) or "nothing"
                raise InputError(f'{path}: has no dataset "{top}" (it has {known})', layer.name)
            if file[top].dtype.kind not in "fiu" or not file[top].shape:
                raise InputError(f'{path}: dataset "{top}" is no array of numbers', layer.name)
        sizes = [tuple(file[top].shape) for top in layer.top]
    for top, size in zip(layer.top, sizes, strict=True):
        if size[0] != sizes[0][0]:
            first = f'"{layer.top[0]}" {sizes[0][0]}'
            raise InputError(f'{path}: dataset "{top}" has {size[0]} rows, {first}', layer.name)
    return sizes


def _load(path: Path, layer: LayerParameter) -> list[Array]:
    with _opened(path, layer) as file:
        try:
            return [np.asarray(file[top][()], np.float32) for top in layer.top]
        except (OSError, KeyError) as error:
            raise InputError(f"{path}: cannot be read ({error})", layer.name) from None


def _opened(path: Path, layer: LayerParameter) -> Any:
    import h5py

    if not path.is_file():
        raise InputError(f"{path}: no such HDF5 file", layer.name)
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: is no HDF5 file ({error})", layer.name) from None
