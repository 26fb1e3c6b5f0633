"""What nets tell against what is true: a point a photograph."""

from itertools import chain

from eval.distributions import means, normalised
from eval.statistics import Floats
from zoo.plots.scatter import scatter
from zoo.report.read.figures import Figures
from zoo.report.read.runs import Group
from zoo.report.say.wording import Words
from zoo.report.write.document import Chart, Charts, Section
from zoo.tasks.distributions import Distributions

_MOST_NUMBERS = 6  # of a net that tells more, the first


def scatters(figures: Figures, group: Group, words: Words) -> Charts | None:
    """A chart for each number that the group's first run tells, of distributions one of their means; None of
    nets that tell none.
    """
    summed = figures.summed[group.first.path]
    if not summed.told.size:
        return None
    is_spread = isinstance(figures.task, Distributions)
    told, true = (_means(each) if is_spread else each for each in (summed.told, summed.true))
    axes = ("axis.mean_true", "axis.mean_told") if is_spread else ("axis.number_true", "axis.number_told")
    charts = []
    for place in range(min(told.shape[1], _MOST_NUMBERS)):
        number = words("scatter.number", number=place + 1) if told.shape[1] > 1 else ""
        titles = (words(axes[0]) + number, words(axes[1]) + number)
        drawn = scatter(told[:, place].tolist(), true[:, place].tolist(), titles, group.index)
        caption = words.judged("scatter.caption", group=group.label) + number
        charts.append(Chart.of(f"told-{group.index}-{place + 1}", caption, drawn))
    return Charts(tuple(charts))


def _means(shares: Floats) -> Floats:
    return means(normalised(shares))[:, None]


def scatter_section(figures: Figures, words: Words) -> Section | None:
    """The charts of every group; None of one alone, whose chart begins the report, and of nets that tell no
    numbers.
    """
    every = [charts for group in figures.groups if (charts := scatters(figures, group, words))]
    if len(figures.groups) == 1 or not every:
        return None
    return Section("told", words("scatter.title"), (Charts(tuple(chain(*(each.charts for each in every)))),))
