"""The report's charts. A group has one colour, and one dash, in all of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from eval.statistics import Floats
from zoo.plots.charts import PALETTE, colour, new_figure, style
from zoo.report.read.learning import Curve

_SIZE = (4.2, 2.9)  # inches: three stand beside each other, and one fits a telephone
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)))  # after nine groups colours come back with other dashes
_MOST_IN_PLOT = 3  # names that a legend inside the axes can hold
_RIGHT, _WRONG = "#3b82c4", "#d9722b"
_STRONGEST = 0.62  # opacity of a full cell, over which text still reads


class Series(NamedTuple):
    """A group in a chart: its name, the place that fixes its colour, and its curve."""

    label: str
    place: int
    curve: Curve


def look(index: int) -> dict[str, Any]:
    """Colour and dash of a group."""
    return {"color": colour(index), "linestyle": _DASHES[index // len(PALETTE) % len(_DASHES)]}


def curves(series: Sequence[Series], x_title: str, y_title: str, is_time: bool, is_share: bool) -> Figure:
    """Means with their bands over the seeds, against iterations or seconds."""
    figure = new_figure(*_SIZE)
    with style():
        axes = figure.subplots()
        for label, index, drawn in series:
            x = drawn.seconds if is_time else drawn.iterations
            axes.fill_between(x, drawn.low, drawn.high, color=colour(index), alpha=0.16, linewidth=0)
            axes.plot(x, drawn.mean, label=label, linewidth=1.6, **look(index))
        axes.set_xlabel(x_title)
        axes.set_ylabel(y_title)
        if is_share:
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        else:
            _clip_peak(axes, series)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        _legend(figure, axes, len(series))
    return figure


def _clip_peak(axes: Any, series: Sequence[Series]) -> None:
    """A first loss of many times the others would flatten every curve: the axis ends at 1.3 times the
    highest value after the first twentieth."""
    later = [max(drawn.high[len(drawn.high) // 20 + 1 :], default=0.0) for _, _, drawn in series]
    low, high = axes.get_ylim()
    top = 1.3 * max((value for value in later if np.isfinite(value)), default=high)
    axes.set_ylim(max(0.0, low), min(high, top) or high)


def _legend(figure: Figure, axes: Any, count: int) -> None:
    if count <= _MOST_IN_PLOT:
        axes.legend(loc="best", fontsize=9, handlelength=1.8, labelspacing=0.3)
    else:
        figure.legend(loc="outside lower center", ncols=3, fontsize=9, handlelength=1.6, columnspacing=1.2)


class Spot(NamedTuple):
    """A group's accuracy, or another figure: of every seed, their mean and its interval."""

    label: str
    place: int
    values: Sequence[float]
    mean: float
    low: float
    high: float


def accuracies(spots: Sequence[Spot], x_title: str, is_share: bool = True) -> Figure:
    """One row a group: the interval, the mean, and a ring for each seed."""
    figure = new_figure(_SIZE[0] * 1.3, 0.75 + 0.36 * len(spots))
    with style():
        axes = figure.subplots()
        for row, spot in enumerate(spots):
            tone = colour(spot.place)
            axes.plot(
                [spot.low, spot.high], [row, row], color=tone, linewidth=5, alpha=0.3, solid_capstyle="round"
            )
            axes.plot(spot.values, [row] * len(spot.values), "o", mfc="none", mec=tone, markersize=7)
            axes.plot([spot.mean], [row], "|", color=tone, markersize=15, markeredgewidth=2.5)
        axes.set_yticks(range(len(spots)), [spot.label for spot in spots])
        axes.set_ylim(len(spots) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        if is_share:
            axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xlabel(x_title)
    return figure


class Trace(NamedTuple):
    """A group over amounts of a change to the photographs: (amount, accuracy) points."""

    label: str
    place: int
    points: Sequence[tuple[float, float]]


def traces(drawn: Sequence[Trace], x_title: str, y_title: str, ticks: dict[float, str]) -> Figure:
    """Accuracy against the amount of a change, a line a group."""
    figure = new_figure(*_SIZE)
    with style():
        axes = figure.subplots()
        for label, index, points in drawn:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, marker="o", markersize=4, label=label, linewidth=1.6, **look(index))
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.set_xlabel(x_title)
        axes.set_ylabel(y_title)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        _legend(figure, axes, len(drawn))
    return figure


def confusion_chart(counts: Floats, names: Sequence[str], x_title: str, y_title: str) -> Figure:
    """(K, K) counts, true class by row: each row's shares as colours, blue where right, else orange."""
    size = len(names)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = max(3.6, 1.6 + 0.3 * size)
    figure = new_figure(side + 0.6, side)
    with style():
        axes = figure.subplots()
        axes.imshow(_tinted(shares), interpolation="none", aspect="equal")
        axes.set_xticks(range(size), names, rotation=90)
        axes.set_yticks(range(size), names)
        axes.tick_params(length=0, labelsize=8)
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        for row, column in zip(*np.nonzero(shares >= 0.05), strict=True):
            text = f"{100 * shares[row, column]:.0f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=6.5)
        axes.set_xlabel(x_title)
        axes.set_ylabel(y_title)
    return figure


def _tinted(shares: Floats) -> Floats:
    """(K, K, 4): colours whose opacity is the share, so that a light and a dark page both show through."""
    from matplotlib.colors import to_rgb

    tinted = np.empty((*shares.shape, 4))
    tinted[..., :3] = to_rgb(_WRONG)
    tinted[np.eye(len(shares), dtype=bool), :3] = to_rgb(_RIGHT)
    tinted[..., 3] = _STRONGEST * np.sqrt(shares)
    return tinted
