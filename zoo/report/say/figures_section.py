"""The verdict, the table and the chart of nets whose figures are made of sums over photographs."""

import math

from eval.statistics import LEAST_BLOCKS, Interval, mean_std
from zoo.report.read.figures import Figures
from zoo.report.read.runs import Group
from zoo.report.say.accuracy_section import real_or_not
from zoo.report.say.wording import Words
from zoo.report.write.document import Block, Chart, Charts, Paragraph, Section, Table
from zoo.report.write.figures import Spot, accuracies
from zoo.tasks.task import Quantity


def best_of(figures: Figures) -> Group:
    """The group with the best mean of the main figure."""
    main = figures.task.main
    sign = 1 if main.is_better_high else -1
    return max(figures.groups, key=lambda group: sign * figures.interval(group, main).mean)


def figures_verdict(figures: Figures, words: Words) -> tuple[Block, ...]:
    """Who is better, as far as the intervals show it, and whether the best beats always telling the same."""
    lines = [_alone(figures, words) if len(figures.groups) == 1 else _best(figures, words)]
    lines += [_against_guess(figures, figures.task.main, guess, words) for guess in figures.guesses()]
    return tuple(Paragraph(line, "verdict") for line in lines)


def _alone(figures: Figures, words: Words) -> str:
    main, (group,) = figures.task.main, figures.groups
    return words(
        "figures.alone",
        group=group.label,
        interval=bounds_of(figures.interval(group, main), main),
        **_known(figures, group, words),
    )


def _known(figures: Figures, group: Group, words: Words) -> dict[str, str]:
    main = figures.task.main
    return {
        "quantity": words(f"quantity.{main.key}"),
        "value": main.text(figures.interval(group, main).mean),
    }


def _best(figures: Figures, words: Words) -> str:
    main, best = figures.task.main, best_of(figures)
    others = [group for group in figures.groups if group is not best]
    differences = [figures.difference(best, group, main) for group in others]
    known = {"group": best.label, **_known(figures, best, words)}
    if any(difference.too_few for difference in differences):
        return words("figures.best_few", least=LEAST_BLOCKS, **known)
    left = [group.label for group, each in zip(others, differences, strict=True) if not each.is_real]
    if left:
        return words("figures.best_open", groups=words.listed([best.label, *left]), **known)
    over_seeds = all(difference.over_seeds for difference in differences)
    return words("figures.best" if over_seeds else "figures.best_these", **known)


def _against_guess(figures: Figures, main: Quantity, guess: Quantity, words: Words) -> str:
    best = best_of(figures)
    less = figures.between(best, guess, main)
    is_told = less.is_real and not less.too_few
    is_lost = is_told and less.high < 0
    key = "lost" if is_lost else "few" if less.too_few else "beaten" if is_told else "open"
    key = f"figures.guess_{key}"
    ends = (-less.mean, -less.high, -less.low) if is_lost else (less.mean, less.low, less.high)
    difference, low, high = (signed(main, end, is_plain=True) for end in ends)
    return words(
        key,
        group=best.label,
        guess=words(f"guess.{figures.task.name}"),
        value=guess.text(figures.interval(best, guess).mean),
        difference=difference,
        low=low,
        high=high,
        least=LEAST_BLOCKS,
    )


def figures_section(figures: Figures, words: Words) -> Section:
    """The table of every figure, and the chart of the main one."""
    main = figures.task.main
    spots = [
        Spot(group.label, group.index, figures.values(group, main), each.mean, each.low, each.high)
        for group in figures.groups
        for each in (figures.interval(group, main),)
    ]
    title = words(f"quantity.{main.key}")
    chart = Chart.of(
        "figures",
        words.judged("figures.chart", quantity=title),
        accuracies(spots, title, main.is_share),
        is_wide=True,
    )
    fewest = min(len(group.runs) for group in figures.groups)
    seeds = Paragraph(words("seeds.one" if fewest == 1 else "seeds.few", count=fewest), "note")
    return Section(
        "figures", words.judged("figures.title"), (_table(figures, words), Charts((chart,)), seeds)
    )


def _table(figures: Figures, words: Words) -> Table:
    columns = [words("column.group"), words("column.runs")]
    for quantity in figures.task.quantities:
        columns.append(words(f"quantity.{quantity.key}"))
        columns += [words("column.interval")] if quantity.has_interval else []
    if figures.others:
        key = "column.difference" if figures.task.main.is_share else "column.difference_figure"
        columns += [words(key, baseline=figures.baseline.label), words("column.real")]
    rows = tuple(
        (
            group.label,
            str(len(group.runs)),
            *_cells(figures, group),
            *_against_baseline(figures, group, words),
        )
        for group in figures.groups
    )
    note = words("figures.note", images=f"{figures.images:,}")
    return Table(words.judged("figures.caption"), tuple(columns), rows, note=note)


def _cells(figures: Figures, group: Group) -> list[str]:
    cells = []
    for quantity in figures.task.quantities:
        values = figures.values(group, quantity)
        cells.append(spread_of(values if quantity.has_interval else values[:1], quantity))
        cells += [bounds_of(figures.interval(group, quantity), quantity)] if quantity.has_interval else []
    return cells


def _against_baseline(figures: Figures, group: Group, words: Words) -> tuple[str, ...]:
    if group is figures.baseline:
        return ("", "") if figures.others else ()
    main = figures.task.main
    difference = figures.difference(group, figures.baseline, main)
    ends = ", ".join(signed(main, end) for end in (difference.low, difference.high))
    return f"{signed(main, difference.mean)} [{ends}]", real_or_not(difference, words)


def lost_in_int8(figures: Figures, group: Group) -> str:
    """How much int8 changes the main figure."""
    main = figures.task.main
    lost = figures.lost_in_int8(group, main.key)
    return "–" if lost is None else signed(main, lost)


def signed(quantity: Quantity, value: float, is_plain: bool = False) -> str:
    """A difference of figures, of shares in points, with its sign, but for a plus that is ``is_plain``."""
    text = f"{100 * abs(value):.1f}" if quantity.is_share else quantity.text(abs(value))
    is_nothing = not any(digit in text for digit in "123456789")
    sign = "−" if value < 0 else "" if is_plain else "+"
    return text if is_nothing else sign + text


def bounds_of(interval: Interval, quantity: Quantity) -> str:
    """The two ends of an interval."""
    return f"{quantity.text(interval.low)}–{quantity.text(interval.high)}"


def spread_of(values: list[float], quantity: Quantity) -> str:
    """Mean ± standard deviation over seeds; of one seed the value alone."""
    mean, deviation = mean_std(values)
    if math.isnan(mean):
        return "–"
    return quantity.text(mean) if deviation is None else f"{quantity.text(mean)} ± {quantity.text(deviation)}"
