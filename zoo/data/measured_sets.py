"""Drawn pictures of which a number is told, or votes, with lists as Caffe's data layers read them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from converters.host.machine import cores
from prototxt.errors import InputError
from zoo.cli.choices import SEED
from zoo.data.drawing import Image
from zoo.data.measures import Measure, Measured, needle, tank
from zoo.data.whole_set import make_whole, write_lines

TRAIN_PICTURES, VAL_PICTURES = 480, 160
# Raised whenever a seed's pixels or labels change, so that an older folder is not taken for today's.
DRAWING = 1

_SPLITS = ("train", "val")


@dataclass(frozen=True)
class MeasuredSet:
    """A kind of such data: its name, and what draws a picture with its labels."""

    kind: str
    measure: Measure

    @property
    def lists(self) -> tuple[str, str]:
        """The names of its lists."""
        train, val = (f"{self.kind}_{split}.txt" for split in _SPLITS)
        return train, val

    def make(
        self,
        folder: Path,
        seed: int = SEED,
        train: int = TRAIN_PICTURES,
        val: int = VAL_PICTURES,
        progress: Callable[[int], None] | None = None,
    ) -> bool:
        """Write the data set whole or not at all; False where the folder holds this very one already.

        ``progress`` is called with the number of pictures written so far, out of ``train + val``. Raises
        InputError for a seed below 0 and a list without pictures.
        """
        if seed < 0 or min(train, val) < 1:
            raise InputError(f"drawn {self.kind} take a seed of 0 or more, and a picture in each list")
        wanted = {"kind": self.kind, "seed": seed, "train": train, "val": val, "drawing": DRAWING}
        return make_whole(folder, wanted, lambda whole: self._write(whole, seed, (train, val), progress))

    def draw(self, seed: int, split: str, number: int) -> Measured:
        """A picture with its labels: a pure function of the three keys."""
        key = np.random.SeedSequence([seed, _SPLITS.index(split), number])
        return self.measure(np.random.Generator(np.random.Philox(key)))

    def _write(
        self, whole: Path, seed: int, counts: tuple[int, int], progress: Callable[[int], None] | None
    ) -> None:
        keys = [
            (split, number) for split, count in zip(_SPLITS, counts, strict=True) for number in range(count)
        ]
        lines: dict[str, list[str]] = {split: [] for split in _SPLITS}
        for split in _SPLITS:
            (whole / split).mkdir()
        with ThreadPoolExecutor(cores()) as pool:
            every = pool.map(lambda key: self.draw(seed, *key), keys)
            for done, ((split, number), drawn) in enumerate(zip(keys, every, strict=True), 1):
                place = f"{split}/{self.kind}_{number + 1:04d}.png"
                _write_png(whole / place, drawn.image)
                lines[split].append(" ".join([place, *drawn.labels]))
                if progress is not None:
                    progress(done)
        for split, name in zip(_SPLITS, self.lists, strict=True):
            write_lines(whole / name, lines[split])


def _write_png(path: Path, image: Image) -> None:
    encoded, data = cv2.imencode(".png", image)
    assert encoded
    path.write_bytes(data.tobytes())


ANGLE, VOTES = MeasuredSet("angle", needle), MeasuredSet("votes", tank)
