"""A list of images and their label maps, with the sums by which a run knows it again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.data.forks.pairs import PairEntry, read_pairs
from converters.host.places import place_of_list
from prototxt.caffe_pb2 import LayerParameter
from prototxt.rawbytes import from_message
from zoo.runs.sums import RowSums, Sums, row_prints
from zoo.train.planning.lists import list_param


@dataclass(frozen=True)
class Pairs:
    """The list at ``path``, whose names, ``root`` put before each, count from ``place``."""

    path: Path
    place: Path
    root: str
    entries: Sequence[PairEntry]

    @property
    def base(self) -> Path:
        """The folder that the names count from."""
        return self.place / self.root

    def prints(self, sums: Sums) -> tuple[str, str, RowSums]:
        """As :func:`zoo.runs.sums.prints`: a label that is a file's name counts with that file."""
        texts = [f"{entry.image}\0{entry.label}" for entry in self.entries]
        return row_prints(texts, [self._files(entry) for entry in self.entries], sums)

    def _files(self, entry: PairEntry) -> list[Path]:
        label = self.place / (self.root + entry.label)
        own = [label] if entry.label and label.is_file() else []
        return [self.place / (self.root + entry.image), *own]


def pairs_in(layer: LayerParameter, path: Path, places: Sequence[Path]) -> Pairs:
    """The list that was found at ``path`` for a layer of images and label maps, as its source reads it."""
    param = list_param(layer)
    entries, root = read_pairs(path, False), from_message(param.root_folder)
    names = [root + entry.image for entry in entries]
    place = place_of_list(path, param.source, names, [*places, path.parent])
    return Pairs(path, place, root, entries)
