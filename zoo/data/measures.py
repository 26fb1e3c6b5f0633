"""Pictures that a number is told of: a dial's needle by its angle, a tank by the votes on how full it is.

As in the demo data set all else is drawn alike whatever the number is: place, size, colours, light, clutter.
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from zoo.data.drawing import SIZE, Image, colour, ground, seen
from zoo.data.patterns import Plane

SIDE = 64  # of a picture
FURTHEST = 80  # degrees of a needle from upright, either way
VALUES, VOTERS = 10, 200

_FINE = 16  # of a pixel, OpenCV's fixed point
_SHIFT = 4


class Measured(NamedTuple):
    """A picture, (64, 64, 3) BGR, and its labels as a list has them."""

    image: Image
    labels: tuple[str, ...]


Measure = Callable[[np.random.Generator], Measured]


def needle(rng: np.random.Generator) -> Measured:
    """A dial whose needle leans to the right by the label's degrees, to the left by those below 0."""
    degrees = round(float(rng.uniform(-FURTHEST, FURTHEST)), 1)
    image, face, ink = ground(rng), colour(rng, 170, 250), colour(rng, 20, 90)
    x, y = rng.uniform(112, 144, 2)
    radius = rng.uniform(84, 108)
    _disc(image, (x, y), radius, ink)
    _disc(image, (x, y), radius - 7, face)
    _ticks(image, (x, y), radius, ink)
    _hand(image, (x, y), float(radius * rng.uniform(0.66, 0.9)), degrees, colour(rng, 20, 110))
    _disc(image, (x, y), 9, ink)
    return Measured(_small(image, rng), (f"{degrees:.1f}",))


def tank(rng: np.random.Generator) -> Measured:
    """A tank that is filled to some value of 1 to 10, with how many of 200 voted for each: the blurred level
    of a troubled liquid is told by them with less agreement.
    """
    level, doubt = rng.uniform(1, VALUES), rng.uniform(0.4, 1.8)
    image, wall, glass = ground(rng), colour(rng, 20, 70), colour(rng, 190, 250)
    left, top = rng.integers(48, 88, 2).tolist()
    width, height = rng.integers(80, 120), rng.integers(110, 140)
    cv2.rectangle(image, (left - 6, top - 6), (left + width + 6, top + height + 6), wall.tolist(), -1)
    inside = image[top : top + height, left : left + width]
    share = _filled(int(height), (level - 1) / (VALUES - 1), float(height * doubt / VALUES))
    inside[:] = glass + share[:, None, None] * (colour(rng, 60, 130) - glass)
    return Measured(_small(image, rng), votes(level, doubt, rng))


def votes(level: float, doubt: float, rng: np.random.Generator) -> tuple[str, ...]:
    """The shares of 200 voters who each tell the nearest value to what they take for the level."""
    told = np.clip(np.rint(rng.normal(level, doubt, VOTERS)), 1, VALUES).astype(int)
    counts = np.bincount(told, minlength=VALUES + 1)[1:]
    return tuple(f"{count / VOTERS:g}" for count in counts)


def _filled(height: int, level: float, blur: float) -> Plane:
    """(height,) shares of liquid from the top: none above the level, all below, ``blur`` rows between."""
    depth = np.arange(height) + 0.5 - (1 - level) * height
    return np.asarray(np.clip(depth / (2 * blur) + 0.5, 0, 1), np.float32)


def _disc(image: Plane, centre: tuple[float, float], radius: float, paint: Plane) -> None:
    place = (round(centre[0] * _FINE), round(centre[1] * _FINE))
    cv2.circle(image, place, round(radius * _FINE), paint.tolist(), -1, cv2.LINE_8, _SHIFT)


def _ticks(image: Plane, centre: tuple[float, float], radius: float, paint: Plane) -> None:
    """A mark every 20 degrees along the upper half."""
    for degrees in range(-FURTHEST, FURTHEST + 1, 20):
        start, end = (_towards(centre, degrees, share * radius) for share in (0.82, 0.92))
        cv2.line(image, start, end, paint.tolist(), 3, cv2.LINE_8, _SHIFT)


def _hand(image: Plane, centre: tuple[float, float], length: float, degrees: float, paint: Plane) -> None:
    """A needle that narrows to its end, with a short tail."""
    corners = [
        _towards(centre, degrees, length),
        _towards(centre, degrees + 90, 7),
        _towards(centre, degrees + 180, 22),
        _towards(centre, degrees - 90, 7),
    ]
    cv2.fillPoly(image, [np.array(corners, np.int32)], paint.tolist(), cv2.LINE_8, _SHIFT)


def _towards(centre: tuple[float, float], degrees: float, distance: float) -> tuple[int, int]:
    """A point so far from the centre, in sixteenths of a pixel; 0 degrees is up, 90 to the right."""
    turn = np.deg2rad(degrees)
    x, y = centre[0] + distance * np.sin(turn), centre[1] - distance * np.cos(turn)
    return round(float(x) * _FINE), round(float(y) * _FINE)


def _small(image: Plane, rng: np.random.Generator) -> Image:
    """What the camera sees of it, in a quarter of the size."""
    assert image.shape[0] == SIZE
    whole = seen(image, rng)
    return np.asarray(cv2.resize(whole, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
