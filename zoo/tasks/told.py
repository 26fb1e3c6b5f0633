"""Which task a net has, told by its layers in TEST."""

from collections.abc import Mapping

from converters.graph import Graph
from zoo.tasks.classes import Classes
from zoo.tasks.maps import Maps
from zoo.tasks.task import Task

# In the order in which they are asked: the last is anybody's.
KINDS: Mapping[str, type[Task]] = {kind.name: kind for kind in (Maps, Classes)}


def task_of(graph: Graph) -> Task:
    """The task of a net with all its layers in TEST, those that judge among them."""
    return next(task for kind in KINDS.values() if (task := kind.told(graph)) is not None)


def kind_of(name: str | None) -> type[Task]:
    """The kind of task that a row, or a run, says; of earlier versions, which knew classes alone, that."""
    return KINDS.get(name or Classes.name, Classes)
