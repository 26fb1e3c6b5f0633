"""Drawn pictures of which a number is told, or votes, with lists as Caffe's data layers read them."""

from dataclasses import dataclass
from pathlib import Path

from prototxt.errors import InputError
from zoo.cli.choices import SEED
from zoo.data.measures import Measure, Measured, needle, tank
from zoo.data.whole_set import SPLITS, Drawn, Progress, generator, make_whole, write_drawn

TRAIN_PICTURES, VAL_PICTURES = 480, 160
# Raised whenever a seed's pixels or labels change, so that an older folder is not taken for today's.
DRAWING = 1


@dataclass(frozen=True)
class MeasuredSet:
    """A kind of such data: its name, and what draws a picture with its labels."""

    kind: str
    measure: Measure

    @property
    def lists(self) -> tuple[str, str]:
        """The names of its lists."""
        train, val = (f"{self.kind}_{split}.txt" for split in SPLITS)
        return train, val

    def make(
        self,
        folder: Path,
        seed: int = SEED,
        train: int = TRAIN_PICTURES,
        val: int = VAL_PICTURES,
        progress: Progress | None = None,
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
        return self.measure(generator(seed, split, number))

    def _write(self, whole: Path, seed: int, counts: tuple[int, int], progress: Progress | None) -> None:
        for split in SPLITS:
            (whole / split).mkdir()

        def draw(split: str, number: int) -> Drawn:
            made, place = self.draw(seed, split, number), f"{split}/{self.kind}_{number + 1:04d}.png"
            return Drawn({place: made.image}, " ".join([place, *made.labels]))

        write_drawn(whole, draw, counts, self.lists, progress)


ANGLE, VOTES = MeasuredSet("angle", needle), MeasuredSet("votes", tank)
