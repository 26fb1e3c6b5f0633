"""The demo data set: 20 classes of drawn images in the list layout that Caffe's ImageData layer reads."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from converters.host.machine import cores
from prototxt.errors import InputError
from zoo.cli.choices import SEED
from zoo.data.drawing import Image, draw_image
from zoo.data.patterns import PATTERNS
from zoo.data.whole_set import SPLITS, Progress, generator, make_whole, write_lines, write_picture

CLASSES = tuple(PATTERNS)
TRAIN_IMAGES, VAL_IMAGES = 2400, 1000
TRAIN_LIST, VAL_LIST, CLASS_LIST = "list_train_shuffle.txt", "list_val_shuffle.txt", "classes.txt"
# Raised whenever a seed's pixels change, so that an older folder is not taken for today's.
DRAWING = 1

_QUALITY = 85
_BATCH = 64


@dataclass(frozen=True)
class DemoData:
    """What a demo folder holds; its manifest is this as JSON."""

    seed: int
    train: int
    val: int
    drawing: int = DRAWING


class _Entry(NamedTuple):
    """A line of a list: which image."""

    split: str
    label: int
    number: int

    @property
    def path(self) -> str:
        return f"{self.split}/{CLASSES[self.label]}_{self.number + 1:04d}.jpg"


def make_demo(
    folder: Path,
    seed: int = SEED,
    train: int = TRAIN_IMAGES,
    val: int = VAL_IMAGES,
    progress: Progress | None = None,
) -> bool:
    """Write the data set whole or not at all; False where the folder holds this very one already.

    ``progress`` is called with the number of images written so far, out of ``train + val``.
    """
    wanted = DemoData(seed, train, val)
    _check(wanted)
    return make_whole(folder, asdict(wanted), lambda whole: _write(whole, wanted, progress or _ignore))


def _ignore(written: int) -> None:
    """Nobody asked."""


def draw_demo(seed: int, split: str, label: int, number: int) -> Image:
    """One image, 256×256 BGR: a pure function of its four keys."""
    return draw_image(PATTERNS[CLASSES[label]], generator(seed, split, label, number))


def _check(wanted: DemoData) -> None:
    if wanted.seed < 0:
        raise InputError(f"the demo data's seed must not be negative, not {wanted.seed}")
    if min(wanted.train, wanted.val) < len(CLASSES):
        raise InputError(f"each list of the demo data needs at least {len(CLASSES)} images, one a class")


def _write(folder: Path, wanted: DemoData, progress: Progress) -> None:
    lists = {
        TRAIN_LIST: _shuffled(wanted.seed, "train", wanted.train),
        VAL_LIST: _shuffled(wanted.seed, "val", wanted.val),
    }
    for split in SPLITS:
        (folder / split).mkdir()
    _write_images(folder, wanted.seed, [entry for entries in lists.values() for entry in entries], progress)
    for name, entries in lists.items():
        write_lines(folder / name, [f"{entry.path} {entry.label}" for entry in entries])
    write_lines(folder / CLASS_LIST, list(CLASSES))


def _shuffled(seed: int, split: str, count: int) -> list[_Entry]:
    """The split's images, classes in equal numbers (to one), in an order of the seed's choice."""
    order = np.random.default_rng([seed, SPLITS.index(split)]).permutation(count)
    return [_Entry(split, int(place) % len(CLASSES), int(place) // len(CLASSES)) for place in order]


def _write_images(folder: Path, seed: int, entries: list[_Entry], progress: Progress) -> None:
    def write(entry: _Entry) -> None:
        write_picture(folder / entry.path, draw_demo(seed, *entry), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])

    with ThreadPoolExecutor(cores()) as pool:
        for start in range(0, len(entries), _BATCH):
            batch = entries[start : start + _BATCH]
            list(pool.map(write, batch))
            progress(start + len(batch))
