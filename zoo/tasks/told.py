"""Which task a net has, told by its layers in TEST."""

from collections.abc import Mapping
from typing import Any

from converters.graph import Graph
from eval.distributions import are_distributions
from eval.statistics import Floats
from zoo.tasks.classes import Classes
from zoo.tasks.distributions import Distributions
from zoo.tasks.maps import Maps
from zoo.tasks.numbers import Numbers
from zoo.tasks.task import Task

# In the order in which they are asked: the last is anybody's.
KINDS: Mapping[str, type[Task]] = {kind.name: kind for kind in (Maps, Distributions, Numbers, Classes)}


def task_of(graph: Graph) -> Task:
    """The task of a net with all its layers in TEST, those that judge among them."""
    return next(task for kind in KINDS.values() if (task := kind.told(graph)) is not None)


def told_by_labels(task: Task, labels: Floats) -> Task:
    """The task of a net that tells numbers, which (M, K) labels say whether they are distributions; another
    task as it is.
    """
    if not isinstance(task, Numbers | Distributions):
        return task
    return Distributions() if are_distributions(labels) else Numbers()


def trained_on(task: Task, labels: Floats) -> Task:
    """The same with what always telling one and the same would have cost least on these labels."""
    kind = told_by_labels(task, labels)
    return kind.trained_on(labels) if isinstance(kind, Numbers | Distributions) else kind


def least_values(task: Task) -> int:
    """How many values a net of the task tells of a picture at least."""
    return 1 if isinstance(task, Numbers | Distributions) else 2


def to_record(task: Task) -> dict[str, Any] | None:
    """What run.json says of :func:`trained_on`'s task; None of one that needs no word."""
    return {"task": task.name, "always": task.guess} if isinstance(task, Numbers | Distributions) else None


def as_recorded(task: Task, record: Mapping[str, Any] | None) -> Task:
    """A run's task, as run.json says it where it tells numbers; else as the net's layers do."""
    said = (record or {}).get("numbers")
    if not isinstance(said, dict):
        return task
    kind, guess = kind_of(said.get("task")), said.get("always")
    if kind not in (Numbers, Distributions) or not isinstance(guess, list):
        return task
    return kind(tuple(map(float, guess))) if all(isinstance(each, int | float) for each in guess) else task


def kind_of(name: str | None) -> type[Task]:
    """The kind of task that a row, or a run, says; of earlier versions, which knew classes alone, that."""
    return KINDS.get(name or Classes.name, Classes)
