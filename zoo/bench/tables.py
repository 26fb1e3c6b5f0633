"""The tables of ``zoo bench``, made from its rows alone, for the terminal and for the pages."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from zoo.bench.row import SIZES, LatencyRatio, Row, by_key, is_judged, ratio_of
from zoo.tasks.classes import Classes
from zoo.tasks.maps import Maps
from zoo.tasks.numbers import Numbers
from zoo.tasks.task import Quantity, Task
from zoo.tasks.told import KINDS, kind_of

SAME = "cannot be told apart on this machine"
_BAR = 16
_EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True)
class Grid:
    """A table: title, column heads, cells; the first ``left`` columns are text, the others numbers."""

    title: str
    columns: list[str]
    lines: list[list[str]]
    left: int = 1


def grids(rows: Sequence[Row]) -> list[Grid]:
    """Every table that has a line."""
    made = (latency_grid, tail_grid, engine_grid, head_grid, head_latency_grid)
    return [*accuracy_grids(rows), *(grid for make in made if (grid := make(rows)).lines)]


def accuracy_grids(rows: Sequence[Row]) -> list[Grid]:
    """Of each task among the rows the figures and sizes of every run in every precision, and what else such
    a task shows.
    """
    every = []
    for kind in KINDS.values():
        if own := [row for row in rows if kind_of(row.get("task")) is kind]:
            every.append(accuracy_grid(own, kind))
            every += [grid for make in _MORE.get(kind.name, ()) if (grid := make(own)).lines]
    return every


def accuracy_grid(rows: Sequence[Row], kind: type[Task] = Classes) -> Grid:
    """The figures of a task and the size of every run in every precision."""
    has_runs = any(row["run"] for row in rows)
    titles = [[each.title, "95% interval"] if each.has_interval else [each.title] for each in kind.quantities]
    columns = ["run" if has_runs else "net", "head", "precision", *chain(*titles)]
    columns += ["parameters", "MACs", "bytes"]
    files = distinct(rows, "run", "name", "precision")
    own = ", not the runs' own list" if has_runs else ""
    other = "".join(f", on {name}{own}" for name in other_lists(rows))
    lines = [_accuracy_cells(row, rows, kind) for row in files]
    return Grid(f"{kind.title} and size{other}", columns, lines, left=3)


def other_lists(rows: Iterable[Row]) -> list[str]:
    """The lists that accuracies are of in place of the runs' own, as --list names them."""
    judged = (row for row in rows if is_judged(row))
    return list(dict.fromkeys(str(row["list"]) for row in judged if row.get("list")))


def _accuracy_cells(row: Row, rows: Sequence[Row], kind: type[Task]) -> list[str]:
    figures = [cell for quantity in kind.quantities for cell in _figure_cells(row, quantity)]
    if not is_judged(row):
        figures[0] = _unmeasured(row)
    sizes = [f"{row['parameters']:,}", f"{row['macs']:,}", f"{row['model_bytes']:,}"]
    return [run_name(row, rows), row["head"], row["precision"], *figures, *sizes]


def _figure_cells(row: Row, quantity: Quantity) -> list[str]:
    """A figure, and its interval where such figures have one."""
    value = quantity.text(quantity.in_row(by_key(row)))
    ends = quantity.interval_in_row(by_key(row))
    return [value, between(quantity, ends)] if quantity.has_interval else [value]


def between(quantity: Quantity, ends: tuple[float | None, float | None] | None) -> str:
    """The two ends of an interval; nothing where there is none."""
    return "–".join(map(quantity.text, ends)) if ends and None not in ends else ""


def class_iou_grid(rows: Sequence[Row]) -> Grid:
    """The IoU of each class, of every run in the first precision that was measured."""
    files = distinct([row for row in rows if row.get("class_iou")], "run", "name")
    names = max((row["class_names"] for row in files), key=len, default=[])
    count = max((len(row["class_iou"]) for row in files), default=0)
    lines = [
        [names[place] if place < len(names) else str(place), *(_iou_cell(row, place) for row in files)]
        for place in range(count)
    ]
    return Grid("IoU of each class, 95% interval", ["class", *(run_name(row, rows) for row in files)], lines)


