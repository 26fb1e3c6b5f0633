"""How a demo image is drawn: a patterned object on a cluttered, unevenly lit ground.

Place, size, turn, bend, colours, clutter, light, blur and noise are drawn alike for every class: only the
pattern tells classes apart.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from zoo.data.patterns import Pattern, Plane

SIZE = 256
Image = NDArray[np.uint8]

_Y, _X = np.mgrid[:SIZE, :SIZE].astype(np.float32)


def draw_image(pattern: Pattern, rng: np.random.Generator) -> Image:
    """One 256×256 BGR image of the pattern; all else about it is the generator's choice."""
    image = ground(rng)
    ink, paper = _two_colours(rng)
    cover = _object(rng)
    surface = paper + _inked(pattern, rng)[..., None] * (ink - paper)
    image *= 1 - 0.5 * _shadow(cover)[..., None]
    image += cover[..., None] * (surface - image)
    return seen(image, rng)


def _inked(pattern: Pattern, rng: np.random.Generator) -> Plane:
    """How much ink each pixel has, 0 to 1: the pattern placed, scaled, turned and slightly bent."""
    cell, turn = rng.uniform(21, 33), np.deg2rad(rng.uniform(-15, 15))
    cos, sin = np.float32(np.cos(turn) / cell), np.float32(np.sin(turn) / cell)
    du, dv, bend, phase = (np.float32(value) for value in rng.uniform((0, 0, 0, 0), (64, 64, 0.25, 6.3)))
    u, v = _X * cos + _Y * sin + du, _Y * cos - _X * sin + dv
    u = u + bend * np.sin(0.6 * v + phase)
    depth = pattern(u, v) + np.float32(rng.uniform(-0.03, 0.04))
    ink: Plane = np.clip(depth * np.float32(cell) + np.float32(0.5), 0, 1)
    return ink


def _object(rng: np.random.Generator) -> Plane:
    """The object's outline, 1 inside: a wobbling closed curve somewhere about the middle."""
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    radius = rng.uniform(95, 145) * np.ones(72)
    for waves in (2, 3, 4):
        radius *= 1 + rng.uniform(0, 0.12) * np.cos(waves * angle + rng.uniform(0, 6.3))
    outline = np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None] + rng.uniform(92, 164, 2)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    return mask.astype(np.float32) / 255


def _shadow(cover: Plane) -> Plane:
    """The object's outline, fallen a little to the lower right and softened."""
    fallen = cv2.warpAffine(cover, np.array([[1, 0, 4], [0, 1, 5]], np.float32), (SIZE, SIZE))
    return np.asarray(cv2.GaussianBlur(fallen, (0, 0), 4), np.float32)


def _two_colours(rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Ink and paper: any two hues, the ink the darker one."""
    return colour(rng, 20, 110), colour(rng, 170, 250)


def colour(rng: np.random.Generator, darkest: float = 60, lightest: float = 235) -> Plane:
    """A BGR colour of any hue and saturation whose brightness (Rec. 601) lies in the range."""
    hue, saturation, level = rng.uniform(0, 6), rng.uniform(0.05, 0.75), rng.uniform(darkest, lightest)
    pure = np.clip(abs((hue + np.array([2, 4, 0])) % 6 - 3) - 1, 0, 1)
    mixed = 1 - saturation * (1 - pure)
    return np.clip(mixed * (level / (mixed @ [0.114, 0.587, 0.299])), 0, 255).astype(np.float32)


def ground(rng: np.random.Generator) -> Plane:
    """(256, 256, 3) float32 BGR: four colours that run into each other, with shapes and lines
    strewn over them.
    """
    corners = np.stack([colour(rng) for _ in range(4)]).reshape(2, 2, 3)
    image = np.asarray(cv2.resize(corners, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), np.float32)
    for _ in range(rng.integers(6, 14)):
        _clutter(image, rng)
    return image


def _clutter(image: Plane, rng: np.random.Generator) -> None:
    paint = colour(rng).tolist()
    x, y, p, q = (int(value) for value in rng.integers(0, SIZE, 4))
    width, height = (int(value) for value in rng.integers(5, 45, 2))
    thickness = int(rng.choice([-1, 2, 4, 7]))
    kind = rng.integers(0, 4)
    if kind == 0:
        cv2.line(image, (x, y), (p, q), paint, abs(thickness) + 1)
    elif kind == 1:
        cv2.rectangle(image, (x, y), (x + width, y + height), paint, thickness)
    elif kind == 2:
        cv2.ellipse(image, (x, y), (width, height), float(p), 0, 360, paint, thickness)
    else:
        corners = np.array([(x, y), (x + width, y - height), (x + height, y + width)], np.int32)
        cv2.polylines(image, [corners], True, paint, abs(thickness))


def seen(image: Plane, rng: np.random.Generator) -> Image:
    """The camera's part: uneven light, a little blur, noise."""
    light = rng.uniform(0.65, 1.15, (2, 2)).astype(np.float32)
    image *= cv2.resize(light, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)[..., None]
    image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.0)), np.float32)
    noise = rng.standard_normal((SIZE, SIZE), np.float32)[..., None]
    image += np.float32(rng.uniform(1, 6)) * noise
    return np.clip(image, 0, 255).astype(np.uint8)
