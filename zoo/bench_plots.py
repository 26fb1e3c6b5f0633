"""The figures of ``zoo bench``: latency against batch size, accuracy against size and latency."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from zoo.bench_tables import Row, engine_name, lanes
from zoo.charts import colour, new_figure, save, style

LABELS = {
    "batch": "batch size",
    "latency": "median latency of a call (ms)",
    "top1": "top-1 accuracy",
    "bytes": "size of the file (MB)",
    "per_image": "median latency at batch {batch} (ms)",
}
_MARKERS = "osD^vPX"


def latency_figure(rows: Sequence[Row], labels: Mapping[str, str] = LABELS) -> Figure:
    """Latency against batch size, both on logarithmic axes: a line for each net and engine.

    The band is what the round medians spread over.
    """
    figure = new_figure(7.2, 4.2)
    with style():
        axes = figure.subplots()
        engines = _engines(rows)
        for index, (name, held) in enumerate(_by_net(rows).items()):
            for row_of in held:
                _draw_line(
                    axes,
                    row_of,
                    f"{name}, {_engine(row_of, rows)}",
                    index,
                    engines.index(_engine(row_of, rows)),
                )
        sizes = sorted({row["batch"] for row in rows})
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(labels["batch"])
        axes.set_ylabel(labels["latency"])
        figure.legend(loc="outside right upper", fontsize=8)
    return figure


def _draw_line(axes: Axes, held: Mapping[int, Row], label: str, index: int, engine: int) -> None:
    sizes = sorted(held)
    middle = [held[size]["latency_p50_ms"] for size in sizes]
    half = [held[size]["latency_spread"] / 2 for size in sizes]
    marker = _MARKERS[engine % len(_MARKERS)]
    dashes = ("-", "--", "-.", ":")[engine % 4]
    axes.plot(sizes, middle, dashes, marker=marker, markersize=4, color=colour(index), label=label)
    low = [value * (1 - share) for value, share in zip(middle, half, strict=True)]
    high = [value * (1 + share) for value, share in zip(middle, half, strict=True)]
    axes.fill_between(sizes, low, high, color=colour(index), alpha=0.12, linewidth=0)


def accuracy_figure(rows: Sequence[Row], labels: Mapping[str, str] = LABELS) -> Figure:
    """Accuracy with its 95% interval against the file's size, and against latency at the smallest batch.

    Rows without an accuracy are not drawn; runtimes other than onnxruntime have onnxruntime's.
    """
    figure = new_figure(7.2, 3.8)
    first = min(row["batch"] for row in rows)
    held = [
        row
        for row in rows
        if row["top1"] is not None and row["batch"] == first and row["runtime"] == "onnxruntime"
    ]
    with style():
        axes = figure.subplots(1, 2, sharey=True)
        named: set[str] = set()
        for row in held:
            _draw_point(axes, row, rows, named)
        axes[0].set_ylabel(labels["top1"])
        axes[0].set_xlabel(labels["bytes"])
        axes[1].set_xlabel(labels["per_image"].format(batch=first))
        axes[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
        if named:
            figure.legend(loc="outside right upper", fontsize=8)
    return figure


def _draw_point(axes: Sequence[Axes], row: Row, rows: Sequence[Row], named: set[str]) -> None:
    names, engines = list(_by_net(rows)), _engines(rows)
    engine = engine_name(row, rows)
    label = f"{row['name']}, {engine}"
    error = [[row["top1"] - row["top1_low"]], [row["top1_high"] - row["top1"]]]
    for axis, x in zip(axes, (row["model_bytes"] / 1e6, row["latency_p50_ms"]), strict=True):
        axis.errorbar(
            x,
            row["top1"],
            yerr=error,
            fmt=_MARKERS[engines.index(engine) % len(_MARKERS)],
            markersize=5,
            color=colour(names.index(row["name"])),
            elinewidth=0.8,
            label=None if label in named else label,
        )
        named.add(label)


def _by_net(rows: Sequence[Row]) -> dict[str, list[Mapping[int, Row]]]:
    """The lanes of each net, by its name."""
    found: dict[str, list[Mapping[int, Row]]] = {}
    for held in lanes(rows):
        found.setdefault(next(iter(held.values()))["name"], []).append(held)
    return found


def _engine(held: Mapping[int, Row], rows: Sequence[Row]) -> str:
    return engine_name(next(iter(held.values())), rows)


def _engines(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(engine_name(row, rows) for row in rows))


def write_figures(rows: Sequence[Row], target: Path) -> list[Path]:
    """Write the figures: latency to ``target`` (.png or .svg), accuracy beside it as ``…-accuracy``.

    For a folder, latency.svg and accuracy.svg in it. Accuracy only where a row has one. Raises InputError
    for another suffix.
    """
    if target.suffix:
        paths = target, target.with_name(f"{target.stem}-accuracy{target.suffix}")
    else:
        paths = target / "latency.svg", target / "accuracy.svg"
    save(latency_figure(rows), paths[0])
    if all(row["top1"] is None for row in rows):
        return [paths[0]]
    save(accuracy_figure(rows), paths[1])
    return list(paths)
