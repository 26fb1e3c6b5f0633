"""Pages with small, turned and blurred QR codes on grainy paper, drawn from a seed."""

import cv2
import numpy as np
from numpy.typing import NDArray

Page = NDArray[np.uint8]
_CELL = 300  # pixels of a page's square that holds a code


def page(seed: int, rows: int = 2, columns: int = 2) -> tuple[Page, list[str]]:
    """A grey page and what stands on it: in each cell a code of 1.6 to 4 pixels a module, turned by any angle
    and out of focus by 0.4 to 1.8 pixels.
    """
    random = np.random.default_rng(seed)
    sheet = np.full((rows * _CELL, columns * _CELL), 235, np.float64)
    texts = []
    for place in range(rows * columns):
        text = f"page {seed}, code {place}: {random.integers(10**12):012d}"
        row, column = divmod(place, columns)
        cell = sheet[row * _CELL : (row + 1) * _CELL, column * _CELL : (column + 1) * _CELL]
        cell[:] = _turned(
            _code(text), random.uniform(1.6, 4), random.uniform(0, 360), random.uniform(0.4, 1.8)
        )
        texts.append(text)
    sheet += random.normal(0, 4, sheet.shape)
    return np.clip(sheet, 0, 255).astype(np.uint8), texts


def _code(text: str) -> Page:
    """A code with its quiet zone, a pixel a module."""
    parameters = cv2.QRCodeEncoder.Params()
    parameters.correction_level = cv2.QRCodeEncoder_CORRECT_LEVEL_M
    code = cv2.QRCodeEncoder.create(parameters).encode(text)
    return np.pad(code, 2, constant_values=255)


def _turned(code: Page, module: float, degrees: float, blur: float) -> NDArray[np.float64]:
    middle = (code.shape[1] - 1) / 2, (code.shape[0] - 1) / 2
    moved = cv2.getRotationMatrix2D(middle, degrees, module)
    moved[:, 2] += _CELL / 2 - np.array(middle)
    ink = 31 + 0.8 * code.astype(np.float64)  # black to the paper's 235
    drawn = cv2.warpAffine(ink, moved, (_CELL, _CELL), flags=cv2.INTER_LINEAR, borderValue=235)
    return cv2.GaussianBlur(drawn, (0, 0), blur)
