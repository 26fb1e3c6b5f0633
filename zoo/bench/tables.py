"""The tables of ``zoo bench``, made from its rows alone, for the terminal and for the pages."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

from zoo.bench.grid import Grid, distinct, other_lists, run_name
from zoo.bench.latency_tables import engine_grid, head_latency_grid, latency_grid, tail_grid
from zoo.bench.row import SIZES, Row, by_key, is_judged
from zoo.tasks.classes import Classes
from zoo.tasks.maps import Maps, names_of
from zoo.tasks.numbers import Numbers
from zoo.tasks.task import Quantity, Task
from zoo.tasks.told import KINDS, kind_of


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
    told = _told(rows, kind)
    titles = [[each.title, "95% interval"] if each.has_interval else [each.title] for each in told]
    columns = ["run" if has_runs else "net", "head", "precision", *chain(*titles)]
    columns += ["parameters", "MACs", "bytes"]
    files = distinct(rows, "run", "name", "precision")
    own = ", not the runs' own list" if has_runs else ""
    other = "".join(f", on {name}{own}" for name in other_lists(rows))
    lines = [_accuracy_cells(row, rows, told) for row in files]
    return Grid(f"{kind.title} and size{other}", columns, lines, left=3)


def _told(rows: Sequence[Row], kind: type[Task]) -> list[Quantity]:
    """The figure that nets are compared by, and of the others those that a row has: no net of five classes or
    fewer has a top 5.
    """
    first, *others = kind.quantities
    return [first, *(each for each in others if any(each.in_row(by_key(row)) is not None for row in rows))]


def _accuracy_cells(row: Row, rows: Sequence[Row], told: Sequence[Quantity]) -> list[str]:
    figures = [cell for quantity in told for cell in _figure_cells(row, quantity)]
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
    count = max((len(row["class_iou"]) for row in files), default=0)
    named = next((row["class_names"] for row in files if len(row["class_names"]) == count), [])
    names = names_of(named, count)
    lines = [[name, *(_iou_cell(row, place) for row in files)] for place, name in enumerate(names)]
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


def head_grid(rows: Sequence[Row]) -> Grid:
    """FC against GAP: differences of accuracy, ratios of the rest."""
    told, lines = _told(rows, Classes), []
    for fc in distinct([row for row in rows if row["gap"]], "run", "name", "precision"):
        gap = next(row for row in rows if _is_gap_of(row, fc))
        points = [_points(each.in_row(by_key(fc)), each.in_row(by_key(gap))) for each in told]
        ratios = [f"{fc[key] / gap[key]:.3f}×" for key in SIZES]
        lines.append([f"{run_name(fc, rows)} / {fc['gap']}", fc["precision"], *points, *ratios])
    columns = ["FC / GAP", "precision", *(f"Δ {each.title}" for each in told), "parameters", "MACs", "bytes"]
    other = "".join(f", on {name}" for name in other_lists(rows))
    title = f"FC against GAP: accuracy{other} as FC − GAP in points, the rest as FC ÷ GAP"
    return Grid(title, columns, lines, left=2)


def _points(share: float | None, other: float | None) -> str:
    """A difference in points with its sign; what rounds to nothing is no −0.0."""
    return "" if share is None or other is None else f"{round(100 * (share - other), 1) + 0.0:+.1f}"


def _is_gap_of(row: Row, fc: Row) -> bool:
    return (row["name"], row["run"], row["precision"]) == (fc["gap"], fc["gap_run"], fc["precision"])
