"""What a layer is in a source file: an expression that makes it, one that calls it, and its weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from converters.export.source.names import quoted

if TYPE_CHECKING:
    from converters.layers.elementwise.scale import Scale

Helper = Callable[..., Any]  # a function or a class of converters.export.source.helpers


@dataclass(frozen=True)
class Part:
    """One layer in the file.

    ``calls`` are the expressions of its tops in ``forward``: one each, or a single one that gives them all.
    ``make`` is what ``__init__`` sets the layer's attribute to, "" where it needs none; ``state`` its entries
    in ``state_dict`` by what follows the attribute's name, "" being the attribute itself. ``helpers`` are
    what the file has to hold for it.
    """

    calls: Sequence[str]
    make: str = ""
    state: Mapping[str, Tensor] = field(default_factory=dict)
    helpers: Sequence[Helper] = ()


@dataclass(frozen=True)
class Call:
    """How a layer stands in the file: ``me``, such as ``self.conv1``, its bottoms' variables and shapes, how
    many tops it has, and the Scale behind it that a BatchNorm takes in.
    """

    me: str
    bottoms: Sequence[str]
    shapes: Sequence[torch.Size]
    tops: int = 1
    scale: "Scale | None" = None

    @property
    def x(self) -> str:
        """The first bottom's variable."""
        return self.bottoms[0]

    @property
    def axes(self) -> int:
        """How many axes the first bottom has."""
        return len(self.shapes[0])

    def module(self, make: str, state: Mapping[str, Tensor] | None = None, *helpers: Helper) -> Part:
        """A module that is called with the bottoms."""
        return Part([f"{self.me}({', '.join(self.bottoms)})"], make, state or {}, helpers)


def short(value: float) -> str:
    """The shortest text of a number that a float32 holds, or of a float64 that it does not."""
    single = np.float32(value)
    text = str(single) if float(single) == value else repr(float(value))
    return text if np.isfinite(value) else f'float("{text}")'


def literal(value: Any) -> str:
    """A number, a word, or a list or tuple of such, as it stands in Python."""
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, str):
        return quoted(value)
    return short(value) if isinstance(value, float) else repr(value)


def one(value: tuple[int, ...]) -> int | tuple[int, ...]:
    """A number an axis, or one for all of them."""
    return value[0] if len(set(value)) == 1 else value


def make(name: str, *values: Any, **named: Any) -> str:
    """A call's text; of ``named`` those that are None are left out."""
    texts = [literal(value) for value in values]
    texts += [f"{key}={literal(value)}" for key, value in named.items() if value is not None]
    return f"{name}({', '.join(texts)})"


def unless(value: Any, usual: Any) -> Any:
    """``value``, one for all axes where they are equal, or None where it is what is meant without it."""
    value = one(value) if isinstance(value, tuple) and value else value
    return None if value == usual else value


def rest_of_one(value: float) -> float:
    """1 - value, as one would write it: 0.001 for the float32 next to 0.999."""
    return float(1 - Decimal(short(value)))


def plus(text: str, value: float) -> str:
    """``text + value``, ``text - 2`` for a value of -2, and ``text`` for 0."""
    if value == 0:
        return text
    return f"{text} - {short(-value)}" if value < 0 else f"{text} + {short(value)}"


def times(text: str, value: float) -> str:
    """``text * value``, and ``text`` for 1."""
    return text if value == 1 else f"{text} * {short(value)}"


def tensors(layer: torch.nn.Module, *slots: str) -> dict[str, Tensor]:
    """The layer's blobs of these names, of those that it has."""
    return {slot: blob for slot in slots if (blob := getattr(layer, slot, None)) is not None}
