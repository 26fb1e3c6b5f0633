"""Everything a report draws on: groups of runs, what was measured of them, and what follows by arithmetic."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from eval.robustness import CONDITIONS, PLAIN, Condition
from eval.series import name_blocks
from eval.statistics import Floats, Interval, difference, interval
from prototxt.errors import InputError
from zoo.bench.row import Row, unjudged
from zoo.report.measure.measured import Measured
from zoo.report.read.gathered import Gathered, OtherList
from zoo.report.read.runs import FinishedRun, Group


@dataclass(frozen=True, kw_only=True)
class Results(Gathered):
    """The groups of a folder of classifiers' runs with what was measured of each run, by the run's folder.

    ``conditions`` are what photographs were tried under.
    """

    measured: Mapping[Path, Measured]
    conditions: Sequence[Condition] = CONDITIONS
    _intervals: dict[tuple[Any, ...], Interval] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """How many photographs runs are judged by."""
        return len(self.measured[self.first.path].labels)

    @property
    def class_names(self) -> list[str]:
        """The classes' names; their numbers where the data has none."""
        names = self.first.record.get("class_names") or []
        sample = self.measured[self.first.path]
        seen = max(*sample.labels, *sample.predictions) + 1
        return list(names or map(str, range(max(seen, self.first.record.get("classes") or 0))))

    @cached_property
    def blocks(self) -> list[list[int]]:
        """Rows of the validation list that are resampled together."""
        sample = self.measured[self.first.path]
        every = np.concatenate([self.right(group) for group in self.groups])
        return name_blocks(sample.paths, sample.labels, every.astype(bool))

    @cached_property
    def tried_blocks(self) -> list[list[int]]:
        """The same blocks among the photographs that conditions were tried on, as places among those."""
        place = {row: index for index, row in enumerate(self.measured[self.first.path].rows)}
        blocks = [[place[row] for row in block if row in place] for block in self.blocks]
        return [block for block in blocks if block]

    def of(self, group: Group) -> list[Measured]:
        """What was measured of a group's runs."""
        return [self.measured[run.path] for run in group.runs]

    def right(self, group: Group) -> Floats:
        """(S, N): was run s right on photograph i?"""
        return np.array([run.right for run in self.of(group)], float)

    def right_under(self, group: Group, condition: str) -> Floats:
        """The same under a condition, for the photographs that conditions were tried on."""
        return np.array([list(map(int, run.robustness[condition])) for run in self.of(group)], float)

    @property
    def kinds(self) -> list[str]:
        """The kinds of the conditions that photographs were tried under."""
        return list(dict.fromkeys(condition.kind for condition in self.conditions))

    def of_kind(self, kind: str) -> list[Condition]:
        """The conditions of a kind that photographs were tried under."""
        return [condition for condition in self.conditions if condition.kind == kind]

    def takes(self, group: Group, condition: str) -> bool:
        """Whether the group's nets were measured under the condition."""
        return all(condition in run.robustness for run in self.of(group))

    def top1(self, group: Group) -> list[float]:
        """The share of right answers of each run, over the whole validation list."""
        return [float(row.mean()) for row in self.right(group)]

    def mean_top1(self, group: Group) -> float:
        """The mean of :meth:`top1` over the group's runs."""
        return sum(self.top1(group)) / len(group.runs)

    def train_top1(self, group: Group) -> float:
        """The mean over the group's runs of their accuracy on the training list."""
        return sum(run.train_top1 for run in self.of(group)) / len(group.runs)

    @property
    def tells_top5(self) -> bool:
        """Whether there are classes enough for the first five to tell something."""
        return all(run.in_top5 for run in self.measured.values())

    def top5(self, group: Group) -> list[float]:
        """As :meth:`top1` for the true class among the first five, where that tells something."""
        return [float(np.mean(run.in_top5)) for run in self.of(group)]

    def interval(self, group: Group) -> Interval:
        """95% interval of a group's accuracy."""
        return self._once(("one", group.index), lambda: interval(self.right(group), self.blocks))

    def difference(self, group: Group, other: Group) -> Interval:
        """``group`` less ``other`` in accuracy, with its 95% interval."""
        return self._once(
            ("two", group.index, other.index),
            lambda: difference(self.right(group), self.right(other), self.blocks),
        )

    def difference_under(self, group: Group, other: Group, condition: str) -> Interval:
        """The same under a condition that both can take."""
        return self._once(
            ("two", group.index, other.index, condition),
            lambda: difference(
                self.right_under(group, condition), self.right_under(other, condition), self.tried_blocks
            ),
        )

    def lost_less(self, group: Group, other: Group, conditions: Sequence[str]) -> Interval:
        """How much less accuracy ``group`` loses than ``other``, on average over the conditions."""
        return self._once(
            ("lost", group.index, other.index, *conditions),
            lambda: difference(
                self._change(group, conditions), self._change(other, conditions), self.tried_blocks, reach=2.0
            ),
        )

    def _change(self, group: Group, conditions: Sequence[str]) -> Floats:
        every = np.array([self.right_under(group, condition) for condition in conditions])
        return np.asarray(every.mean(0) - self.right_under(group, PLAIN))

    def _once(self, key: tuple[Any, ...], make: Any) -> Interval:
        if key not in self._intervals:
            self._intervals[key] = make()
        return self._intervals[key]

    def top1_at(self, group: Group, precision: str) -> list[float]:
        """Each run's accuracy at a precision, as the bench measured it."""
        return self.benched(group, precision, "top1")


