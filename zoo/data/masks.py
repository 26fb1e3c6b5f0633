"""Drawn pictures with their masks: a few shapes of any colour on a cluttered ground, a class a pixel."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from prototxt.errors import InputError
from zoo.cli.choices import SEED
from zoo.data.demo import CLASS_LIST
from zoo.data.whole_set import Drawn, Progress, generator, make_whole, write_drawn, write_lines

CLASSES = ("background", "disc", "square", "triangle", "cross")
TRAIN_PAIRS, VAL_PAIRS = 320, 80
TRAIN_LIST, VAL_LIST = "masks_train.txt", "masks_val.txt"
SIDE = 64
# Raised whenever a seed's pixels change, so that an older folder is not taken for today's.
DRAWING = 1

_FINE = 4  # bits of a pixel's fraction in a corner's place: whole numbers draw alike on every processor

Image = NDArray[np.uint8]
Corners = NDArray[np.float64]  # (n, 2), of a shape within a circle of radius 1


def make_masks(
    folder: Path,
    seed: int = SEED,
    train: int = TRAIN_PAIRS,
    val: int = VAL_PAIRS,
    progress: Progress | None = None,
) -> bool:
    """Write the data set whole or not at all; False where the folder holds this very one already.

    ``progress`` is called with the number of pairs written so far, out of ``train + val``. Raises InputError
    for a seed below 0 and a list without pairs.
    """
    if seed < 0 or min(train, val) < 1:
        raise InputError("drawn masks take a seed of 0 or more, and a pair in each list")
    wanted = {"kind": "masks", "seed": seed, "train": train, "val": val, "drawing": DRAWING}
    return make_whole(folder, wanted, lambda whole: _write(whole, seed, (train, val), progress))


def _write(whole: Path, seed: int, counts: tuple[int, int], progress: Progress | None) -> None:
    for name in ("images", "masks"):
        (whole / name).mkdir()

    def draw(split: str, number: int) -> Drawn:
        places = _places(split, number)
        return Drawn(dict(zip(places, draw_pair(seed, split, number), strict=True)), " ".join(places))

    write_drawn(whole, draw, counts, (TRAIN_LIST, VAL_LIST), progress)
    write_lines(whole / CLASS_LIST, CLASSES)


def _places(split: str, number: int) -> tuple[str, str]:
    name = f"{split}_{number + 1:04d}.png"
    return f"images/{name}", f"masks/{name}"


def draw_pair(seed: int, split: str, number: int) -> tuple[Image, Image]:
    """(64×64 BGR picture, its 64×64 mask of class numbers): a pure function of the three keys."""
    rng = generator(seed, split, number)
    image, mask = _ground(rng), np.zeros((SIDE, SIDE), np.uint8)
    for label in rng.integers(1, len(CLASSES), rng.integers(2, 5)).tolist():
        corners, own = _placed(_SHAPES[label - 1], rng), np.zeros_like(mask)
        cv2.fillPoly(own, [corners], label, cv2.LINE_8, _FINE)
        if not mask[own > 0].any():  # shapes hide nothing of one another
            mask += own
            cv2.fillPoly(image, [corners], _colour(rng, 130, 256), cv2.LINE_AA, _FINE)
    noise = rng.integers(-12, 13, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8), mask


def _placed(shape: Corners, rng: np.random.Generator) -> NDArray[np.int32]:
    """A shape of 8 to 15 pixels' radius, turned by up to a sixth of a right angle, wholly in the picture."""
    radius, turn = rng.uniform(8, 15), rng.uniform(-0.26, 0.26)
    middle = rng.uniform(radius, SIDE - 1 - radius, 2)
    cos, sin = np.cos(turn), np.sin(turn)
    placed = shape @ np.array([[cos, sin], [-sin, cos]]) * radius + middle
    return np.asarray(np.round(placed * 2**_FINE), np.int32)


def _ground(rng: np.random.Generator) -> Image:
    """Dark colours that run into each other, with lines strewn over them."""
    corners = rng.integers(0, 110, (2, 2, 3)).astype(np.uint8)
    image = np.asarray(cv2.resize(corners, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.uint8)
    for _ in range(rng.integers(2, 6)):
        start, end = rng.integers(0, SIDE, (2, 2)).tolist()
        cv2.line(image, start, end, _colour(rng, 0, 256), 1)
    return image


def _colour(rng: np.random.Generator, darkest: int, lightest: int) -> tuple[int, int, int]:
    blue, green, red = rng.integers(darkest, lightest, 3).tolist()
    return blue, green, red


def _regular(corners: int, first: float = 0.0) -> Corners:
    angles = first + 2 * np.pi * np.arange(corners) / corners
    return np.stack([np.sin(angles), -np.cos(angles)], 1)


_ARM = 0.32  # half the breadth of a cross's arm
_SHAPES: tuple[Corners, ...] = (
    _regular(48),
    _regular(4, np.pi / 4),
    _regular(3),
    np.array(
        [
            *[(-_ARM, -0.95), (_ARM, -0.95), (_ARM, -_ARM), (0.95, -_ARM), (0.95, _ARM), (_ARM, _ARM)],
            *[(_ARM, 0.95), (-_ARM, 0.95), (-_ARM, _ARM), (-0.95, _ARM), (-0.95, -_ARM), (-_ARM, -_ARM)],
        ]
    ),
)
