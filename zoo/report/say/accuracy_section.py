"""How often the nets are right, and what they cost: all groups, then FC against GAP."""

from collections.abc import Sequence

from eval.statistics import Interval
from zoo.bench.row import SIZES, Row, Size, ratio_of
from zoo.report.read.results import Results
from zoo.report.read.runs import Group, partners
from zoo.report.say.wording import Words, bounds, bracketed, count, points, spread
from zoo.report.write.document import Block, Chart, Charts, Heading, Paragraph, Section, Table
from zoo.report.write.figures import Spot, accuracies

_RATIOS = tuple(zip(("parameters", "macs", "bytes"), SIZES, strict=True))  # a text's key, a row's


def accuracy_section(results: Results, words: Words) -> Section:
    """The table and the chart of accuracies, with what the number of seeds cannot show."""
    fewest = min(len(group.runs) for group in results.groups)
    spots = [_spot(results, group) for group in results.groups]
    chart = Chart.of(
        "accuracy", words.judged("accuracy.chart"), accuracies(spots, words("axis.top1")), is_wide=True
    )
    blocks: list[Block] = [_accuracy_table(results, words), Charts((chart,))]
    blocks.append(Paragraph(words("seeds.one" if fewest == 1 else "seeds.few", count=fewest), "note"))
    return Section("accuracy", words.judged("accuracy.title"), tuple(blocks))


def _spot(results: Results, group: Group) -> Spot:
    bounds_of = results.interval(group)
    return Spot(group.label, group.index, results.top1(group), bounds_of.mean, bounds_of.low, bounds_of.high)


def _accuracy_table(results: Results, words: Words) -> Table:
    names = ["group", "runs", "top1", "interval", "top5", "difference", "real"]
    if not results.tells_top5:
        names.remove("top5")
    columns = [words(f"column.{name}", baseline=results.baseline.label) for name in names]
    rows = []
    for group in results.groups:
        own = [
            group.label,
            str(len(group.runs)),
            spread(results.top1(group)),
            bounds(results.interval(group)),
        ]
        if results.tells_top5:
            own.append(spread(results.top5(group)))
        rows.append((*own, *_against_baseline(results, group, words)))
    images = len(results.measured[results.first.path].labels)
    note = words("accuracy.note", images=count(images), blocks=count(len(results.blocks)))
    caption = words.judged("accuracy.caption")
    return Table(caption, tuple(columns), tuple(rows), note=note)


def _against_baseline(results: Results, group: Group, words: Words) -> tuple[str, str]:
    if group is results.baseline:
        return "", ""
    difference = results.difference(group, results.baseline)
    return bracketed(difference), real_or_not(difference, words)


def real_or_not(difference: Interval, words: Words) -> str:
    """Whether a difference is real, in a word; of single runs only as far as photographs go."""
    if difference.too_few:
        return words("real.few")
    if not difference.is_real:
        return words("real.no")
    return words("real.yes" if difference.over_seeds else "real.one_seed")


def lost_in_int8(results: Results, group: Group) -> str:
    """How many points of accuracy int8 changes."""
    lost = results.lost_in_int8(group, "top1")
    return "–" if lost is None else points(lost)


def head_section(results: Results, words: Words) -> Section | None:
    """FC against GAP in one table a pair; None where no two groups differ in the head alone."""
    pairs = partners(results.groups)
    if not pairs:
        return None
    blocks: list[Block] = []
    for gap, fc in pairs:
        blocks += [
            Heading(words("head.pair", gap=gap.label, fc=fc.label)),
            _head_table(results, gap, fc, words),
        ]
    return Section("heads", words.judged("head.title"), tuple(blocks))


