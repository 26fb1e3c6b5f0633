"""A data layer of a prototxt by itself, in one call."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from torch import Tensor

from converters.data.opening import is_readable, open_data
from converters.data.source import DataSource
from converters.layers.dialects import names_of, with_dialects
from converters.net_state import is_included, net_state
from prototxt.caffe_pb2 import LayerParameter, NetParameter, NetState
from prototxt.errors import InputError, nearest
from prototxt.net_file import NetFile
from prototxt.text import to_stderr


class BatchStream(Iterator[dict[str, Tensor]]):
    """Batch after batch without end; ``source`` serves them, and gives any of them by its number."""

    def __init__(self, source: DataSource) -> None:
        self.source, self.index = source, 0

    def __next__(self) -> dict[str, Tensor]:
        batch = self.source.batch(self.index)
        self.index += 1
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.source.close()


def load_data(
    net: str | Path,
    phase: str = "TEST",
    level: int = 0,
    stages: Sequence[str] = (),
    seed: int = 0,
    layer: str | None = None,
    skip_bad: bool = False,
    label_size: int | None = None,
    dialect: str | None = None,
) -> BatchStream:
    """The batches of a prototxt's data layer, by the names of its tops, in Caffe's order, without end.

    ``net`` is a path or a prototxt's text; relative paths in it count from the current folder, as in
    Caffe. Where ``phase`` keeps several data layers, ``layer`` names one. ``skip_bad`` passes over broken
    records, ``label_size`` reads that many numbers a line of a list
    (:func:`converters.data.opening.open_data`), ``dialect`` names forks, with commas, whose rules are
    followed whatever the net tells. ``with load_data(…) as batches`` closes the files at the end.
    Raises InputError, with file and line where they are known.
    """
    file = NetFile.of(net)
    with file.located():
        settled = with_dialects(file.message, file.name, to_stderr, names_of(dialect or ""))
        chosen = _chosen(settled, net_state(phase, level, stages), layer)
        return BatchStream(open_data(chosen, phase, seed, skip_bad=skip_bad, label_size=label_size))


def _chosen(net: NetParameter, state: NetState, name: str | None) -> LayerParameter:
    layers = [layer for layer in net.layer if is_readable(layer) and is_included(layer, state)]
    if name is not None:
        named = [layer for layer in layers if layer.name == name]
        if not named:
            hint = nearest(name, [layer.name for layer in layers])
            raise InputError(f'net "{net.name}" has no data layer "{name}" in this phase{hint}')
        return named[0]
    if len(layers) != 1:
        names = ", ".join(layer.name for layer in layers) or "none"
        raise InputError(
            f'net "{net.name}": layer= must name one of its data layers (in this phase: {names})'
        )
    return layers[0]
