"""What nets tell against what is true, a point a picture."""

from collections.abc import Sequence

from matplotlib import rcParams
from matplotlib.figure import Figure

from eval.robustness import evenly
from zoo.plots.charts import colour, new_figure, style

_SIDE = 3.4  # inches
_MOST = 1000  # points that can be seen apart, or drawn in a page


def scatter(told: Sequence[float], true: Sequence[float], titles: tuple[str, str], place: int = 0) -> Figure:
    """Told numbers over true ones, one unit as long on both axes, and the line on which all would lie if they
    were told rightly. ``titles`` are those of the axes, true and told; ``place`` picks the colour. Of many
    points so many are drawn, evenly spaced, as can be seen.
    """
    figure = new_figure(_SIDE, _SIDE)
    rows = evenly(len(true), _MOST)
    x, y = [true[row] for row in rows], [told[row] for row in rows]
    ends = min(*x, *y), max(*x, *y)
    with style():
        axes = figure.subplots()
        axes.axline((ends[0], ends[0]), slope=1, color=rcParams["axes.edgecolor"], linewidth=1, alpha=0.5)
        axes.plot(x, y, "o", color=colour(place), markersize=3.5, alpha=0.55, markeredgewidth=0)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel(titles[0])
        axes.set_ylabel(titles[1])
    return figure