def check_same_data(runs: Sequence[FinishedRun]) -> None:
    """Raise InputError unless all runs were tested on the same validation list."""
    tested = {run.path: run.model.list_of("TEST") for run in runs}
    lists = {path: about for path, about in tested.items() if about is not None}
    if lacking := [path for path in tested if path not in lists]:
        raise InputError(f"{lacking[0]}: has no validation list, so there is nothing to compare")
    # Runs of versions before the sums are compared with others by the pictures that both know.
    has_sums = all("content" in about for about in lists.values())
    prints: dict[str, Path] = {}
    for path, about in lists.items():
        prints.setdefault(about["content"] if has_sums else about["fingerprint"], path)
    if len(prints) > 1:
        raise InputError(
            f"{' and '.join(map(str, prints.values()))} were tested on different data; "
            "a report compares runs on the same validation list"
        )


def read_rows(
    path: Path, runs: Sequence[FinishedRun], other: OtherList | None = None
) -> dict[Path, list[Row]]:
    """The rows of a bench.json by run folder, of the list that the runs are judged by where it has such; a
    folder that was moved is known by its name and seed.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path}: is no list of rows as `zoo bench` writes it")
    return {run.path: _of_one_list([row for row in rows if _is_of(row, run)], run, other) for run in runs}


def _of_one_list(rows: Sequence[Row], run: FinishedRun, other: OtherList | None) -> list[Row]:
    """A run's rows on the list that it is judged by; else those on another, without accuracy."""
    judged = [row for row in rows if _is_judged(row, run, other)]
    if judged or not rows:
        return judged
    return [unjudged(row) for row in rows if row.get("list") == rows[0].get("list")]


def _is_judged(row: Row, run: FinishedRun, other: OtherList | None) -> bool:
    """Whether a row's accuracy is of the list that the run is judged by: known by its content, as far as row
    and run say what that was; a row of an earlier version, by its naming no list.
    """
    content = other.content if other else run.record["data"].get("TEST", {}).get("content")
    if content and row.get("content"):
        return bool(row["content"] == content)
    return other is None and not row.get("list")


def _is_of(row: Row, run: FinishedRun) -> bool:
    where = Path(str(row.get("run") or ""))
    if where.resolve() == run.path.resolve():
        return True
    about = (where.name, row.get("variant"), row.get("seed"))
    return about == (run.path.name, run.record["variant"], run.seed)
