"""The answer to what a study asks, as far as the intervals over its seeds allow one."""

from collections.abc import Sequence

from eval.statistics import LEAST_BLOCKS
from zoo.report.say.asked import Asked, contest, entrant_of
from zoo.report.say.claims import EQUAL_WITHIN
from zoo.report.say.sentences import Compared, verdict
from zoo.report.say.verdict import most_accurate
from zoo.report.say.wording import Words, percent, points
from zoo.report.write.document import Answer, Standing

# Of an outcome; no of every other. About equal leaves room for a small difference, either way.
_STANDINGS: dict[str, Standing] = {"yes": "yes", "open": "open", "equal": "open"}
_MOST_NAMED = 4  # runs that a part of a sentence names; of more, their number


def asked_answer(asked: Asked, words: Words) -> Answer:
    """The question, its answer in a sentence or two, and the figures that it rests on."""
    text, standing = short_answer(asked, words)
    parts = [text, *_span(asked, words)]
    if asked.missing:
        parts.append(words("asked.missing", groups=words.listed(asked.missing)))
    if asked.unlearned:
        known = {"chance": percent(asked.chance), "points": f"{100 * EQUAL_WITHIN:.0f}"}
        parts.append(words("asked.unlearned", groups=words.listed(asked.unlearned), **known))
    sentences = [_told(pair, words) for pair in asked.pairs]
    sentences += [
        words("asked.lost", group=each.label, lost=each.planned - len(each.runs), planned=each.planned)
        for each in asked.entrants
        if len(each.runs) < each.planned
    ]
    judged_by = words("other_list.title", list=words.other_list) if words.other_list else ""
    return Answer(
        asked.question.text(words.language) + judged_by,
        words("asked.join").join(parts),
        tuple(sentences),
        standing,
    )


def short_answer(asked: Asked, words: Words) -> tuple[str, Standing]:
    """The answer alone, and whether it is shown; where runs are missing it is not."""
    text, standing = _contest(asked, words) if asked.is_contest else _yes_or_no(asked, words)
    return text, "open" if asked.missing else standing


def _told(pair: Compared, words: Words) -> str:
    ours, theirs = (
        sum(each.runs) / len(each.runs) for each in (entrant_of(pair.group), entrant_of(pair.other))
    )
    return pair.told(ours, theirs, words)


def _contest(asked: Asked, words: Words) -> tuple[str, Standing]:
    """Which is the most accurate, or between which it cannot be told."""
    if not asked.pairs:
        return words("asked.nothing"), "open"
    choice = contest(asked)
    is_told = len(choice.accurate) == 1 and choice.is_over_seeds
    return words("asked.best", accuracy=most_accurate(choice, words)), "yes" if is_told else "open"


def _yes_or_no(asked: Asked, words: Words) -> tuple[str, Standing]:
    """Yes or no where all pairs say so; of pairs that differ, which say what."""
    if not asked.pairs:
        return words("asked.nothing"), "open"
    if any(pair.difference.too_few for pair in asked.pairs):
        return words("asked.few", least=LEAST_BLOCKS), "open"
    over_seeds = [pair for pair in asked.pairs if pair.difference.over_seeds]
    text, standing = _together(asked, over_seeds, words)
    is_whole = len(over_seeds) == len(asked.pairs)
    return verdict(text, asked.pairs, words), standing if is_whole else "open"


def _together(asked: Asked, pairs: Sequence[Compared], words: Words) -> tuple[str, Standing]:
    """What pairs that have an interval over seeds say."""
    if not pairs:
        return "", "open"
    labels: dict[str, list[str]] = {}
    for pair in pairs:
        labels.setdefault(asked.outcome(pair), []).append(pair.group.label)
    standings = {_STANDINGS.get(key, "no") for key in labels}
    standing = standings.pop() if len(standings) == 1 else "open"
    if len(labels) == 1:
        return words(f"asked.{next(iter(labels))}", points=f"{100 * EQUAL_WITHIN:.0f}"), standing
    parts = [
        words(f"asked.{key}_of", groups=_named(labels[key], len(pairs), words))
        for key in ("yes", "above", "below", "equal", "open")
        if key in labels
    ]
    return words("asked.differs", parts=words("semicolon").join(parts)), standing


def _named(labels: Sequence[str], every: int, words: Words) -> str:
    if len(labels) <= _MOST_NAMED:
        return words.listed(labels)
    return words("asked.count", count=len(labels), every=every)


def _span(asked: Asked, words: Words) -> list[str]:
    """The difference of one pair with its interval; of several the least and the greatest."""
    if not asked.pairs or asked.is_contest:
        return []
    least, *_, most = sorted(asked.pairs * 2, key=lambda pair: pair.difference.mean)
    if len(asked.pairs) == 1:
        known = {"group": least.group.label, "baseline": least.other.label}
        return [words("asked.one", difference=words.interval(least.difference), **known)]
    ends = {"low": points(least.difference.mean), "high": points(most.difference.mean)}
    return [words("asked.span", least=least.group.label, most=most.group.label, **ends)]
