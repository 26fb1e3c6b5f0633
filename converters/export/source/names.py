"""Other people's names in Python source: identifiers that are safe and distinct, and comments that end where
their line does.
"""

import builtins
import keyword
import re
from collections.abc import Collection, Set

from torch import nn

from prototxt.rawbytes import readable

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]*")
# What a module's attributes cannot be called, and what a function's variables would hide.
ATTRIBUTES = frozenset(dir(nn.Module())) | {"forward"}
VARIABLES = frozenset(dir(builtins)) | {"self", "torch", "nn", "F", "Tensor"}


def identifier(name: str, taken: Set[str], lower: bool = False, usual: str = "layer") -> str:
    """A Python name as near to ``name`` as can be and none of ``taken``, in ASCII; ``usual`` where nothing of
    it is left, and before a digit.
    """
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or usual
    plain = plain.lower() if lower else plain
    plain = f"{usual}_{plain}" if plain[0].isdigit() else plain
    is_pythons = keyword.iskeyword(plain) or plain in taken & VARIABLES
    return unused(f"{plain}_" if is_pythons else plain, taken)


def unused(name: str, taken: Collection[str], joint: str = "_") -> str:
    """``name``, with a number behind it where it is ``taken``."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name.rstrip('_')}{joint}{number}"
    return free


def class_name(name: str, taken: Collection[str]) -> str:
    """A net's name as a class's: ``ResNet50`` of ``ResNet-50``."""
    words = [word for word in re.split(r"[^A-Za-z0-9]+", name) if word]
    joined = "".join(word[0].upper() + word[1:] for word in words) or "Net"
    joined = f"Net{joined}" if joined[0].isdigit() else joined
    return unused(joined, {*taken, *keyword.kwlist}, "")


def shown(name: str) -> str:
    """A name as it may stand in a comment or a docstring: as it is where it is plain, else in quotes, with
    escapes for what could end it, hide it or turn it round.
    """
    return name if _PLAIN.fullmatch(name) else quoted(readable(name), keep_printable=True)


def quoted(text: str, keep_printable: bool = False) -> str:
    """A Python string of ``text`` in double quotes, on one line; in ASCII unless ``keep_printable``."""
    return '"' + "".join(_escaped(sign, keep_printable) for sign in text) + '"'


def _escaped(sign: str, keep_printable: bool) -> str:
    if sign in '"\\':
        return f"\\{sign}"
    if (sign.isascii() and sign.isprintable()) or (keep_printable and sign.isprintable()):
        return sign
    return sign.encode("unicode_escape", "surrogatepass").decode("ascii")
