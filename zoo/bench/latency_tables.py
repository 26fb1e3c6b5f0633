"""The tables of ``zoo bench`` about latency."""

from collections.abc import Iterable, Sequence

from zoo.bench.grid import Grid, engine_name
from zoo.bench.row import LatencyRatio, Row, by_key, ratio_of

SAME = "cannot be told apart on this machine"
_BAR = 16
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def latency_grid(rows: Sequence[Row]) -> Grid:
    """The median latency of every net and engine at every batch size, and a bar for the largest."""
    sizes = sorted({row["batch"] for row in rows})
    timed = lanes(rows)
    at = _largest_common(timed) or sizes[-1]
    slowest = max((lane[at]["latency_p50_ms"] for lane in timed if at in lane), default=0.0)
    lines = []
    for lane in timed:
        cells = [f"{lane[size]['latency_p50_ms']:.2f}" if size in lane else "" for size in sizes]
        bar = bar_of(lane[at]["latency_p50_ms"] / slowest) if at in lane else ""
        lines.append([*_lane_name(lane, rows), bar, *cells])
    title = "latency: the median of a call in ms, by batch size"
    return Grid(title, ["net", "engine", f"at {at}", *map(str, sizes)], lines, left=3)


def tail_grid(rows: Sequence[Row]) -> Grid:
    """Percentiles, spread and throughput of every net and engine at its smallest and largest batch."""
    lines = []
    for pick in (min, max):
        for lane in lanes(rows):
            if len(lane) == 1 and pick is max:
                continue
            row = lane[pick(lane)]
            times = [f"{by_key(row)[f'latency_p{q}_ms']:.2f}" for q in (50, 90, 99)]
            rate = f"{row['images_per_second']:.1f}"
            lines.append(
                [*_lane_name(lane, rows), str(row["batch"]), *times, f"{row['latency_spread']:.0%}", rate]
            )
    columns = ["net", "engine", "batch", "p50 ms", "p90 ms", "p99 ms", "spread", "images/s"]
    return Grid("latency: percentiles of the calls, spread of the round medians", columns, lines, left=2)


def engine_grid(rows: Sequence[Row]) -> Grid:
    """Every other engine against onnxruntime in fp32 with the same net."""
    lines = [
        [*_lane_name(lane, rows), *_ratio_cells(row["batch"], ratio)]
        for lane in lanes(rows)
        for row in _ends(lane)
        if (ratio := ratio_of(row, "to_fp32"))
    ]
    columns = ["net", "engine", "verdict", "batch", "÷ fp32", "99% interval"]
    return Grid("latency ÷ that of fp32 in onnxruntime, from paired rounds", columns, lines, left=3)


def head_latency_grid(rows: Sequence[Row]) -> Grid:
    """FC against GAP: the latency, with what can be said of it."""
    lines = [
        [
            f"{row['name']} / {row['gap']}",
            engine_name(row, rows),
            *_ratio_cells(row["batch"], ratio),
        ]
        for lane in lanes([row for row in rows if row["gap"]])
        for row in _ends(lane)
        if (ratio := ratio_of(row, "to_gap"))
    ]
    columns = ["FC / GAP", "engine", "verdict", "batch", "FC ÷ GAP", "99% interval"]
    return Grid("FC against GAP: latency, from paired rounds", columns, lines, left=3)


def _ratio_cells(batch: int, ratio: LatencyRatio) -> list[str]:
    interval = "too few rounds" if ratio.low is None else f"{ratio.low:.3f}–{ratio.high:.3f}"
    verdict = SAME if not ratio.is_told_apart else "slower" if ratio.value > 1 else "faster"
    return [verdict, str(batch), f"{ratio.value:.3f}×", interval]


def bar_of(share: float) -> str:
    """A bar of block characters, ``_BAR`` cells at 1; never empty."""
    eighths = max(1, round(share * _BAR * 8))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def lanes(rows: Iterable[Row]) -> list[dict[int, Row]]:
    """The rows of each net and engine by batch size; runs that share a latency once."""
    by_engine: dict[object, dict[int, Row]] = {}
    for row in rows:
        key = (row["latency_of"], row["precision"], row["runtime"], row["provider"])
        by_engine.setdefault(key, {}).setdefault(row["batch"], row)
    return list(by_engine.values())


def _lane_name(lane: dict[int, Row], rows: Sequence[Row]) -> list[str]:
    row = next(iter(lane.values()))
    runs = {other["run"] or other["name"] for other in rows if other["latency_of"] == row["latency_of"]}
    return [row["name"] + (f" ×{len(runs)}" if len(runs) > 1 else ""), engine_name(row, rows)]


def _ends(lane: dict[int, Row]) -> list[Row]:
    """The rows at the smallest and the largest batch."""
    return [lane[batch] for batch in dict.fromkeys((min(lane), max(lane)))]


def _largest_common(timed: Sequence[dict[int, Row]]) -> int | None:
    return max(set.intersection(*map(set, timed)), default=None)
