"""Which variant to ship, as far as figures allow: who is shown to beat whom. No text here, and no files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from eval.statistics import Interval
from zoo.bench.row import Row, in_onnxruntime, is_told_slower, shares_of
from zoo.report.say.claims import EQUAL_WITHIN, is_equal, shown

Relation = Literal["above", "below", "equal", "open"]

SAME_SIZE = 0.05  # files whose bytes differ by no more than this share are taken to be of one size

_TURNED: dict[Relation, Relation] = {"above": "below", "below": "above"}


@dataclass(frozen=True)
class Candidate:
    """A variant: its accuracy, the bench's rows of it at batch 1 in fp32 and int8, its accuracy in int8."""

    label: str
    accuracy: Interval
    row: Row | None = None
    small: Row | None = None
    top1_small: float | None = None


Judge = Callable[[Candidate, Candidate], Relation]  # how the first's accuracy stands to the second's


def from_rows(label: str, rows: Sequence[Row], accuracy: Interval | None = None) -> Candidate:
    """A variant by its runs' rows; without ``accuracy`` that of the first run, which then counts alone."""
    full, small = (in_onnxruntime(rows, precision) for precision in ("fp32", "int8"))
    shares = shares_of(full[0]) if accuracy is None else None
    if shares:
        accuracy = Interval(shares.top1, shares.low, shares.high, over_seeds=False)
        small = [row for row in small if row["run"] == full[0]["run"]]
    assert accuracy is not None, f"{label}: no accuracy was measured"
    return Candidate(label, accuracy, _at_batch_1(full), _at_batch_1(small), _mean_top1(small))


def _at_batch_1(rows: Sequence[Row]) -> Row | None:
    return next((row for row in rows if row.get("batch") == 1), None)


def _mean_top1(rows: Sequence[Row]) -> float | None:
    """The mean over the runs; None where one of them has none."""
    shares = list({row["run"]: row["top1"] for row in rows}.values())
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known and len(known) == len(shares) else None


def relation(difference: Interval) -> Relation:
    """What may be said of two accuracies by the interval of the first less the second; where a side is a
    single run, of these nets, since it is them that are shipped."""
    stand = shown(difference)
    if stand == "these":
        return "above" if difference.low > 0 else "below"
    if stand == "few":
        return "open"
    return "equal" if stand == "open" and is_equal(difference) else stand


def turned(stand: Relation) -> Relation:
    """How the second stands to the first."""
    return _TURNED.get(stand, stand)


def by_own_intervals(ours: Candidate, theirs: Candidate) -> Relation:
    """The same where only the interval of each is known: told where the two do not touch, which asks for more
    than that the interval of the difference leaves out 0."""
    one, other = ours.accuracy, theirs.accuracy
    if one.too_few or other.too_few:
        return "open"
    if one.low > other.high:
        return "above"
    return "below" if one.high < other.low else "open"


def beats(ours: Candidate, theirs: Candidate, judge: Judge) -> bool:
    """Whether ``ours`` is shown to be better in accuracy, size or latency, and no worse in the others.

    Accuracies whose difference is shown to be small count as equal, and so do files of one size; a latency is
    worse where it is told to be. What was not measured of both beats nothing.
    """
    is_costlier = is_larger(ours, theirs) or is_slower(ours, theirs)
    is_half_known = (ours.row is None) != (theirs.row is None)
    is_far_below = ours.accuracy.mean < theirs.accuracy.mean - EQUAL_WITHIN  # neither above nor equal
    if is_costlier or is_half_known or is_far_below:
        return False
    stand = judge(ours, theirs)
    return stand == "above" or (stand == "equal" and (is_larger(theirs, ours) or is_slower(theirs, ours)))


def is_larger(ours: Candidate, theirs: Candidate) -> bool:
    """Whether the first's file is larger by more than ``SAME_SIZE``."""
    if ours.row is None or theirs.row is None:
        return False
    return ours.row["model_bytes"] > (1 + SAME_SIZE) * theirs.row["model_bytes"]


def is_slower(ours: Candidate, theirs: Candidate) -> bool:
    """Whether the first is told to be slower."""
    return ours.row is not None and theirs.row is not None and is_told_slower(ours.row, theirs.row)


def _is_beaten(candidate: Candidate, others: Sequence[Candidate], judge: Judge) -> bool:
    return any(beats(other, candidate, judge) for other in others if other is not candidate)


@dataclass(frozen=True)
class Choice:
    """The candidates, and those of them that nothing is shown to be better than: in all, or in one thing."""

    candidates: tuple[Candidate, ...]
    unbeaten: tuple[Candidate, ...]
    accurate: tuple[Candidate, ...]  # not shown to be below the highest, which comes first
    smallest: tuple[Candidate, ...]  # of the size of the smallest
    fastest: tuple[Candidate, ...]  # not told to be slower than the fastest

    @property
    def is_over_seeds(self) -> bool:
        """Whether it speaks of trainings: no candidate is a single run."""
        return all(each.accuracy.over_seeds for each in self.candidates)


def choose(candidates: Sequence[Candidate], judge: Judge) -> Choice:
    """What of the candidates is left to choose from."""
    from_best = sorted(candidates, key=lambda each: -each.accuracy.mean)
    unbeaten = [each for each in candidates if not _is_beaten(each, from_best, judge)]
    best, *others = from_best
    accurate = [best, *(each for each in others if judge(best, each) != "above")]
    timed = [(each, each.row) for each in candidates if each.row]
    small, quick = [], []
    if timed:
        least = min(timed, key=lambda pair: pair[1]["model_bytes"])[0]
        first = min(timed, key=lambda pair: pair[1]["latency_p50_ms"])[0]
        small = [each for each, _ in timed if not is_larger(each, least)]
        quick = [each for each, _ in timed if not is_slower(each, first)]
    return Choice(tuple(candidates), tuple(unbeaten), tuple(accurate), tuple(small), tuple(quick))
