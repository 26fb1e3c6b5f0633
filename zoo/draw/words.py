"""What stands in a drawing: names as others wrote them, made harmless, numbers, and what a layer costs."""

import unicodedata
from collections.abc import Iterable, Sequence

from eval.cost import LayerCost
from prototxt.rawbytes import readable

_UNSEEN = (
    "Cc",
    "Cf",
    "Cs",
    "Co",
    "Cn",
    "Zl",
    "Zp",
)  # Unicode's categories of what shows as nothing, or turns text


def visible(text: str) -> str:
    """A name as it can be shown: what controls a terminal, a direction of writing or a line is written out
    (``\\n``, ``\\u202e``), so that no name passes for another, nor leaves its place.
    """
    return "".join(map(_seen, readable(text)))


def _seen(letter: str) -> str:
    if unicodedata.category(letter) in _UNSEEN:
        return letter.encode("unicode_escape", "surrogatepass").decode("ascii")
    return letter


def columns(text: str) -> int:
    """How many letters of a fixed width a text is wide; those of East Asia count twice."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def clipped(text: str, most: int) -> str:
    """A text of at most so many columns, with … for its end where it has more."""
    if columns(text) <= most:
        return text
    while columns(text) > most - 1:
        text = text[:-1]
    return f"{text}…"


def wrapped(parts: Iterable[str], most: int, lines: int = 3) -> list[str]:
    """Parts, with commas between them, as lines of at most ``most`` columns; the last one ends in … where
    there would be more of them.
    """
    found: list[str] = []
    for part in parts:
        if found and columns(f"{found[-1]}, {part}") < most:
            found[-1] += f", {part}"
        elif len(found) < lines:
            found.append(part)
        else:
            return [*(clipped(line, most) for line in found[:-1]), clipped(f"{found[-1]}, {part}", most)]
    return [clipped(line, most) for line in found]


def size(shape: Sequence[int]) -> str:
    """A shape as ``1×3×224×224``; of a single number, "one number"."""
    return "×".join(map(str, shape)) or "one number"


def costs(row: LayerCost) -> str:
    """Parameters and MACs of a layer."""
    macs = "not counted" if row.macs is None else f"{row.macs:,}"
    return f"parameters {row.parameters:,}\nMACs {macs}"
