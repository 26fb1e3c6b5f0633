"""The picture that a study's question is answered by: accuracies, and how far each lies from what it stands
against, with intervals."""

from collections.abc import Sequence

from eval.statistics import Interval
from zoo.plots.column import Cell, Panel, Value
from zoo.plots.panels import Panels, narrow, wide
from zoo.report.say.asked import Asked, Entrant, contest
from zoo.report.say.asked_answer import asked_answer
from zoo.report.say.claims import EQUAL_WITHIN
from zoo.report.say.sentences import Compared
from zoo.report.say.wording import Words, bounds, percent
from zoo.report.write.document import Block, Heading, Paragraph, TwoForms


def asked_lead(every: Sequence[Asked], words: Words) -> tuple[Block, ...]:
    """Each question with its picture, the answer under it, and how the picture is to be read."""
    return tuple(
        block for number, asked in enumerate(every, 1) for block in _lead(asked, f"asked-{number}", words)
    )


def _lead(asked: Asked, key: str, words: Words) -> tuple[Block, ...]:
    answer = asked_answer(asked, words)
    heading, said = Heading(answer.question), Paragraph(answer.verdict, "verdict")
    if not asked.entrants:  # of none that it asks of did a run reach its end: there is nothing to draw
        return (heading, said)
    panels = asked_drawing(asked, key, words)
    figure = TwoForms(panels.key, panels.title, wide(panels), narrow(panels))
    reading = words("asked.reading_best" if asked.is_contest else "asked.reading")
    return (heading, figure, said, Paragraph(reading, "note"))


def asked_drawing(asked: Asked, key: str, words: Words) -> Panels:
    """A row an entrant: its accuracy, and that less what it stands against. ``key`` is the figure's."""
    pairs = {pair.group.label: pair for pair in asked.pairs}
    rows = [(each, pairs.get(each.label)) for each in asked.entrants]
    accuracy = tuple(Cell(_value(each.accuracy), None, False) for each in asked.entrants)
    return Panels(
        asked.question.text(words.language),
        " ".join(_said(each, pair, words) for each, pair in rows),
        tuple(_name(asked, each, pair) for each, pair in rows),
        tuple(_is_starred(asked, each, pair) for each, pair in rows),
        (
            Panel(words("which.top1"), accuracy, is_from_zero=False, decimals=1),
            *([_differences(asked, words)] if asked.pairs else []),
        ),
        full=words("asked.mean"),
        small="",
        whisker=words("which.whisker_accuracy"),
        bold=words("asked.bold") if asked.pairs else "",
        star=_star(asked, words) if asked.pairs else "",
        key=key,
        is_even=True,
    )


def _value(interval: Interval) -> Value:
    return Value(100 * interval.mean, 100 * interval.low, 100 * interval.high)


def _differences(asked: Asked, words: Words) -> Panel:
    pairs = {pair.group.label: pair.difference for pair in asked.pairs}
    cells = [
        Cell(_value(found), None, found.is_real) if found else Cell(None, None, False)
        for found in (pairs.get(each.label) for each in asked.entrants)
    ]
    other = _only_other(asked)
    title = words("asked.less", baseline=other) if other else words("asked.difference")
    return Panel(title, tuple(cells), is_from_zero=False, decimals=1, is_signed=True)


def _only_other(asked: Asked) -> str:
    """What all stand against; empty where not all stand against one."""
    others = {pair.other.label for pair in asked.pairs}
    return others.pop() if len(others) == 1 else ""


def _name(asked: Asked, each: Entrant, pair: Compared | None) -> str:
    return f"{each.label} − {pair.other.label}" if pair and not _only_other(asked) else each.label


def _is_starred(asked: Asked, each: Entrant, pair: Compared | None) -> bool:
    """Whether it is shown to be what the question asks for; only trainings show it."""
    if asked.is_contest:
        return bool(asked.pairs) and any(each.label == one.label for one in contest(asked).accurate)
    return pair is not None and pair.difference.over_seeds and asked.outcome(pair) == "yes"


def _star(asked: Asked, words: Words) -> str:
    return words(f"asked.star_{asked.question.yes or 'best'}", points=f"{100 * EQUAL_WITHIN:.0f}")


def _said(each: Entrant, pair: Compared | None, words: Words) -> str:
    """A row of the picture in words, for who does not see it."""
    said = [
        words(
            "which.said", group=each.label, top1=percent(each.accuracy.mean), interval=bounds(each.accuracy)
        )
    ]
    if pair:
        said.append(
            words("asked.said", baseline=pair.other.label, difference=words.interval(pair.difference))
        )
    return words("semicolon").join(said).strip() + "."
