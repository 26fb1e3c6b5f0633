"""What a report knows of a folder of runs, whatever they are judged by."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.bench.row import Row, by_key, in_onnxruntime
from zoo.cli.choices import KINDS
from zoo.report.read.runs import FinishedRun, Group


@dataclass(frozen=True)
class OtherList:
    """A list that --list names, and the sum of its rows and pictures, by which it is known."""

    path: Path
    content: str


@dataclass(frozen=True, kw_only=True)
class Gathered(ABC):
    """The groups of a folder of runs, and what ``zoo bench`` measured of each run, by the run's folder.

    ``notes`` are lines about runs that are not in it or are cut short.
    """

    folder: Path
    title: str
    groups: Sequence[Group]
    rows: Mapping[Path, Sequence[Row]]
    notes: Sequence[str] = ()
    judged_by: OtherList | None = None  # in place of the runs' own validation lists

    @property
    @abstractmethod
    def images(self) -> int:
        """How many photographs runs are judged by."""

    @property
    def first(self) -> FinishedRun:
        """A run that stands for what all share: data, classes."""
        return self.groups[0].first

    @property
    def baseline(self) -> Group:
        """The group that others are compared with: the one without edits, else the first."""
        return next((group for group in self.groups if not group.variant), self.groups[0])

    @property
    def others(self) -> list[Group]:
        """Every group but the baseline."""
        return [group for group in self.groups if group is not self.baseline]

    @property
    def kinds(self) -> list[str]:
        """The kinds of the conditions that were asked for."""
        return list(KINDS)

    def row(self, group: Group, precision: str = "fp32", batch: int | None = 1) -> Row | None:
        """The group's row in onnxruntime; ``batch`` None: of the batch with most images a second."""
        every = (row for run in group.runs for row in self.rows.get(run.path, ()))
        rows = in_onnxruntime(every, precision)
        if batch is None:
            return max(rows, key=lambda row: float(row["images_per_second"]), default=None)
        return next((row for row in rows if row.get("batch") == batch), None)

    def lost_in_int8(self, group: Group, key: str) -> float | None:
        """How much int8 changes the mean of a column; None where not every run has both."""
        full, lossy = (self.benched(group, precision, key) for precision in ("fp32", "int8"))
        return (sum(lossy) - sum(full)) / len(full) if lossy and len(lossy) == len(full) else None

    def benched(self, group: Group, precision: str, key: str) -> list[float]:
        """Each run's figure of a column at a precision, as the bench measured it."""
        every = []
        for run in group.runs:
            rows = [row for row in self.rows.get(run.path, ()) if row.get("precision") == precision]
            every += [figure for row in rows if (figure := by_key(row).get(key)) is not None][:1]
        return every
