"""What the nets make of photographs that are shifted, zoomed or of another size."""

from collections.abc import Sequence

from eval.robustness import PLAIN, Condition
from zoo.plots.charts import PALETTE
from zoo.report.read.results import Results
from zoo.report.read.runs import Group, partners
from zoo.report.say.accuracy_section import real_or_not
from zoo.report.say.wording import Words, bracketed, count, percent
from zoo.report.write.document import Block, Chart, Charts, Paragraph, Section, Table
from zoo.report.write.figures import Trace, traces

_UNCHANGED = {"shift": 0.0, "scale": 1.0, "size": 1.0}  # the amount at which nothing is changed
_MOST_IN_CHART = len(PALETTE)


def robustness_section(results: Results, words: Words) -> Section | None:
    """A table and charts of all groups, and GAP less FC under each condition; None where none was tried."""
    if not results.conditions:
        return None
    images = len(results.measured[results.first.path].rows)
    how = words.listed([words(f"robust.how_{kind}") for kind in results.kinds])
    blocks: list[Block] = [
        Paragraph(words("robust.method", images=count(images), how=how), "note"),
        _table(results, words),
    ]
    if len(results.groups) <= _MOST_IN_CHART:
        blocks.append(Charts(tuple(_chart(results, kind, words) for kind in results.kinds)))
    blocks += [_pair_table(results, gap, fc, words) for gap, fc in partners(results.groups)]
    return Section("robustness", words.judged("robust.title"), tuple(blocks))


def _name(condition: Condition, words: Words) -> str:
    return words(f"condition.{condition.kind}", amount=amount(condition))


def amount(condition: Condition) -> str:
    """How much, as a share of the input's side or a factor."""
    if condition.kind == "shift":
        return f"1/{round(1 / condition.amount)}"
    return f"{condition.amount:g}×"


def _accuracy(results: Results, group: Group, key: str) -> float:
    return float(results.right_under(group, key).mean())


def _table(results: Results, words: Words) -> Table:
    keys = [
        (words("condition.plain"), PLAIN),
        *((_name(item, words), item.key) for item in results.conditions),
    ]
    rows = []
    for name, key in keys:
        takes = [
            percent(_accuracy(results, group, key)) if results.takes(group, key) else words("robust.cannot")
            for group in results.groups
        ]
        rows.append((name, *takes))
    columns = (words("column.condition"), *(group.label for group in results.groups))
    return Table(words.judged("robust.caption"), columns, tuple(rows))


def _chart(results: Results, kind: str, words: Words) -> Chart:
    conditions = results.of_kind(kind)
    drawn = [
        Trace(group.label, group.index, _points(results, group, kind, conditions)) for group in results.groups
    ]
    ticks = {item.amount: amount(item) for item in conditions}
    ticks[_UNCHANGED[kind]] = "0" if kind == "shift" else "1×"
    figure = traces(drawn, words(f"axis.{kind}"), words("axis.top1"), ticks)
    return Chart.of(f"robust-{kind}", words.judged(f"robust.chart_{kind}"), figure)


def _points(
    results: Results, group: Group, kind: str, conditions: Sequence[Condition]
) -> list[tuple[float, float]]:
    taken = [(item.amount, item.key) for item in conditions if results.takes(group, item.key)]
    return [(at, _accuracy(results, group, key)) for at, key in sorted([*taken, (_UNCHANGED[kind], PLAIN)])]


def _pair_table(results: Results, gap: Group, fc: Group, words: Words) -> Table:
    rows = []
    for item in results.conditions:
        if results.takes(gap, item.key) and results.takes(fc, item.key):
            difference = results.difference_under(gap, fc, item.key)
            lost = results.lost_less(gap, fc, [item.key])
            cells = (bracketed(difference), bracketed(lost), real_or_not(lost, words))
            rows.append((_name(item, words), *cells))
    names = ("condition", "gap_fc", "lost_less", "real")
    columns = tuple(words(f"column.{name}", gap=gap.label, fc=fc.label) for name in names)
    caption = words.judged("robust.pair", gap=gap.label, fc=fc.label)
    return Table(caption, columns, tuple(rows), note=words("robust.pair_note"))
