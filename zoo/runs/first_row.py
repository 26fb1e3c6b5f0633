"""The first row of a list that is not as a run saw it: eight bytes a row are kept in the run's folder."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from converters.data.forks.label_lists import entries_of
from converters.data.forks.pairs import read_pairs
from converters.weights.formats import read_safetensors, write_safetensors
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError
from prototxt.rawbytes import readable
from zoo.runs.run_folder import RunFolder
from zoo.runs.sums import RowSums

Rows = Callable[[], Sequence[tuple[int, str]]]  # of a list: each one's line, and what it names first


def image_rows(layer: LayerParameter, list_path: Path, label_size: int | None) -> Rows:
    """What reads the rows of a list of images, as a data layer does."""
    return lambda: [(entry.line, entry.path) for entry in entries_of(layer, list_path, label_size)]


def pair_rows(list_path: Path) -> Rows:
    """What reads the rows of a list of images and label maps."""
    return lambda: [(entry.line, entry.image) for entry in read_pairs(list_path, False)]


def keep_rows(folder: RunFolder, sums: Mapping[str, RowSums]) -> None:
    """Write down the sums of every row of a run's lists, by TRAIN, TEST, …."""
    if sums:
        write_safetensors(folder.rows, {key: torch.from_numpy(each) for key, each in sums.items()}, {})


def first_other_row(folder: RunFolder, key: str, list_path: Path, now: RowSums, rows: Rows) -> str | None:
    """Where a list, whose ``rows`` those are, first differs from what the folder's run saw as ``key``; None
    where that is not known.

    A run of a version that kept no rows knows none, and nor does one whose file is not whole.
    """
    try:
        then = read_safetensors(folder.rows)[0][key].numpy()
    except (InputError, KeyError):
        return None
    common = min(len(then), len(now))
    others = np.flatnonzero((then[:common] != now[:common]).any(1))
    if len(others) == 0 and len(then) == len(now):
        return None
    row = int(others[0]) if len(others) else common
    if row == len(now):
        return f"{list_path} has {row} rows, not {len(then)}"
    line, name = rows()[row]
    is_picture = row < len(then) and then[row, 0] == now[row, 0]
    what = "another picture" if is_picture else "another row" if row < len(then) else "a row more"
    return readable(f"{list_path}:{line}: {name} is {what}")
