"""The images with label maps that runs were trained and tested on, as ``zoo bench`` and ``zoo report`` take
them.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor

from converters.data.forks.pairs import PairSource
from converters.data.opening import open_data
from converters.data.order import evenly
from converters.data.source import BadRecordError
from converters.host.machine import cores
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError
from zoo.bench.images import check_sums, reading_layer, whereabouts
from zoo.bench.models import Model
from zoo.runs.first_row import pair_rows
from zoo.runs.pairs import Pairs, pairs_in
from zoo.runs.sums import RowSums
from zoo.train.images.places import sums_of
from zoo.train.planning.lists import list_param

_BATCH = 16  # images at most that are held at a time


@dataclass(frozen=True)
class LabelMaps:
    """A list of images and label maps as a TEST net's data layer serves them, each once, in the list's order
    and not mirrored; ``sums`` are those of its rows and files. Broken ones are passed over where the source
    has it so.
    """

    source: PairSource
    pairs: Pairs
    sums: tuple[str, str, RowSums]

    @property
    def content(self) -> str:
        """The sum of all rows and files."""
        return self.sums[1]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.pairs.entries)

    @cached_property
    def readable(self) -> Sequence[int]:
        """The rows of the list that :meth:`batches` serves, when it serves all."""
        if not self.source.options.skip_bad:
            return range(self.count)
        with ThreadPoolExecutor(cores()) as pool:
            is_whole = pool.map(lambda row: self._alone(row) is not None, range(self.count))
            return [row for row, whole in enumerate(is_whole) if whole]

    def batches(self, rows: Sequence[int] | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """(N, C, H, W) images and (N, 1, H, W) labels, of these rows or of all; images of one size that
        follow one another are one batch. Raises InputError for what cannot be read.
        """
        rows = range(self.count) if rows is None else rows
        with ThreadPoolExecutor(cores()) as pool:
            for start in range(0, len(rows), _BATCH):
                each = pool.map(self._alone, rows[start : start + _BATCH])
                tops = [list(batch.values())[:2] for batch in each if batch is not None]
                for _, alike in groupby(tops, lambda pair: (pair[0].shape, pair[1].shape)):
                    images, labels = zip(*alike, strict=True)
                    yield torch.cat(images), torch.cat(labels)

    def _alone(self, row: int) -> dict[str, Tensor] | None:
        try:
            return self.source.alone(row)
        except BadRecordError:
            if self.source.options.skip_bad:
                return None
            raise

    def spread(self, count: int) -> Iterator[Tensor]:
        """``count`` images, spread evenly over all."""
        return (images for images, _ in self.batches(evenly(self.count, count)))


def judged_pairs(model: Model) -> LabelMaps:
    """What the run's accuracy is over. Raises InputError as :func:`listed_pairs`."""
    listed = listed_pairs(model, "TEST")
    assert listed is not None
    return listed


def listed_pairs(model: Model, key: str) -> LabelMaps | None:
    """The run's TRAIN or TEST list as its TEST net's data layer reads it, or the list that ``elsewhere``
    names in place of TEST; where the run was never tested the TRAIN net's layer reads it.

    None where the run has no such list. Raises OtherDataError where it is not what the run saw.
    """
    if model.record is None or model.folder is None or model.list_of(key) is None:
        return None
    layer = reading_layer(model.folder, key)
    path, places = whereabouts(model, key, layer)
    skip_bad = bool(model.record.get("options", {}).get("skip_bad"))
    made = label_maps(layer, path, places, skip_bad)
    if key != "TEST" or model.elsewhere.list is None:
        check_sums(model, key, path, made.sums, pair_rows(path))
    return made


def label_maps(
    layer: LayerParameter, path: Path, places: Sequence[Path], skip_bad: bool = False
) -> LabelMaps:
    """The list at ``path`` as a data layer of images and label maps reads it. Raises InputError for what
    cannot be read.
    """
    plain = LayerParameter()
    plain.CopyFrom(layer)
    param, pairs = list_param(plain), pairs_in(layer, path, places)
    param.source, param.batch_size = str(path.absolute()), 1
    for message, field in ((param, "shuffle"), (param, "rand_skip"), (param, "mirror")):
        if hasattr(message, field):
            message.ClearField(field)
    if not (plain.transform_param.min_side_min or plain.transform_param.use_deformed_resize):
        plain.transform_param.ClearField("mirror")  # else the series author's fork has nothing to draw by
    source = open_data(plain, "TEST", places=[pairs.base.place, *places], skip_bad=skip_bad)
    if not isinstance(source, PairSource):
        source.close()
        raise InputError(f"type {layer.type} serves no label maps that can be judged", layer.name)
    return LabelMaps(source, pairs, pairs.prints(sums_of(path, pairs.base.folder)))
