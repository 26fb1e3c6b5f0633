"""Where the pixels of a layer's top lie on its bottom: a line an axis, exact."""

from fractions import Fraction
from typing import NamedTuple

from converters.layers.parts.geometry import Geometry
from prototxt.caffe_pb2 import LayerParameter


class Line(NamedTuple):
    """A bottom's coordinate to a top's: ``scale``·x + ``shift``."""

    scale: Fraction = Fraction(1)
    shift: Fraction = Fraction(0)

    def after(self, first: "Line") -> "Line":
        """``first`` and then this."""
        return Line(self.scale * first.scale, self.scale * first.shift + self.shift)

    def inverse(self) -> "Line":
        """A top's coordinate to a bottom's."""
        return Line(1 / self.scale, -self.shift / self.scale)


Grid = tuple[Line, Line]  # of height and width
SAME: Grid = (Line(), Line())


def same_grid(message: LayerParameter) -> Grid:
    """Of a layer whose top's pixels are its first bottom's."""
    return SAME


def window_grid(sides: Geometry) -> Grid:
    """A window's number to the pixel at its middle, over height and width. As in longjon's fork, whose Crop
    alone asks, the middle is that of the kernel without its dilation (conv_layer.hpp, coord_map).
    """
    height, width = (
        Line(Fraction(stride), Fraction(kernel - 1, 2) - pad)
        for kernel, stride, pad in zip(sides.kernel, sides.stride, sides.pad, strict=True)
    )
    return height, width


def inverse_grid(grid: Grid) -> Grid:
    """The same from top to bottom."""
    return grid[0].inverse(), grid[1].inverse()
