"""The article's questions, answered as far as the figures allow."""

import math
from collections.abc import Sequence

from eval.statistics import LEAST_BLOCKS, Interval
from zoo.report.read.learning import COMMON_SHARE, learning, mean_final, reach, unevenness
from zoo.report.read.results import Results
from zoo.report.read.runs import Group
from zoo.report.say.asked import Asked
from zoo.report.say.asked_answer import asked_answer
from zoo.report.say.claims import (
    EQUAL_WITHIN,
    SeedOrder,
    Side,
    is_equal,
    order,
    ratios,
    seen,
    shown,
    side,
    together,
)
from zoo.report.say.head_answers import head_answers
from zoo.report.say.sentences import Compared, difference_sentence, ordered_sentence, uneven_sentence, verdict
from zoo.report.say.wording import Words, count, percent, points
from zoo.report.write.document import Answer, AnswerList, Standing

_STANDINGS: dict[str, Standing] = {"below": "yes", "above": "no"}  # of questions after less of something
_BETTER: dict[str, Standing] = {"above": "yes", "below": "no"}


def answers(results: Results, asked: Sequence[Asked], words: Words) -> AnswerList:
    """An answer to what the study asks and to every question of the article whose runs are there; where that
    is none, one for the groups."""
    dropouts = single_edits(results, "dropout")
    every = [asked_answer(each, words) for each in asked]
    if dropouts:
        every += _dropout(results, dropouts, words)
    norms = single_edits(results, "bn")
    for group in norms:
        suffix = f" ({group.label})" if len(norms) > 1 else ""
        every += [_speed(results, group, suffix, words), _accuracy(results, group, suffix, words)]
    every += head_answers(results, words)
    return AnswerList(tuple(every or [_any(results, words)]))


def single_edits(results: Results, name: str) -> list[Group]:
    """Groups that are the baseline with one edit whose name begins so.

    Their other settings may differ, as the author's BatchNorm nets had other batches and a study may try
    a higher rate with them; the images of an iteration may not, since iterations are compared.
    """
    base = results.baseline
    if base.variant:
        return []
    return [
        group
        for group in results.others
        if len(group.variant) == 1
        and min(group.variant).startswith(name)
        and group.first.images_per_step == base.first.images_per_step
    ]


def _dropout(results: Results, dropouts: Sequence[Group], words: Words) -> list[Answer]:
    steady, cost = _steadier(results, dropouts, words), _cost(results, dropouts, words)
    every = [steady, cost]
    pair = [group for group in dropouts if group.variant <= {"dropout0.5", "dropout0.9"}]
    if len(pair) == 2:
        equal = _equal(results, pair[0], pair[1], words)
        every += [equal, _author(steady, cost, equal, words)]
    return every


def _steadier(results: Results, dropouts: Sequence[Group], words: Words) -> Answer:
    """The verdict is on test accuracy; the scatter of the training loss is added for comparison."""
    theirs = _wobbles(results.baseline, "accuracy")
    orders = [order(_wobbles(group, "accuracy"), theirs) for group in dropouts]
    sentences = [words("steady.method")]
    for group in dropouts:
        sentences += [_wobble_sentence(results, group, kind, words) for kind in ("accuracy", "loss")]
    views = [seen(_wobbles(group, "accuracy"), theirs) for group in dropouts]
    said, standing = _ordered(results, "steady", orders, views, words)
    return Answer(words("steady.question"), said, tuple(sentences), standing)


def _wobbles(group: Group, kind: str) -> list[float]:
    """Scatter of test accuracy or training loss, a run each; none where a run has too few points."""
    scatters = [getattr(learning(run).steadiness, kind) for run in group.runs]
    return [] if None in scatters else scatters


def _wobble_sentence(results: Results, group: Group, kind: str, words: Words) -> str:
    ours, theirs = _wobbles(group, kind), _wobbles(results.baseline, kind)
    if not ours or not theirs:
        return words("steady.few", group=group.label)
    figures = words(
        f"steady.{kind}",
        group=group.label,
        baseline=results.baseline.label,
        ours=f"{100 * sum(ours) / len(ours):.1f}",
        theirs=f"{100 * sum(theirs) / len(theirs):.1f}",
    )
    return figures + ordered_sentence(group, results.baseline, order(ours, theirs), words)


def _ordered(
    results: Results, key: str, orders: Sequence[SeedOrder], views: Sequence[Side], words: Words
) -> tuple[str, Standing]:
    """A verdict from the orders of all groups: told only where chance is rare, else a tendency; of single
    runs what was seen; nothing where the tests were of too few photographs.
    """
    if len(results.blocks) < LEAST_BLOCKS:
        return words(f"{key}.open"), "open"
    stand, view = together([each.side for each in orders]), together(views)
    if stand == "open" and view in ("above", "below"):
        return words(f"{key}.seen_{view}"), "open"
    if stand in ("open", "mixed"):
        return words(f"{key}.{stand}"), "open"
    if (
        all(each.is_rare for each in orders if each.side != "open")
        and len({each.side for each in orders}) == 1
    ):
        return words(f"{key}.{stand}"), _STANDINGS[stand]
    return words(f"{key}.tends_{stand}"), "open"


def _cost(results: Results, dropouts: Sequence[Group], words: Words) -> Answer:
    differences = [(group, results.difference(group, results.baseline)) for group in dropouts]
    base = results.baseline
    sentences = [difference_sentence(results, group, base, item, words) for group, item in differences]
    sides = [(group, side(item)) for group, item in differences if item.over_seeds]
    text, standing = _cost_verdict(sides, words)
    said = verdict(text, [Compared(group, base, item) for group, item in differences], words)
    is_whole = all(item.over_seeds for _, item in differences)
    return Answer(words.judged("cost.question"), said, tuple(sentences), standing if is_whole else "open")


