"""The figures of ``zoo bench``: latency against batch size, accuracy against size and latency."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from prototxt.errors import InputError
from zoo.bench.grid import engine_name, other_lists
from zoo.bench.latency_tables import lanes
from zoo.bench.row import Row, is_judged, main_of, score_of
from zoo.plots.charts import colour, new_figure, save_chart, style

LABELS = {
    "batch": "batch size",
    "latency": "median latency of a call (ms)",
    "top1": "top-1 accuracy",
    "bytes": "size of the file (MB)",
    "per_call": "median latency at batch {batch} (ms)",
}
_MARKERS = "osD^vPX"
_DASHES = ("-", "--", "-.", ":")


def latency_figure(rows: Sequence[Row], labels: Mapping[str, str] = LABELS) -> Figure:
    """Latency against batch size, both on logarithmic axes: a line for each net (colour) and engine (dashes).

    The band is what the round medians spread over.
    """
    figure = new_figure(7.2, 4.2)
    looks = _Looks(rows)
    sizes = sorted({row["batch"] for row in rows})
    with style():
        axes = figure.subplots()
        for lane in lanes(rows):
            _draw_line(axes, lane, looks)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(labels["batch"])
        axes.set_ylabel(labels["latency"])
        looks.add_legend(figure)
    return figure


def accuracy_figure(rows: Sequence[Row], labels: Mapping[str, str] = LABELS) -> Figure:
    """Accuracy with its 95% interval against the file's size, and against latency at the smallest batch.

    Only what onnxruntime ran, since accuracy is measured there, and only rows that have one; of nets that are
    judged by different things those that are judged as the first is.
    """
    figure = new_figure(7.2, 3.8)
    judged = [row for row in rows if is_judged(row) and row["runtime"] == "onnxruntime"]
    main = main_of(judged[0])
    judged = [row for row in judged if main_of(row) is main]
    first = min(row["batch"] for row in rows)
    looks = _Looks(judged)
    with style():
        axes = figure.subplots(1, 2, sharey=True)
        for row in judged:
            if row["batch"] == first:
                _draw_point(axes, row, looks)
        axes[0].set_ylabel(labels.get(main.key, main.title))
        axes[0].set_xlabel(labels["bytes"])
        axes[1].set_xlabel(labels["per_call"].format(batch=first))
        axes[0].yaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:.0%}" if main.is_share else f"{value:g}")
        )
        looks.add_legend(figure)
    return figure


class _Looks:
    """Which colour stands for which net, and which marker and dashes for which engine."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.nets = list(dict.fromkeys(row["name"] for row in rows))
        self.engines = list(dict.fromkeys(engine_name(row, rows) for row in rows))

    def of(self, row: Row) -> dict[str, str]:
        """A row's colour, marker and dashes."""
        index = self.engines.index(engine_name(row, self.rows))
        return {"color": colour(self.nets.index(row["name"])), **_shape(index)}

    def add_legend(self, figure: Figure) -> None:
        """Nets by colour, then engines by marker."""
        handles = [Line2D([], [], color=colour(i), lw=3, label=name) for i, name in enumerate(self.nets)]
        handles += [
            Line2D([], [], color="grey", markersize=5, label=name, **_shape(i))  # type: ignore[arg-type]
            for i, name in enumerate(self.engines)
        ]
        figure.legend(handles=handles, loc="outside right upper", fontsize=8)


def _shape(engine: int) -> dict[str, str]:
    return {"marker": _MARKERS[engine % len(_MARKERS)], "linestyle": _DASHES[engine % len(_DASHES)]}


def _draw_line(axes: Axes, lane: Mapping[int, Row], looks: _Looks) -> None:
    sizes = sorted(lane)
    look = looks.of(lane[sizes[0]])
    middle = [lane[size]["latency_p50_ms"] for size in sizes]
    factors = [1 + lane[size]["latency_spread"] / 2 for size in sizes]
    axes.plot(sizes, middle, markersize=4, **look)  # type: ignore[arg-type]
    low = [value / factor for value, factor in zip(middle, factors, strict=True)]
    high = [value * factor for value, factor in zip(middle, factors, strict=True)]
    axes.fill_between(sizes, low, high, color=look["color"], alpha=0.12, linewidth=0)


def _draw_point(axes: Sequence[Axes], row: Row, looks: _Looks) -> None:
    look, score = looks.of(row), score_of(row)
    assert score is not None
    error = [[score.value - score.low], [score.high - score.value]]
    for axis, x in zip(axes, (row["model_bytes"] / 1e6, row["latency_p50_ms"]), strict=True):
        axis.errorbar(
            x,
            score.value,
            yerr=error,
            fmt=look["marker"],
            markersize=5,
            color=look["color"],
            elinewidth=0.8,
        )


def figure_paths(target: Path) -> tuple[Path, Path]:
    """Latency's file, accuracy's file: ``target`` and ``…-accuracy`` beside it, or .svg files in a folder.

    Raises InputError for a suffix other than .png and .svg.
    """
    if target.is_dir() or not target.suffix:
        return target / "latency.svg", target / "accuracy.svg"
    if target.suffix.lower() not in (".png", ".svg"):
        raise InputError(f"{target}: a chart is written as .png or .svg")
    return target, target.with_name(f"{target.stem}-accuracy{target.suffix}")


def write_bench_figures(rows: Sequence[Row], target: Path) -> list[Path]:
    """Write the figures where :func:`figure_paths` says, accuracy only where a row has one; the paths."""
    paths = figure_paths(target)
    save_chart(latency_figure(rows), paths[0])
    if not any(map(is_judged, rows)):
        return [paths[0]]
    other = "".join(f" on {Path(name).name}" for name in other_lists(rows))
    main = main_of(next(filter(is_judged, rows)))
    labels = {**LABELS, main.key: LABELS.get(main.key, main.title) + other}
    save_chart(accuracy_figure(rows, labels), paths[1])
    return list(paths)
