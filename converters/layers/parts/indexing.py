"""Values of a blob that index: labels, rows of a table, samples of a batch. Out of range they are the
user's error, of one line, and never torch's.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor

from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class Check:
    """What one layer asked of one bottom in one pass.

    ``first`` is (1 where a value is out of range else 0, the place of the first such in the flattened bottom,
    its value), on the bottom's device; ``samples`` is the bottom's first axis, ``count`` all its elements.
    """

    layer: str
    what: str
    bottom: int
    bound: int
    samples: int
    count: int
    first: Tensor


class OutOfRangeError(InputError):
    """A value that indexes is out of range; ``sample`` counts along the bottom's first axis. ``reason`` is
    the message without the layer's name.
    """

    def __init__(self, check: Check, position: int, value: float) -> None:
        valid = f"0 to {check.bound - 1}" if check.bound else "none"
        self.check, self.sample = check, position * check.samples // check.count
        shown = int(value) if value.is_integer() else f"{value:.9g}"
        self.reason = f"{check.what} {shown} of sample {self.sample} is out of range, {valid}"
        super().__init__(f'layer "{check.layer}": {self.reason}')


_deferred: ContextVar[list[Check] | None] = ContextVar("deferred", default=None)


@contextmanager
def deferring() -> Iterator[list[Check]]:
    """Within it a pass only notes its checks, so that no step waits for a GPU; :func:`raise_first` reads
    them. Until then a value out of range counts as 0.
    """
    checks: list[Check] = []
    token = _deferred.set(checks)
    try:
        yield checks
    finally:
        _deferred.reset(token)


def raise_first(checks: Sequence[Check]) -> None:
    """Raise OutOfRangeError for the first of ``checks`` that found a value; the device is read once."""
    if not checks:
        return
    for check, (is_wrong, position, value) in zip(
        checks, torch.stack([check.first for check in checks]).tolist(), strict=True
    ):
        if is_wrong:
            raise OutOfRangeError(check, int(position), value)


def _is_traced() -> bool:
    """Whether torch.compile, torch.export or the older exporter records what runs here."""
    is_tracing = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return torch.compiler.is_compiling() or bool(is_tracing)


class Index:
    """One bottom of a layer whose values index; messages call them ``what``.

    Caffe takes the whole part of each (``static_cast<int>``), so that -0.5 is 0; with ``is_exact`` it
    compares the value itself.
    """

    def __init__(self, message: LayerParameter, what: str, bottom: int, is_exact: bool = False) -> None:
        self.layer, self.what, self.bottom, self.is_exact = message.name, what, bottom, is_exact

    def __call__(self, values: Tensor, bound: int, ignore: int | None = None) -> Tensor:
        """``values`` as whole numbers, in their shape; ``ignore`` counts as in range and stays.

        Raises OutOfRangeError for one below 0 or from ``bound`` on, and for what is no number: Caffe would
        read memory by it. What torch.compile or an exporter traces is not checked.
        """
        values = values.detach()
        whole = values.long()
        if values.is_meta or not values.numel() or _is_traced():
            return whole
        if values.device.type == "cpu" and self._all_in(values, bound):
            return whole
        wrong = self._wrong(values, whole, bound, ignore)
        check = self._check(values, wrong, bound)
        if (checks := _deferred.get()) is None:
            raise_first([check])
            return whole
        checks.append(check)
        return torch.where(wrong, 0, whole)

    def _all_in(self, values: Tensor, bound: int) -> bool:
        """Whether no value is out of range, in one walk over them: the common case."""
        least, most = (side.item() for side in torch.aminmax(values))
        return (least >= 0 if self.is_exact else least > -1) and most < bound  # both false of NaN

    def _wrong(self, values: Tensor, whole: Tensor, bound: int, ignore: int | None) -> Tensor:
        """Which values are out of range; comparing the values themselves finds NaN on any device."""
        right = (values >= 0 if self.is_exact else values > -1) & (values < bound)
        if ignore is not None:
            right |= (whole == ignore) & ~values.isnan()
        return ~right

    def _check(self, values: Tensor, wrong: Tensor, bound: int) -> Check:
        flat = wrong.reshape(-1)
        position = flat.to(torch.uint8).argmax()
        first = torch.stack([flat.any().double(), position.double(), values.take(position).double()])
        samples = len(values) if values.dim() else 1
        return Check(self.layer, self.what, self.bottom, bound, samples, values.numel(), first)