def _cost_verdict(sides: Sequence[tuple[Group, Side]], words: Words) -> tuple[str, Standing]:
    """Yes or no where all ratios say so; the ratios that show something where others show nothing."""
    stand = together([where for _, where in sides])
    if stand != "mixed":
        return words(f"cost.{stand}"), _STANDINGS.get(stand, "open")
    clear = {where for _, where in sides if where != "open"}
    if len(clear) > 1:
        return words("cost.mixed"), "open"
    groups = words.listed([group.label for group, where in sides if where != "open"])
    return words(f"cost.some_{clear.pop()}", groups=groups), "open"


def _equal(results: Results, half: Group, most: Group, words: Words) -> Answer:
    difference = results.difference(half, most)
    key, standing = _equality(difference)
    sentence = difference_sentence(results, half, most, difference, words)
    margin = words("equal.margin", points=f"{100 * EQUAL_WITHIN:.0f}")
    said = verdict(words(f"equal.{key}"), [Compared(half, most, difference)], words)
    return Answer(words.judged("equal.question"), said, (sentence, margin), standing)


def _equality(difference: Interval) -> tuple[str, Standing]:
    if is_equal(difference):
        return "yes", "yes"
    return ("no", "no") if side(difference) != "open" else ("open", "open")


def _author(steady: Answer, cost: Answer, equal: Answer, words: Words) -> Answer:
    standings = [steady.standing, cost.standing, equal.standing]
    parts = [
        words(f"author.{key}_{at}") for key, at in zip(("steady", "cost", "equal"), standings, strict=True)
    ]
    if all(at == "yes" for at in standings):
        verdict, standing = "author.yes", "yes"
    elif "no" in standings:
        verdict, standing = ("author.part" if "yes" in standings else "author.no"), "no"
    else:
        verdict, standing = "author.open", "open"
    return Answer(words.judged("author.question"), words(verdict), tuple(parts), standing)  # type: ignore[arg-type]


def _speed(results: Results, group: Group, suffix: str, words: Words) -> Answer:
    base, final = results.baseline, mean_final(results.baseline)
    question = words("speed.question") + suffix
    if not final:
        return Answer(question, words("speed.open"), (words("speed.untested"),), "open")
    ours, theirs = ([reach(run, COMMON_SHARE, final) for run in side.runs] for side in (group, base))
    steps = [[item.iteration if item else math.inf for item in reached] for reached in (ours, theirs)]
    times = [[item.seconds if item else math.inf for item in reached] for reached in (ours, theirs)]
    reached = order(*steps)
    goal = words(
        "speed.goal", share=percent(COMMON_SHARE), baseline=base.label, target=percent(COMMON_SHARE * final)
    )
    sentences = [
        goal,
        _race("speed.iterations", steps, group, base, words) + ordered_sentence(group, base, reached, words),
    ]
    if factor := unevenness(results.groups):
        sentences.append(uneven_sentence(factor, words))
    elif not any(map(math.isinf, [*times[0], *times[1]])):
        sentences.append(_race("speed.seconds", times, group, base, words))
    said, standing = _ordered(results, "speed", [reached], [seen(*steps)], words)
    gain = ratios(*steps)
    if standing == "yes" and gain and math.isfinite(gain.high):
        said = words("speed.by", ratio=words.ratio(gain))
    return Answer(question, said, tuple(sentences), standing)


def _race(key: str, sides: Sequence[Sequence[float]], group: Group, base: Group, words: Words) -> str:
    """Two means with their ratio; who never got there is counted instead."""
    missing = [sum(map(math.isinf, figures)) for figures in sides]
    if any(missing):
        return words(
            "speed.missing", group=group.label, baseline=base.label, ours=missing[0], theirs=missing[1]
        )
    gain = ratios(*sides)
    means = [sum(figures) / len(figures) for figures in sides]
    written = [words.duration(mean) if key.endswith("seconds") else count(mean) for mean in means]
    ratio = words.ratio(gain) if gain else "–"
    return words(key, group=group.label, baseline=base.label, ours=written[0], theirs=written[1], ratio=ratio)


def _accuracy(results: Results, group: Group, suffix: str, words: Words) -> Answer:
    difference = results.difference(group, results.baseline)
    sentence = difference_sentence(results, group, results.baseline, difference, words)
    stand = side(difference)
    standing = _BETTER.get(stand, "open")
    said = verdict(words(f"bn.{stand}"), [Compared(group, results.baseline, difference)], words)
    return Answer(words.judged("bn.question") + suffix, said, (sentence,), standing)


def _any(results: Results, words: Words) -> Answer:
    """Which groups are really better or worse than the first, for studies of other things."""
    base = results.baseline
    question = words.judged("any.question", baseline=base.label)
    if not results.others:
        alone = words("any.alone", group=base.label, top1=percent(results.interval(base).mean))
        return Answer(question, words("any.one"), (alone,), "open")
    groups: dict[str, list[str]] = {"above": [], "below": [], "these": [], "open": [], "few": []}
    compared = [Compared(group, base, results.difference(group, base)) for group in results.others]
    for item in compared:
        groups[shown(item.difference)].append(f"{item.group.label} ({points(item.difference.mean)})")
    sentences = [
        words(f"any.{key}", groups=words.listed(names), baseline=base.label, least=LEAST_BLOCKS)
        for key, names in groups.items()
        if names
    ]
    best = max(results.groups, key=lambda group: results.interval(group).mean)
    is_told = bool(groups["above"] or groups["below"])
    text = words("any.told" if is_told else "any.untold", best=best.label, baseline=base.label)
    return Answer(question, verdict(text, compared, words), tuple(sentences), "yes" if is_told else "open")
