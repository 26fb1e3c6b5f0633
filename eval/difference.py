"""How far two programs' values of a blob are apart."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
TOLERANCE = 1e-4  # of a blob's largest absolute value


@dataclass(frozen=True)
class Difference:
    """The largest absolute difference in one blob, the blob's largest absolute value, and the layer that
    it is of; ``compared`` is how many values were numbers on both sides. ``rounding`` is how far two right
    programs may be apart (:mod:`eval.rounding`), where that was asked.
    """

    output: str
    largest: float
    scale: float
    compared: int = 1
    layer: str = ""
    tolerance: float = TOLERANCE
    rounding: float = 0.0

    @property
    def relative(self) -> float:
        """The difference as a share of the scale."""
        return self.largest / self.scale if self.scale else self.largest

    @property
    def differs(self) -> bool:
        """Beyond the tolerance of the scale and what rounding may make, or no number on one side alone."""
        return self.is_far and not self.largest <= self.rounding

    @property
    def is_far(self) -> bool:
        """Beyond the tolerance of the scale."""
        return not self.largest <= self.tolerance * self.scale

    @property
    def is_close(self) -> bool:
        """Does not differ, and was a number somewhere."""
        return not self.differs and self.compared > 0


def difference(
    output: str, ours: Array, theirs: Array, layer: str, tolerance: float = TOLERANCE, rounding: float = 0.0
) -> Difference:
    """NaN and infinity count as equal in the same places, and as infinitely apart elsewhere."""
    if ours.shape != theirs.shape:
        return Difference(output, np.inf, 0.0, 0, layer, tolerance)
    numbers = np.isfinite(ours) & np.isfinite(theirs)
    odd = ~numbers & ~((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)))
    apart = np.abs(np.where(numbers, ours, 0) - np.where(numbers, theirs, 0))
    largest = np.inf if odd.any() else float(apart.max(initial=0))
    scale = largest_of(np.where(numbers, ours, 0))
    compared = int(numbers.sum()) or int(not ours.size)
    return Difference(output, largest, scale, compared, layer, tolerance, rounding)


def largest_of(values: Array) -> float:
    """The largest absolute value of the numbers among them; 0 where there is none."""
    return float(np.abs(values, where=np.isfinite(values), out=np.zeros_like(values)).max(initial=0))
