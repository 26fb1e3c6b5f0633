"""A list of images and their label maps, with the sums by which a run knows it again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.data.forks.pairs import PairEntry, read_pairs
from converters.host.places import Base, base_of_list
from prototxt.caffe_pb2 import LayerParameter
from zoo.runs.sums import RowSums, Sums, row_prints
from zoo.train.planning.lists import list_param


@dataclass(frozen=True)
class Pairs:
    """The list at ``path``, whose names are put behind ``base``."""

    path: Path
    base: Base
    entries: Sequence[PairEntry]

    def prints(self, sums: Sums) -> tuple[str, str, RowSums]:
        """As :func:`zoo.runs.sums.prints`: a label that is a file's name counts with that file."""
        texts = [f"{entry.image}\0{entry.label}" for entry in self.entries]
        return row_prints(texts, [self._files(entry) for entry in self.entries], sums)

    def _files(self, entry: PairEntry) -> list[Path]:
        label = self.base.path(entry.label)
        own = [label] if entry.label and label.is_file() else []
        return [self.base.path(entry.image), *own]


def pairs_in(layer: LayerParameter, path: Path, places: Sequence[Path]) -> Pairs:
    """The list that was found at ``path`` for a layer of images and label maps, as its source reads it."""
    entries = read_pairs(path, False)
    names = [entry.image for entry in entries]
    return Pairs(path, base_of_list(path, list_param(layer), names, [*places, path.parent]), entries)
