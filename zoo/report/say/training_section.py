"""How the nets learned: the curves, how soon each got where, and how steadily."""

from collections.abc import Sequence

from eval.convergence import TOP1
from zoo.plots.charts import PALETTE
from zoo.report.read.gathered import Gathered
from zoo.report.read.learning import (
    COMMON_SHARE,
    SHARES,
    TOP5,
    Learning,
    curve,
    learning,
    mean_final,
    mean_reached,
    reach,
    unevenness,
)
from zoo.report.read.results import Results
from zoo.report.read.runs import Group, partners
from zoo.report.say.answers import single_edits
from zoo.report.say.sentences import uneven_sentence
from zoo.report.say.wording import Words, count, mean_of, percent, points
from zoo.report.write.document import Block, Chart, Charts, Heading, Paragraph, Section, Table
from zoo.report.write.figures import Series, curves

_Quantities = Sequence[tuple[str, str, bool]]  # what is charted: its name in texts, its key, whether a share
_FEW_CLASSES = (("loss", "loss", False), ("top1", TOP1, True))
_CLASSES = (*_FEW_CLASSES, ("top5", TOP5, True))
_LOSSES = (("loss", "loss", False), ("test_loss", "test_loss", False))
_MOST_TOGETHER = len(PALETTE)  # groups in one chart: as many as there are colours


def training_section(results: Results, words: Words) -> Section:
    """Curves of all groups and of the article's comparisons, then speed and steadiness as tables."""
    charted = _CLASSES if results.tells_top5 else _FEW_CLASSES
    blocks: list[Block] = [Paragraph(words("curves.band"), "note")]
    for key, title, groups, is_full in _comparisons(results, words):
        blocks += [Heading(title), _charts(key, groups, is_full, words, charted)]
    blocks += [Heading(words("speed.title")), _speed_table(results, words)]
    blocks += [Heading(words("steady.title")), _steady_table(results, words)]
    return Section("training", words("training.title"), tuple(blocks))


def losses_section(results: Gathered, words: Words) -> Section:
    """Curves of the losses alone, for nets whose tests have no accuracy."""
    every = len(results.groups) <= _MOST_TOGETHER
    charted = (
        [("all", words("curves.all"), list(results.groups), True)] if every else _in_tens(results, words)
    )
    blocks: list[Block] = [Paragraph(words("curves.band_losses"), "note")]
    for key, title, groups, is_full in charted:
        heading = [] if len(results.groups) == 1 else [Heading(title)]
        blocks += [*heading, _charts(key, groups, is_full, words, _LOSSES)]
    return Section("training", words("training.title"), tuple(blocks))


def _comparisons(results: Results, words: Words) -> list[tuple[str, str, list[Group], bool]]:
    """(key, title, groups, whether against seconds too) of each set of charts."""
    base, charted = results.baseline, list[tuple[str, str, list[Group], bool]]()
    if len(results.groups) <= _MOST_TOGETHER:
        charted.append(("all", words("curves.all"), list(results.groups), True))
    for key, edit in (("dropout", "dropout"), ("bn", "bn")):
        if groups := single_edits(results, edit):
            charted.append((key, words(f"curves.{key}"), [base, *groups], False))
    for gap, fc in partners(results.groups):
        title = words("curves.head", gap=gap.label, fc=fc.label)
        charted.append((f"head-{gap.index}", title, [gap, fc], False))
    if len(results.groups) <= 2:
        return charted[:1]
    return charted or _in_tens(results, words)


def _in_tens(results: Gathered, words: Words) -> list[tuple[str, str, list[Group], bool]]:
    """Of a large study as many groups at a time as there are colours, the baseline in each chart."""
    others = results.others
    parts = [others[at : at + _MOST_TOGETHER - 1] for at in range(0, len(others), _MOST_TOGETHER - 1)]
    return [
        (
            f"part-{number}",
            words("curves.part", number=number, count=len(parts)),
            [results.baseline, *part],
            True,
        )
        for number, part in enumerate(parts, 1)
    ]


def _charts(
    key: str,
    groups: Sequence[Group],
    is_full: bool,
    words: Words,
    quantities: _Quantities,
) -> Charts:
    charts = []
    for is_time in (False, True) if is_full else (False,):
        for name, metric, is_share in quantities:
            series = _series(groups, metric)
            if not series:
                continue
            x = words("axis.seconds" if is_time else "axis.iterations")
            figure = curves(series, x, words(f"axis.{name}"), is_time, is_share)
            caption = words("curves.caption", what=words(f"axis.{name}"), against=x)
            charts.append(Chart.of(f"{key}-{name}-{'seconds' if is_time else 'iterations'}", caption, figure))
    return Charts(tuple(charts))


def _series(groups: Sequence[Group], metric: str) -> list[Series]:
    made = [(group, curve([(run.lines, run.seconds) for run in group.runs], metric)) for group in groups]
    return [Series(group.label, group.index, drawn) for group, drawn in made if drawn]


def _speed_table(results: Results, words: Words) -> Table:
    target = mean_final(results.baseline)
    columns = [words("column.group"), words("column.final")]
    columns += [words("column.iterations_to", share=f"{100 * share:.0f}%") for share in SHARES]
    columns += [words("column.seconds_to", share=f"{100 * share:.0f}%") for share in SHARES]
    columns += [words("column.common", target=percent(COMMON_SHARE * target) if target else "–")]
    rows = [_speed_row(group, target, words) for group in results.groups]
    note = words("speed.note", baseline=results.baseline.label, share=percent(COMMON_SHARE))
    if factor := unevenness(results.groups):
        note += " " + uneven_sentence(factor, words)
    return Table(words("speed.caption"), tuple(columns), tuple(rows), note=note)


def _speed_row(group: Group, target: float | None, words: Words) -> tuple[str, ...]:
    learned = [learning(run) for run in group.runs]
    final = mean_of([item.final for item in learned])
    means = [mean_reached([item.reached[index] for item in learned]) for index in range(len(SHARES))]
    return (
        group.label,
        "–" if final is None else percent(final),
        *(count(item.iteration if item else None) for item in means),
        *(words.duration(item.seconds if item else None) for item in means),
        _common(group, target, words),
    )


def _common(group: Group, target: float | None, words: Words) -> str:
    points = [reach(run, COMMON_SHARE, target) if target else None for run in group.runs]
    if mean := mean_reached(points):
        return count(mean.iteration)
    return words("speed.reached_by", count=sum(item is not None for item in points), runs=len(points))


def _steady_table(results: Results, words: Words) -> Table:
    names = ("group", "train_top1", "val_top1", "gap", "wobble_top1", "wobble_loss")
    rows = [_steady_row(results, group) for group in results.groups]
    columns = tuple(words(f"column.{name}") for name in names)
    return Table(words.judged("steady.caption"), columns, tuple(rows), note=words("steady.note"))


def _steady_row(results: Results, group: Group) -> tuple[str, ...]:
    train, tested = results.train_top1(group), results.mean_top1(group)
    learned: list[Learning] = [learning(run) for run in group.runs]
    accuracy = mean_of([item.steadiness.accuracy for item in learned])
    loss = mean_of([item.steadiness.loss for item in learned])
    return (
        group.label,
        percent(train),
        percent(tested),
        points(train - tested),
        "–" if accuracy is None else f"{100 * accuracy:.1f}",
        "–" if loss is None else f"{100 * loss:.1f}%",
    )
