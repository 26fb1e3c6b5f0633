"""A class a picture: how often the first score, or one of the first five, is the label's."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from converters.graph import Graph
from eval.accuracy import accuracy, wilson
from zoo.tasks.task import Batches, Columns, Quantity, Task


@dataclass(frozen=True)
class Classes(Task):
    """A classifier's task, and what a net has of which nothing else is told."""

    name: ClassVar[str] = "classes"
    title: ClassVar[str] = "accuracy"
    quantities: ClassVar[tuple[Quantity, ...]] = (
        Quantity("top1", "top-1"),
        Quantity("top5", "top-5", has_interval=False),
    )

    @classmethod
    def told(cls, graph: Graph) -> Self | None:
        """Of any net."""
        return cls()

    def measure(self, session: Any, batches: Batches, softmax: bool = False) -> Columns:
        """Top 1, with Wilson's interval, and top 5 where there are more classes."""
        shares = accuracy(session, batches, softmax)
        low, high = wilson(shares.top1, shares.images)
        own = {"top1": shares.top1, "top1_low": low, "top1_high": high, "top5": shares.top5}
        return {**own, "images": shares.images}