def _iou_cell(row: Row, place: int) -> str:
    keys = ("class_iou", "class_iou_low", "class_iou_high")
    value, *ends = (dict(enumerate(by_key(row)[key])).get(place) for key in keys)
    return f"{Maps.quantities[0].text(value)} {between(Maps.quantities[0], (ends[0], ends[1]))}".strip()


def each_number_grid(rows: Sequence[Row]) -> Grid:
    """The error of each number where nets tell several, of every run in the first precision measured."""
    lines = [
        [run_name(row, rows), str(place + 1), *cells]
        for row in distinct([row for row in rows if row.get("each_mae")], "run", "name")
        for place, cells in enumerate(_number_cells(row))
    ]
    columns = ["run", "number", "MAE", "95% interval", "always the median"]
    return Grid("errors of each number that is told", columns, lines, left=2)


def _number_cells(row: Row) -> list[list[str]]:
    keys = ("each_mae", "each_mae_low", "each_mae_high", "each_mae_constant")
    text = Numbers.quantities[0].text
    return [
        [text(mean), between(Numbers.quantities[0], (low, high)), text(constant)]
        for mean, low, high, constant in zip(*(by_key(row)[key] for key in keys), strict=True)
    ]


def _unmeasured(row: Row) -> str:
    if row.get("unjudged"):
        return "none: other data" if row["run"] else "not judged"
    return row.get("failed") or ("not judged" if row["run"] else "untrained")


# What is shown of a task besides its figures.
_MORE: Mapping[str, Sequence[Callable[[Sequence[Row]], Grid]]] = {
    Maps.name: (class_iou_grid,),
    Numbers.name: (each_number_grid,),
}


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


def head_grid(rows: Sequence[Row]) -> Grid:
    """FC against GAP: differences of accuracy, ratios of the rest."""
    lines = []
    for fc in distinct([row for row in rows if row["gap"]], "run", "name", "precision"):
        gap = next(row for row in rows if _is_gap_of(row, fc))
        points = [_points(fc["top1"], gap["top1"]), _points(fc["top5"], gap["top5"])]
        ratios = [f"{fc[key] / gap[key]:.3f}×" for key in SIZES]
        lines.append([f"{run_name(fc, rows)} / {fc['gap']}", fc["precision"], *points, *ratios])
    columns = ["FC / GAP", "precision", "Δ top-1", "Δ top-5", "parameters", "MACs", "bytes"]
    other = "".join(f", on {name}" for name in other_lists(rows))
    title = f"FC against GAP: accuracy{other} as FC − GAP in points, the rest as FC ÷ GAP"
    return Grid(title, columns, lines, left=2)


def _points(share: float | None, other: float | None) -> str:
    """A difference in points with its sign; what rounds to nothing is no −0.0."""
    return "" if share is None or other is None else f"{round(100 * (share - other), 1) + 0.0:+.1f}"


def _is_gap_of(row: Row, fc: Row) -> bool:
    return (row["name"], row["run"], row["precision"]) == (fc["gap"], fc["gap_run"], fc["precision"])


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


def run_name(row: Row, rows: Sequence[Row]) -> str:
    """The run's name; with its seed where another run has the same name."""
    runs = {other["run"] for other in rows if other["name"] == row["name"]}
    return row["name"] if len(runs) < 2 else f"{row['name']}, seed {row['seed']}"


def engine_name(row: Row, rows: Sequence[Row]) -> str:
    """fp32, int8, opencv, …; with the provider where onnxruntime ran on several."""
    name: str = row["precision"] if row["runtime"] == "onnxruntime" else row["runtime"]
    providers = {other["provider"] for other in rows if other["runtime"] == "onnxruntime"}
    if len(providers) > 1 or (row["runtime"] == "onnxruntime" and providers != {"CPUExecutionProvider"}):
        return f"{name} {row['provider'].removesuffix('ExecutionProvider')}"
    return name


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


def distinct(rows: Iterable[Row], *keys: str) -> list[Row]:
    """The first row of each combination of the keys' values."""
    first: dict[object, Row] = {}
    for row in rows:
        first.setdefault(tuple(by_key(row)[key] for key in keys), row)
    return list(first.values())
