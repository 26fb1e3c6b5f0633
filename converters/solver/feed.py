"""What feeds a solver's net: batches by their number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from converters.data.input import InputTensors
from converters.data.memory import MemorySource
from converters.data.opening import is_readable, open_data
from converters.data.rows import RowSource
from converters.data.source import DataSource
from converters.graph import Graph
from converters.layers.registry import record_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

CPU = torch.device("cpu")


class Batches(Protocol):
    """What a net is fed from; batches count from 0 at iteration 0."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of every top."""

    @property
    def batch_size(self) -> int:
        """Samples in one batch of one rank."""

    @property
    def skipped(self) -> int:
        """How many broken images or records were passed over so far."""

    @property
    def is_pure(self) -> bool:
        """Whether a batch follows from its number alone, whenever and in whatever thread it is made."""

    def batch(self, index: int) -> dict[str, Tensor]:
        """The ``index``-th batch, by top, where the net's blobs are. Raises InputError from the data."""

    def record(self, index: int, top: str, sample: int, samples: int) -> str | None:
        """Where the ``sample``-th of the ``samples`` of that batch's ``top`` was read; None where no
        sample is a row of the data.
        """

    def close(self) -> None:
        """Let go of files and threads; the feed is of no use afterwards."""


@dataclass
class SourceFeed:
    """Serves the batches of a net's data layers, several as one.

    Rank r of w takes the batches r, w + r, 2·w + r, … of each. Arrays that a program hands over
    (:meth:`set_arrays`) count from the batch that was due then.
    """

    sources: Sequence[Any]  # DataSource or InputTensors
    device: torch.device = CPU
    rank: int = 0
    world: int = 1
    _first: dict[int, int] = field(default_factory=dict)  # of a source, by place: the number of its batch 0

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every top."""
        return {top: tuple(shape) for source in self.sources for top, shape in source.shapes.items()}

    @property
    def batch_size(self) -> int:
        """Samples in one batch of one rank; 1 for a net that feeds itself."""
        return next((shape[0] for shape in self.shapes.values() if shape), 1)

    @property
    def skipped(self) -> int:
        """How many broken records were passed over so far."""
        return sum(source.skipped for source in self.sources if isinstance(source, DataSource))

    @property
    def is_pure(self) -> bool:
        """Not where a program hands over arrays, or torch's generator draws the values."""
        return bool(self.sources) and all(isinstance(source, RowSource) for source in self.sources)

    def batch(self, index: int) -> dict[str, Tensor]:
        """This rank's share of the ``index``-th batch since the start of training, by top."""
        return {
            top: tensor.to(self.device)
            for place, source in enumerate(self.sources)
            for top, tensor in source.batch(self._number(index, place)).items()
        }

    def record(self, index: int, top: str, sample: int, samples: int) -> str | None:
        """What the first source that has such a top calls that row."""
        for place, source in enumerate(self.sources):
            if tuple(source.shapes.get(top, ()))[:1] == (samples,):
                return str(source.record(self._number(index, place), sample))
        return None

    def close(self) -> None:
        """Close the sources."""
        for source in self.sources:
            if isinstance(source, DataSource):
                source.close()

    def _number(self, index: int, place: int) -> int:
        return (index - self._first.get(place, 0)) * self.world + self.rank

    def set_arrays(self, data: Any, labels: Any, index: int) -> None:
        """Have the first MemoryData layer serve these rows, the first ones as batch ``index``.

        Raises InputError where there is none, and for arrays that Caffe refuses.
        """
        for place, source in enumerate(self.sources):
            if isinstance(source, MemorySource):
                source.set(data, labels)
                self._first[place] = index
                return
        named = ", ".join(f'"{source.layer.name}"' for source in self.sources) or "none"
        raise InputError(f"set_input_arrays needs a MemoryData layer; the net's data layers: {named}")

    def skip(self, batches: int) -> None:
        """The next batch's number grows by so many: arrays go on with the rows that were due."""
        for place, source in enumerate(self.sources):
            if isinstance(source, MemorySource):
                self._first[place] = self._first.get(place, 0) + batches

    def set_inputs(self, blobs: Mapping[str, Any]) -> None:
        """Set tops of Input layers, by name. Raises InputError for one that is none, or another shape."""
        for top, values in blobs.items():
            for source in self.sources:
                if isinstance(source, InputTensors) and top in source.shapes:
                    source.set(top, values)
                    break
            else:
                raise InputError(f'"{top}" is no top of an Input layer')


def open_feed(
    graph: Graph,
    phase: str,
    seed: int,
    places: Sequence[Path],
    device: torch.device = CPU,
    *,
    rank: int = 0,
    world: int = 1,
    skip_bad: bool = False,
    label_size: int | None = None,
) -> SourceFeed:
    """The feed of a net's data layers; relative paths in them count from ``places``, the first that holds
    them. Each layer draws for itself, as in Caffe. Raises InputError, with file and line.

    ``skip_bad`` and, for the layers that read lists of images, ``label_size`` are :func:`open_data`'s.
    """

    def opened(layer: LayerParameter, seed: int) -> DataSource | InputTensors:
        if not is_readable(layer):
            return InputTensors(layer)
        tops = record_of(layer).data_tops
        labels = label_size if tops and tops.takes_label_lists else None
        return open_data(layer, phase, seed, places, skip_bad, labels)

    layers = [node.layer for node in graph.nodes if node.is_data]
    with graph.located():
        return SourceFeed([opened(layer, seed + n) for n, layer in enumerate(layers)], device, rank, world)
