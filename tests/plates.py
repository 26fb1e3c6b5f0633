"""Pictures of a car's rear with a number plate, drawn from a seed; no photograph and no font but matplotlib's."""

from pathlib import Path

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
_FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
_WHITE, _BLUE = (240, 240, 240), (24, 60, 170)
_PLACES = (16, 73, 155, 211, 267, 323, 379)  # of the seven signs, on a plate of 440×140 (GA 36)
_CAPITAL = (  # 京 in strokes, in a cell of 45×90
    ((22, 2), (22, 14)),
    ((3, 17), (42, 17)),
    ((11, 28), (34, 28), (34, 46), (11, 46), (11, 28)),
    ((22, 46), (22, 86), (16, 82)),
    ((13, 58), (5, 76)),
    ((31, 58), (40, 76)),
)


def picture(text: str, seed: int, degrees: float, width: int) -> Picture:
    """A BGR picture of 480×640 with a plate of Beijing, whose six signs after the first are ``text``."""
    random = np.random.default_rng(seed)
    scene = np.full((480, 640, 3), (95, 90, 90), np.uint8)
    scene[:160] = (200, 180, 160)
    cv2.rectangle(scene, (106, 120), (533, 432), (40, 40, 45), -1)
    cv2.rectangle(scene, (160, 130), (480, 240), (70, 75, 80), -1)
    for left in (136, 463):
        cv2.rectangle(scene, (left, 250), (left + 40, 280), (30, 30, 180), -1)
    _stick(scene, _plate(text), degrees, width)
    grainy = cv2.GaussianBlur(scene, (0, 0), 0.8) + random.normal(0, 3, scene.shape)
    return np.clip(grainy, 0, 255).astype(np.uint8)


def _stick(scene: Picture, plate: Picture, degrees: float, width: int) -> None:
    height, length = plate.shape[:2]
    moved = cv2.getRotationMatrix2D((length / 2, height / 2), degrees, width / length)
    moved[:, 2] += (320 - length / 2, 326 - height / 2)
    covers = cv2.warpAffine(np.ones((height, length), np.uint8), moved, (640, 480)) > 0
    scene[covers] = cv2.warpAffine(plate, moved, (640, 480), flags=cv2.INTER_LINEAR)[covers]


def _plate(text: str) -> Picture:
    image = Image.new("RGB", (440, 140), _BLUE)
    ImageDraw.Draw(image).rounded_rectangle((4, 4, 435, 135), radius=12, outline=_WHITE, width=4)
    ImageDraw.Draw(image).ellipse((126, 63, 138, 75), fill=_WHITE)
    for place, sign in zip(_PLACES, (_capital(), *map(_letter, text)), strict=True):
        image.paste(_WHITE, (place, 25), sign)
    return np.array(image)[:, :, ::-1].copy()


def _letter(letter: str) -> Image.Image:
    font = ImageFont.truetype(str(_FONT), 90)
    left, top, right, bottom = font.getbbox(letter)
    cell = Image.new("L", (int(right - left), int(bottom - top)))
    ImageDraw.Draw(cell).text((-left, -top), letter, fill=255, font=font)
    return cell.resize((45, 90))


def _capital() -> Image.Image:
    cell = Image.new("L", (45, 90))
    for stroke in _CAPITAL:
        ImageDraw.Draw(cell).line(stroke, fill=255, width=7)
    return cell
