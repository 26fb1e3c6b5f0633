"""The first thing of a report: which variant to ship, as a figure and a sentence."""

from collections.abc import Callable, Sequence

from zoo.bench.row import Row, rounds_span
from zoo.plots.column import Cell, Panel, Value
from zoo.plots.panels import Panels, narrow, wide
from zoo.report.read.results import Results
from zoo.report.read.runs import Group
from zoo.report.say.choice import (
    SAME_SIZE,
    Candidate,
    Choice,
    Judge,
    Relation,
    choose,
    from_rows,
    relation,
    turned,
)
from zoo.report.say.claims import EQUAL_WITHIN
from zoo.report.say.verdict import int8, ship, unit_of
from zoo.report.say.wording import Words, bounds, count, percent
from zoo.report.write.document import Block, Foldable, Paragraph, TwoForms


def which(results: Results, words: Words) -> tuple[Block, ...]:
    """The figure, the verdict under it, and how it is to be read."""
    candidates = [_candidate(results, group) for group in results.groups]
    choice = choose(candidates, _judge(results, candidates))
    panels = drawing(choice, words)
    figure = TwoForms("which", panels.title, wide(panels), narrow(panels))
    notes = [_judged_by(words), int8(candidates, words), _machine(choice, words)]
    note = Paragraph(" ".join(filter(None, notes)), "note")
    return (figure, Paragraph(ship(choice, words), "verdict"), note, *_reading(choice, words))


def _candidate(results: Results, group: Group) -> Candidate:
    rows = [row for run in group.runs for row in results.rows.get(run.path, ())]
    return from_rows(group.label, rows, results.interval(group))


def _judge(results: Results, candidates: Sequence[Candidate]) -> Judge:
    """Two groups by the interval of their difference, the same that the tables show: less the baseline, else
    less the earlier one."""
    groups = {id(candidate): group for candidate, group in zip(candidates, results.groups, strict=True)}

    def judge(ours: Candidate, theirs: Candidate) -> Relation:
        one, other = groups[id(ours)], groups[id(theirs)]
        is_turned = one is results.baseline or (other is not results.baseline and one.index < other.index)
        if is_turned:
            return turned(relation(results.difference(other, one)))
        return relation(results.difference(one, other))

    return judge


def drawing(choice: Choice, words: Words) -> Panels:
    """The figure: a row a variant; accuracy, and where the bench has rows, size and latency."""
    each = choice.candidates
    return Panels(
        words.judged("which.title"),
        " ".join(_said(one, words) for one in each),
        tuple(one.label for one in each),
        tuple(_is_among(one, choice.unbeaten, choice) for one in each),
        (_accuracy(choice, words), *(_costs(choice, words) if choice.smallest else ())),
        full="fp32",
        small="int8" if any(one.small for one in each) else "",
        whisker=words("which.whisker" if choice.smallest else "which.whisker_accuracy"),
        bold=words("which.bold") if len(each) > 1 else "",
        star=_star(choice, words) if len(each) > 1 else "",
    )


def _star(choice: Choice, words: Words) -> str:
    return words("which.star" if choice.is_over_seeds else "which.star_these")


def _accuracy(choice: Choice, words: Words) -> Panel:
    """In per cent, with the intervals."""
    cells = []
    for one in choice.candidates:
        full = Value(*(100 * share for share in (one.accuracy.mean, one.accuracy.low, one.accuracy.high)))
        small = None if one.top1_small is None else 100 * one.top1_small
        cells.append(Cell(full, small, _is_among(one, choice.accurate, choice)))
    return Panel(words("which.top1"), tuple(cells), is_from_zero=False, decimals=1)


def _costs(choice: Choice, words: Words) -> tuple[Panel, Panel]:
    """Size, and latency with what its rounds spread over."""
    unit, name = unit_of(choice.candidates)
    size = _panel(choice, choice.smallest, lambda row: Value(*[row["model_bytes"] / unit] * 3))
    latency = _panel(choice, choice.fastest, lambda row: Value(row["latency_p50_ms"], *rounds_span(row)))
    return Panel(words("which.size", unit=name), size, True), Panel(words("which.latency"), latency, True)


def _panel(choice: Choice, best: Sequence[Candidate], value_of: Callable[[Row], Value]) -> tuple[Cell, ...]:
    cells = []
    for one in choice.candidates:
        full, small = (value_of(row) if row else None for row in (one.row, one.small))
        cells.append(Cell(full, small.value if small else None, _is_among(one, best, choice)))
    return tuple(cells)


def _is_among(one: Candidate, best: Sequence[Candidate], choice: Choice) -> bool:
    """Whether it stands out: of one variant alone nothing does."""
    return len(choice.candidates) > 1 and any(one is each for each in best)


def _said(one: Candidate, words: Words) -> str:
    """A row of the figure in words, for who does not see it."""
    known = words(
        "which.said", group=one.label, top1=percent(one.accuracy.mean), interval=bounds(one.accuracy)
    )
    said = [known]
    if one.row:
        said.append(words("which.said_full", **_cost(one.row)))
    if one.small:
        top1 = "–" if one.top1_small is None else percent(one.top1_small)
        said.append(words("which.said_small", top1=top1, **_cost(one.small)))
    return words("semicolon").join(said).strip() + "."


def _cost(row: Row) -> dict[str, str]:
    return {"bytes": count(row["model_bytes"]), "ms": f"{row['latency_p50_ms']:.2f}"}


def _judged_by(words: Words) -> str:
    return words("which.judged", list=words.other_list) if words.other_list else ""


def _machine(choice: Choice, words: Words) -> str:
    """What the latencies were measured on, or that there are none."""
    row = next((one.row for one in choice.candidates if one.row), None)
    if row is None:
        return words("which.unmeasured")
    return words("which.machine", processor=row["processor"], threads=row["threads"])


def _reading(choice: Choice, words: Words) -> tuple[Block, ...]:
    """What star and bold mean, for who asks."""
    if len(choice.candidates) == 1:
        return ()
    known = {"points": f"{100 * EQUAL_WITHIN:.0f}", "share": f"{SAME_SIZE:.0%}"}
    texts = [words("which.reading", **known) if choice.smallest else words("which.reading_accuracy")]
    if not choice.is_over_seeds:
        texts.append(words("which.reading_these"))
    return (Foldable(words("which.how"), tuple(Paragraph(text, "note") for text in texts)),)
