"""What nets tell against what is true: a point a photograph, and the errors of each number."""

import math
from itertools import chain

from eval.distributions import means, normalised
from eval.resampling import intervals
from eval.statistics import Floats
from zoo.plots.scatter import scatter
from zoo.report.read.figures import Figures
from zoo.report.read.runs import Group
from zoo.report.say.figures_section import bounds_of
from zoo.report.say.wording import Words
from zoo.report.write.document import Block, Chart, Charts, Section, Table
from zoo.tasks.distributions import Distributions
from zoo.tasks.errors import UNBOUNDED
from zoo.tasks.numbers import Numbers, each_constant, each_error

_MOST_NUMBERS = 6  # of a net that tells more, the first


def scatters(figures: Figures, group: Group, words: Words) -> Charts | None:
    """A chart for each number that the group's first run tells, of distributions one of their means; None of
    nets that tell none.
    """
    summed = figures.summed[group.first.path]
    if not summed.told.size:
        return None
    is_spread = isinstance(figures.task, Distributions)
    told, true = (one_axis(figures, each) for each in (summed.told, summed.true))
    axes = ("axis.mean_true", "axis.mean_told") if is_spread else ("axis.number_true", "axis.number_told")
    charts = []
    for place in range(min(told.shape[1], _MOST_NUMBERS)):
        number = words("scatter.number", number=place + 1) if told.shape[1] > 1 else ""
        titles = (words(axes[0]) + number, words(axes[1]) + number)
        drawn = scatter(told[:, place].tolist(), true[:, place].tolist(), titles, group.index)
        caption = words.judged("scatter.caption", group=group.label) + number
        charts.append(Chart.of(f"told-{group.index}-{place + 1}", caption, drawn))
    return Charts(tuple(charts))


def one_axis(figures: Figures, numbers: Floats) -> Floats:
    """(N, K) numbers as they are, (N, K) distributions as their means, (N, 1)."""
    return means(normalised(numbers))[:, None] if isinstance(figures.task, Distributions) else numbers


def scatter_section(figures: Figures, words: Words) -> Section | None:
    """The errors of each number where nets tell several, and the charts of every group, but for the one whose
    chart begins the report; None where there is neither.
    """
    table = each_number(figures, words)
    every = [charts for group in figures.groups if (charts := scatters(figures, group, words))]
    blocks: list[Block] = [table] if table else []
    if len(figures.groups) > 1 and every:
        blocks.append(Charts(tuple(chain(*(each.charts for each in every)))))
    return Section("told", words("scatter.title"), tuple(blocks)) if blocks else None


def each_number(figures: Figures, words: Words) -> Table | None:
    """A row a group and number; None of nets that tell one number, or none."""
    task = figures.task
    if not isinstance(task, Numbers) or figures.summed[figures.first.path].told.shape[1] < 2:
        return None
    rows: list[tuple[str, ...]] = []
    for group in figures.groups:
        sums = figures.sums(group)
        always = each_constant(sums[0].sum(0)).tolist()
        for place, each in enumerate(intervals([sums], each_error, ends=UNBOUNDED)):
            own = (task.main.text(each.mean), bounds_of(each, task.main))
            guess = "–" if math.isnan(always[place]) else task.main.text(always[place])
            rows.append((group.label, str(place + 1), *own, guess))
    keys = ("column.group", "column.number", "quantity.mae", "column.interval", "quantity.mae_constant")
    return Table(words.judged("scatter.each"), tuple(map(words, keys)), tuple(rows), text_columns=2)
