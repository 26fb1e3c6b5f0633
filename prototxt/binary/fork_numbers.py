"""Under which numbers forks of Caffe write their fields into binary files, where two may mean two by one.

Our own numbers of these fields (from 10000 on, caffe.proto) stand in no file. A number is here where a fork's
caffe.proto says it, with the fork under a name that ``--dialect`` takes.
"""

from collections.abc import Collection
from dataclasses import dataclass

from prototxt.binary.fork_rows import ROWS

CAFFE = "caffe"
# From here on forks number the fields of LayerParameter as they like; before it all agree, for Caffe 1.0 had
# these (to python_param) before there were forks of today's syntax.
FIRST_CONTESTED = 131
# The one type, or those types, that read each later field of Caffe's.
_READERS = {
    131: "PReLU",
    132: "SPP",
    133: "Reshape",
    134: "Log",
    135: "Flatten",
    136: "Reduction",
    137: "Embed",
    138: "Tile",
    139: "BatchNorm",
    140: "ELU",
    141: "Bias",
    142: "Scale",
    143: "Input",
    144: "Crop",
    145: "Parameter",
    146: "Recurrent RNN LSTM",
    147: "Swish",
    148: "Clip",
}


@dataclass(frozen=True)
class Meaning:
    """What ``forks`` mean by a number: our field's name. ``types`` are the layers that read it, none for all.
    ``if_asked``: it counts for a fork that is asked for alone, since anybody's message looks the same.
    """

    field: str
    forks: tuple[str, ...]
    types: tuple[str, ...] = ()
    if_asked: bool = False


def reads(kind: str, number: int) -> bool:
    """Whether a layer of the type ``kind`` may read Caffe's own field ``number`` of LayerParameter."""
    return number < FIRST_CONTESTED or kind in _READERS.get(number, "").split()


def meanings(message: str, number: int, kind: str) -> list[Meaning]:
    """What forks mean by a number of a message inside a layer of the type ``kind``."""
    found = _TABLE.get(message, {}).get(number, [])
    return [meaning for meaning in found if not meaning.types or kind in meaning.types]


def asked_for(found: Collection[Meaning], asked: Collection[str]) -> list[Meaning]:
    """Those of the forks that are asked for, where there are any; else all."""
    own = [meaning for meaning in found if set(meaning.forks) & set(asked)]
    return own or [meaning for meaning in found if not meaning.if_asked]


# Forks that a line of the table names together.
_GROUPS = {
    "SSD": ("ssd", "mobilenet-yolo", "refinedet", "nvidia", "intel"),
    "RCNN": ("fast-rcnn", "faster-rcnn"),
}
_ASKED = "(asked)"


def _parsed(rows: str) -> dict[int, list[Meaning]]:
    table: dict[int, list[Meaning]] = {}
    for row in rows.strip().splitlines():
        number, field, forks, *types = row.split()
        own = tuple(kind for kind in types if kind != _ASKED)
        table.setdefault(int(number), []).append(
            Meaning(field, _GROUPS.get(forks) or tuple(forks.split(",")), own, _ASKED in types)
        )
    return table


_TABLE = {message: _parsed(rows) for message, rows in ROWS.items()}
