"""Sentences that several answers are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from eval.statistics import LEAST_BLOCKS, Interval
from zoo.report.read.results import Results
from zoo.report.read.runs import Group
from zoo.report.say.claims import SeedOrder, shown
from zoo.report.say.wording import Words, percent

_MOST_SEEN = 3


def difference_sentence(
    results: Results, group: Group, other: Group, difference: Interval, words: Words
) -> str:
    """Two accuracies, their difference with its interval, and what that shows."""
    top1 = results.mean_top1(group), results.mean_top1(other)
    return Compared(group, other, difference).told(*top1, words)


class Trained(Protocol):
    """Runs that a sentence names together: a group, or what rows say of one."""

    @property
    def label(self) -> str:
        """Their name."""

    @property
    def runs(self) -> Sequence[object]:
        """One after another."""


@dataclass(frozen=True)
class Compared:
    """Two groups, and the first's mean accuracy less the second's; with ``kind``, of photographs changed in
    that way, less what is lost.
    """

    group: Trained
    other: Trained
    difference: Interval
    kind: str = ""

    def told(self, ours: float, theirs: float, words: Words) -> str:
        """The two accuracies, their difference with its interval, and what that shows."""
        return words(
            f"accuracy.{shown(self.difference)}",
            group=self.group.label,
            baseline=self.other.label,
            ours=percent(ours),
            theirs=percent(theirs),
            difference=words.interval(self.difference),
            least=LEAST_BLOCKS,
        )

    def seen(self, words: Words) -> str:
        """How far the first lies above or below the second, in points."""
        size = f"{abs(100 * self.difference.mean):.1f}"
        way = "level" if size == "0.0" else "higher" if self.difference.mean > 0 else "lower"
        names = {"group": self.group.label, "baseline": self.other.label, "points": size}
        return (
            words(f"robust.seen_{way}", kind=self.kind, **names)
            if self.kind
            else words(f"seen.{way}", **names)
        )


def verdict(text: str, compared: Sequence[Compared], words: Words) -> str:
    """``text``, which is what intervals over trainings show; where a side has a single run, which has no
    such interval, what was seen, the furthest apart of many. ``text`` is then said of the others.
    """
    alone = [item for item in compared if not item.difference.over_seeds]
    if not alone:
        return text
    furthest = sorted(alone, key=lambda item: -abs(item.difference.mean))[:_MOST_SEEN]
    parts = [item.seen(words) for item in alone if item in furthest]
    is_pair = all(len(item.group.runs) == len(item.other.runs) == 1 for item in alone)
    said = words("seen.alone" if is_pair else "seen.few", what=words("semicolon").join(parts))
    return said if len(alone) == len(compared) else f"{said} {words('seen.others', verdict=text)}"


def ordered_sentence(group: Group, other: Group, order: SeedOrder, words: Words) -> str:
    """How the seeds of two groups stand, and what chance makes of it."""
    is_alone = len(group.runs) == len(other.runs) == 1
    key = "order.alone" if is_alone else "order.mixed" if order.side == "open" else f"order.{order.side}"
    return words(
        key,
        group=group.label,
        baseline=other.label,
        ours=len(group.runs),
        theirs=len(other.runs),
        chance=percent(order.chance),
    )


def uneven_sentence(factor: float, words: Words) -> str:
    """That training times are not compared, the machine's speed having differed by ``factor``."""
    return words("speed.uneven", factor=f"{factor:.1f}")
