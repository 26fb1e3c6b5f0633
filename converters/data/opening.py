"""From a data layer's message to its source: the one table of families."""

from collections.abc import Callable, Sequence
from pathlib import Path

from converters.data.dummy import DummySource
from converters.data.hdf5 import Hdf5Source
from converters.data.images.pixels import Options
from converters.data.images.source import ImageSource
from converters.data.memory import MemorySource
from converters.data.records import RecordSource
from converters.data.source import DataSource
from converters.data.windows.source import WindowSource
from converters.graph import trains
from converters.host.places import HERE
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError, of_layer

_FAMILIES: dict[str, Callable[[LayerParameter, Options], DataSource]] = {
    "Data": RecordSource,
    "DummyData": lambda layer, options: DummySource(layer, options.seed),
    "HDF5Data": Hdf5Source,
    "ImageData": ImageSource,
    "MemoryData": lambda layer, options: MemorySource(layer),
    "WindowData": WindowSource,
}
SOURCE_TYPES = frozenset(_FAMILIES)


def open_data(
    layer: LayerParameter,
    phase: str,
    seed: int = 0,
    places: Sequence[Path] = HERE,
    skip_bad: bool = False,
    label_size: int | None = None,
) -> DataSource:
    """The source of a data layer's batches; in TRAIN crops are random, in TEST central. The layer's own
    ``phase`` beats the one given, as in Net::Init.

    Relative paths of the layer (source, root_folder, mean_file) and of its list are sought in ``places``,
    the first that has them wins. Layers of one net that shall choose independently need seeds of their
    own (from 0). ``skip_bad`` takes the next whole record in place of one that cannot be read, and counts it.
    ``label_size`` takes the last that many words of a list's lines for numbers, and gives (N, label_size).

    Raises InputError, naming the layer, for a layer that reads nothing, a file that is missing or broken,
    and for parameters that do not fit the data.
    """
    with of_layer(layer):
        if layer.type not in _FAMILIES:
            raise InputError(f'type "{layer.type}" reads no data')
        if layer.type in _NAMED and not getattr(layer, _NAMED[layer.type]).source:
            raise InputError(f"{_NAMED[layer.type]} names no source")
        if label_size is not None and layer.type != "ImageData":
            raise InputError(f"label_size is for lists of images, not {layer.type}")
        options = Options(trains(layer, phase), seed, list(places) or HERE, skip_bad, label_size)
        return _FAMILIES[layer.type](layer, options)


_NAMED = {
    "Data": "data_param",
    "HDF5Data": "hdf5_data_param",
    "ImageData": "image_data_param",
    "WindowData": "window_data_param",
}