def _head_table(results: Results, gap: Group, fc: Group, words: Words) -> Table:
    columns = (words("column.quantity"), gap.label, fc.label, words("column.fc_gap"), words("column.real"))
    rows = [_accuracy_row(results, gap, fc, words), *_int8_row(results, gap, fc, words)]
    rows.append(_train_gap_row(results, gap, fc, words))
    for name, key in _RATIOS:
        rows += _ratio_row(results, (gap, fc), name, key, "fp32", words)
    rows += _ratio_row(results, (gap, fc), "bytes_int8", "model_bytes", "int8", words)
    rows += _latency_row(results, (gap, fc), "latency", "fp32", words)
    rows += _latency_row(results, (gap, fc), "latency_int8", "int8", words)
    rows += _rate_row(results, gap, fc, words)
    return Table(words.judged("head.caption"), columns, tuple(rows), note=words("head.note"))


def _accuracy_row(results: Results, gap: Group, fc: Group, words: Words) -> tuple[str, ...]:
    difference = results.difference(fc, gap)
    own = [spread(results.top1(group)) for group in (gap, fc)]
    return (words("column.top1"), *own, bracketed(difference), real_or_not(difference, words))


def _int8_row(results: Results, gap: Group, fc: Group, words: Words) -> list[tuple[str, ...]]:
    shares = [results.top1_at(group, "int8") for group in (gap, fc)]
    if not all(shares):
        return []
    means = [sum(values) / len(values) for values in shares]
    own = [spread(values) for values in shares]
    return [(words("column.top1_int8"), *own, points(means[1] - means[0]), "")]


def _train_gap_row(results: Results, gap: Group, fc: Group, words: Words) -> tuple[str, ...]:
    gaps = [results.train_top1(group) - results.mean_top1(group) for group in (gap, fc)]
    return (words("column.gap"), *map(points, gaps), points(gaps[1] - gaps[0]), "")


def _ratio_row(
    results: Results, pair: Sequence[Group], name: str, key: Size, precision: str, words: Words
) -> list[tuple[str, ...]]:
    rows = [results.row(group, precision) for group in pair]
    if rows[0] is None or rows[1] is None:
        return []
    values = [float(row[key]) for row in rows if row]
    return [(words(f"column.{name}"), *map(count, values), f"{values[1] / values[0]:.3f}×", "")]


def _latency_row(
    results: Results, pair: Sequence[Group], name: str, precision: str, words: Words
) -> list[tuple[str, ...]]:
    """Milliseconds at batch 1; the ratio is that of the bench's paired rounds, as is whether it is real."""
    rows = [row for group in pair if (row := results.row(group, precision))]
    if len(rows) < 2:
        return []
    times = [f"{row['latency_p50_ms']:.2f}" for row in rows]
    return [(words(f"column.{name}"), *times, *_paired(rows[1], words))]


def _rate_row(results: Results, gap: Group, fc: Group, words: Words) -> list[tuple[str, ...]]:
    """Images a second at the batch size at which GAP has most; the ratio from the same paired rounds."""
    ours = results.row(gap, batch=None)
    theirs = results.row(fc, batch=ours["batch"]) if ours else None
    if ours is None or theirs is None:
        return []
    rates = [count(row["images_per_second"]) for row in (ours, theirs)]
    quantity = words("column.rate_at", batch=ours["batch"])
    return [(quantity, *rates, *_paired(theirs, words, is_rate=True))]


def _paired(row: Row, words: Words, is_rate: bool = False) -> tuple[str, str]:
    """The ratio to the GAP partner, and whether it is real."""
    ratio = ratio_of(row, "to_gap")
    return paired_ratio(row, is_rate), words("real.yes" if ratio and ratio.is_told_apart else "real.no")


def paired_ratio(row: Row, is_rate: bool = False) -> str:
    """An FC net's latency (or rate) over its GAP partner's, with the interval where the bench has one."""
    ratio = ratio_of(row, "to_gap")
    if ratio is None:
        return "–"
    value, low, high = (1 / x if x and is_rate else x for x in ratio[:3])
    if low is None or high is None:
        return f"{value:.2f}×"
    return f"{value:.2f}× [{min(low, high):.2f}×, {max(low, high):.2f}×]"
