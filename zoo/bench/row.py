"""A row of bench.json: one net in one precision, runtime and batch size. Rows that are read may be of an
earlier version, or another program's, and lack keys.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypedDict, cast

from zoo.tasks.task import Quantity
from zoo.tasks.told import kind_of

Size = Literal["parameters", "macs", "model_bytes"]
SIZES: tuple[Size, ...] = ("parameters", "macs", "model_bytes")


class ModelColumns(TypedDict):
    """What a row says of a model in any precision."""

    name: str
    run: str | None  # the run folder as it was given
    variant: str
    head: str
    seed: int | None
    list: str | None  # judged by in place of a run's own, or by a net without a run
    synthetic: bool | None
    parameters: int
    macs: int
    macs_unknown: Sequence[str]  # layers
    onnx_bytes: int


class TaskColumns(TypedDict, total=False):
    """What a row has of its kind of task: the figures of each, with the ends of their 95% intervals."""

    mean_iou: float | None
    mean_iou_low: float | None
    mean_iou_high: float | None
    pixel_accuracy: float | None
    pixel_accuracy_low: float | None
    pixel_accuracy_high: float | None
    class_iou: Sequence[float | None]  # a class each, None of one that is neither told nor there
    class_iou_low: Sequence[float | None]
    class_iou_high: Sequence[float | None]
    class_names: Sequence[str]  # none where the data has none
    mae: float | None
    mae_low: float | None
    mae_high: float | None
    mae_constant: float | None  # of telling the median of the training list always, and so below
    each_mae: Sequence[float | None]  # of each number, where a net tells several
    each_mae_low: Sequence[float | None]
    each_mae_high: Sequence[float | None]
    each_mae_constant: Sequence[float | None]
    emd: float | None  # with r = 2
    emd_low: float | None
    emd_high: float | None
    emd_constant: (
        float | None
    )  # of telling the mean of the training list's distributions always, and so below
    emd1: float | None  # with r = 1
    emd1_low: float | None
    emd1_high: float | None
    mean_error: float | None
    mean_error_low: float | None
    mean_error_high: float | None
    mean_error_constant: float | None


class AccuracyColumns(TaskColumns):
    """What the net was judged by, and how: of classes the shares of right answers with the 95% interval of
    the first, None where nothing was judged, or something else (top 5 also of five classes or fewer).
    """

    task: str  # of zoo.tasks.told.KINDS; a row of an earlier version has none, and is of classes
    top1: float | None
    top1_low: float | None
    top1_high: float | None
    top5: float | None
    images: int | None
    failed: str | None  # why no accuracy could be measured
    unjudged: str | None  # why the data is not the run's, or a net without a run is not judged
    content: str | None  # the sum of the list that was judged


class FileColumns(ModelColumns, AccuracyColumns):
    """What a row says of a model's file in one precision: it does not depend on what that is timed on."""

    precision: str
    model_bytes: int
    calibration: str | None


class Row(FileColumns):
    """A whole row; beside these keys it has ``version_<package>`` of Python and what computes."""

    runtime: str
    provider: str
    processor: str
    threads: int
    batch: int
    latency_p50_ms: float
    latency_p90_ms: float
    latency_p99_ms: float
    latency_spread: float
    images_per_second: float
    runs: int
    rounds: int
    latency_floor: float
    latency_of: str
    to_fp32: float | None
    to_fp32_low: float | None
    to_fp32_high: float | None
    to_fp32_told_apart: bool | None
    gap: str | None
    gap_run: str | None
    to_gap: float | None
    to_gap_low: float | None
    to_gap_high: float | None
    to_gap_told_apart: bool | None


class Shares(NamedTuple):
    """The share of right answers, with its 95% interval."""

    top1: float
    low: float
    high: float


class Score(NamedTuple):
    """A figure that nets are judged by, with its 95% interval, or as its own where there is none."""

    value: float
    low: float
    high: float


class LatencyRatio(NamedTuple):
    """A latency ÷ another's, with the 99% interval where there were rounds enough."""

    value: float
    low: float | None
    high: float | None
    is_told_apart: bool


def by_key(row: Row) -> Mapping[str, Any]:
    """The row, to be read by keys that are put together."""
    return cast(Mapping[str, Any], row)


def shares_of(row: Row) -> Shares | None:
    """The row's accuracy; None where nothing was judged."""
    top1, low, high = row["top1"], row["top1_low"], row["top1_high"]
    return None if top1 is None or low is None or high is None else Shares(top1, low, high)


def is_judged(row: Row) -> bool:
    """Whether a row has the figure that its net is judged by."""
    return main_of(row).in_row(by_key(row)) is not None


def unjudged(row: Row) -> Row:
    """The row without the figures that its net is judged by."""
    return cast(Row, {**row, **{each.key: None for each in kind_of(row.get("task")).quantities}})


def main_of(row: Row) -> Quantity:
    """The figure that nets of the row's task are compared by."""
    return kind_of(row.get("task")).quantities[0]


def score_of(row: Row) -> Score | None:
    """The row's main figure with its interval; None where nothing was judged."""
    quantity = main_of(row)
    value, ends = quantity.in_row(by_key(row)), quantity.interval_in_row(by_key(row))
    return None if value is None else Score(value, *(ends or (value, value)))


def in_onnxruntime(rows: Iterable[Row], precision: str = "fp32") -> list[Row]:
    """The rows that onnxruntime ran in a precision."""
    kind = ("onnxruntime", precision)
    return [r for r in rows if (r.get("runtime", "onnxruntime"), r.get("precision", "fp32")) == kind]


def is_told_slower(row: Row, other: Row) -> bool:
    """Whether ``row`` takes longer than ``other``, as far as rounds on one machine tell.

    A net with an FC head and its GAP partner were compared within each round. Of two others it is told where
    the middle 80% of their round medians lie apart, by more than one net in two processes differed.
    """
    machine = ("processor", "threads", "provider", "batch")
    if any(by_key(row).get(key) != by_key(other).get(key) for key in machine):
        return False
    for sign, fc, gap in ((1, row, other), (-1, other, row)):
        ratio = ratio_of(fc, "to_gap")
        if ratio and fc.get("gap_run") and fc.get("gap_run") == gap.get("run"):
            return ratio.is_told_apart and sign * (ratio.value - 1) > 0
    return rounds_span(row)[0] > rounds_span(other)[1]


def rounds_span(row: Row) -> tuple[float, float]:
    """About the ends between which the middle 80% of a latency's round medians lie, in ms."""
    factor = 1 + max(row["latency_spread"] / 2, row["latency_floor"])
    return row["latency_p50_ms"] / factor, row["latency_p50_ms"] * factor


def ratio_of(row: Row, to: Literal["to_fp32", "to_gap"]) -> LatencyRatio | None:
    """The row's latency ÷ that of fp32 in onnxruntime, or of its GAP partner; None where there is none."""
    keys = (to, f"{to}_low", f"{to}_high", f"{to}_told_apart")
    value, low, high, is_told_apart = map(by_key(row).get, keys)
    return None if value is None else LatencyRatio(value, low, high, bool(is_told_apart))
