"""What a solver says of itself while it runs: records that it hands to whoever listens, in Caffe's order."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Output(NamedTuple):
    """One value of an output blob; ``weight`` is the blob's loss weight."""

    blob: str
    value: float
    weight: float = 0.0


Scores = dict[str, float | list[float]]  # by blob; a list where a blob has several values


def scores(outputs: Sequence[Output]) -> Scores:
    """The values of every blob."""
    values: dict[str, list[float]] = {}
    for output in outputs:
        values.setdefault(output.blob, []).append(output.value)
    return {blob: several[0] if len(several) == 1 else several for blob, several in values.items()}


class Begun(NamedTuple):
    """A run begins (Solver::Solve)."""

    net: str


class Restoring(NamedTuple):
    """A solver state is about to be read."""

    state: Path


class Finetuning(NamedTuple):
    """Weights are about to be read."""

    weights: str | Path


class Testing(NamedTuple):
    """Test net number ``net`` is about to be tested."""

    iteration: int
    net: int


class Tested(NamedTuple):
    """A test net's means over its test_iter batches; ``loss`` is weighted by loss_weight."""

    iteration: int
    net: int
    outputs: Sequence[Output]
    loss: float


class LossesRead(NamedTuple):
    """Losses, by iteration, have come from the device; each is read once."""

    losses: Mapping[int, float]


class Displayed(NamedTuple):
    """An iteration that ``display`` asks for has its smoothed loss; ``outputs`` reads its last batch's."""

    iteration: int
    loss: float
    outputs: Callable[[], Sequence[Output]]


class Debugged(NamedTuple):
    """Lines of debug_info."""

    lines: Sequence[str]


class RateStepped(NamedTuple):
    """lr_policy multistep has taken its ``step``-th step."""

    iteration: int
    step: int


class Rated(NamedTuple):
    """An iteration that ``display`` asks for has its learning rate."""

    iteration: int
    rate: float


class Stepped(NamedTuple):
    """An iteration has made its update, under ``rate``, in so many seconds."""

    iteration: int
    rate: float
    seconds: float
    is_displayed: bool


class Snapshotting(NamedTuple):
    """Caffe's two files are about to be written."""

    model: Path
    state: Path


class LastLoss(NamedTuple):
    """The smoothed loss with one more pass after the last update in it."""

    iteration: int
    loss: float


class Ended(NamedTuple):
    """The run is over: at max_iter, or stopped before."""

    is_whole: bool


_Run = Begun | Restoring | Finetuning | Snapshotting | LastLoss | Ended
Event = _Run | Testing | Tested | LossesRead | Displayed | Debugged | RateStepped | Rated | Stepped
Listener = Callable[[Event], None]
