"""A row of bench.json: one net in one precision, runtime and batch size. Rows that are read may be of an
earlier version, or another program's, and lack keys.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypedDict, cast

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


class AccuracyColumns(TypedDict):
    """Shares of right answers with the 95% interval of the first; all None where nothing was judged."""

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
    """Shares of right answers, and the 95% interval of the first."""

    top1: float
    low: float
    high: float
    top5: float | None


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
    return None if top1 is None or low is None or high is None else Shares(top1, low, high, row.get("top5"))


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
