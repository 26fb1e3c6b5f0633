"""Sentences that several answers are made of."""

from eval.statistics import LEAST_BLOCKS, Interval
from zoo.report.claims import Order, told
from zoo.report.results import Results
from zoo.report.runs import Group
from zoo.report.wording import Words, percent


def difference_sentence(results: Results, group: Group, other: Group, found: Interval, words: Words) -> str:
    """Two accuracies, their difference with its interval, and what that shows."""
    return words(
        f"accuracy.{told(found)}",
        group=group.label,
        baseline=other.label,
        ours=percent(results.mean_top1(group)),
        theirs=percent(results.mean_top1(other)),
        difference=words.interval(found),
        least=LEAST_BLOCKS,
    )


def ordered_sentence(group: Group, other: Group, found: Order, words: Words) -> str:
    """How the seeds of two groups stand, and what chance makes of it."""
    is_alone = len(group.runs) == len(other.runs) == 1
    key = "order.alone" if is_alone else "order.mixed" if found.side == "open" else f"order.{found.side}"
    return words(
        key,
        group=group.label,
        baseline=other.label,
        ours=len(group.runs),
        theirs=len(other.runs),
        chance=percent(found.chance),
    )


def uneven_sentence(factor: float, words: Words) -> str:
    """That training times are not compared, the machine's speed having differed by ``factor``."""
    return words("speed.uneven", factor=f"{factor:.1f}")
