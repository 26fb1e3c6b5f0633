"""What every data layer offers: batches by number."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from torch import Tensor

from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


class BadRecordError(InputError):
    """A record that cannot be read; ``skip_bad`` passes over it."""


@dataclass(frozen=True)
class SourceOptions:
    """How a source is opened; :func:`converters.data.opening.open_data` says what each means."""

    train: bool
    seed: int
    places: Sequence[Path]
    skip_bad: bool
    label_size: int | None = None


class DataSource(ABC):
    """The batches of one data layer.

    A batch is a pure function of (seed, index), so a run resumes at any index, and rank r of a run spread
    over w processes takes the batches r, r + w, r + 2w, ….
    """

    shapes: dict[str, tuple[int, ...]]  # of every top; where images keep their own size, the first one's

    def __init__(self, layer: LayerParameter) -> None:
        self.layer = layer
        self.bad: set[int] = set()  # rows met so far that could not be read

    @abstractmethod
    def batch(self, index: int) -> dict[str, Tensor]:
        """The ``index``-th batch from 0, float32, by the names of the tops."""

    def record(self, index: int, sample: int) -> str:
        """What messages call the ``sample``-th row, from 0, of the ``index``-th batch: where it was read."""
        return f"batch {index}, sample {sample}"

    @property
    def skipped(self) -> int:
        """How many different records were passed over as broken so far."""
        return len(self.bad)

    def close(self) -> None:  # noqa: B027 (most families hold no file open)
        """Let go of files; the source is of no use afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
