"""A ``.solverstate``: how far a solver got, and where in the file its histories lie; and writing one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from prototxt.binary.blob import StoredBlob, find_blob, write_blob
from prototxt.binary.wire import COUNTED, VARINT, Source, WireError, signed
from prototxt.caffe_pb2 import SolverState
from prototxt.rawbytes import serialized, text_of, to_message

_ITER, _LEARNED_NET, _HISTORY, _CURRENT_STEP = 1, 2, 3, 4
_LONGEST_NAME = 1 << 16


@dataclass
class StoredState:
    """A solver's state as a file has it; ``iteration`` is None where the file does not say."""

    iteration: int | None = None
    learned_net: str = ""
    current_step: int = 0
    history: list[StoredBlob] = field(default_factory=list)


def find_state(source: Source) -> StoredState:
    """Read everything but the histories' values. Raises WireError where the file is no SolverState."""
    state, start = StoredState(), 0
    while start < source.size:
        field = source.field(start, source.size)
        start = field.end
        if field.number == _ITER and field.wire == VARINT:
            state.iteration = signed(field.value)
        elif field.number == _LEARNED_NET and field.wire == COUNTED:
            state.learned_net = _text(source, field.start, field.end)
        elif field.number == _HISTORY and field.wire == COUNTED:
            state.history.append(find_blob(source, field.start, field.end))
        elif field.number == _CURRENT_STEP and field.wire == VARINT:
            state.current_step = signed(field.value)
    return state


def _text(source: Source, start: int, end: int) -> str:
    if end - start > _LONGEST_NAME:
        raise WireError(f"a path of {end - start} bytes at byte {start}")
    return text_of(source.peek(start, end - start))


def write_binary(
    file: BinaryIO,
    iteration: int,
    learned_net: str,
    current_step: int,
    shapes: Sequence[Sequence[int]],
    blobs: Iterable[NDArray[np.float32]],
) -> None:
    """The bytes that protobuf would write, without a second copy of the histories."""
    file.write(serialized(SolverState(iter=iteration, learned_net=to_message(learned_net))))
    for shape, blob in zip(shapes, blobs, strict=True):
        write_blob(file, _HISTORY, shape, blob)
    file.write(SolverState(current_step=current_step).SerializeToString())
