"""Rules for classes of layers, registered with functools.singledispatch in a family of layers a file."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pkgutil import walk_packages
from types import ModuleType
from typing import TypeVar

from converters.layers import Layer

R = TypeVar("R")


def rule_of(registry: Mapping[type, Callable[..., R]], layer: Layer) -> Callable[..., R]:
    """The rule of the nearest class that has one, unless the layer's own ``forward`` is another: what no rule
    is for then, ``object``'s.
    """
    mine = getattr(type(layer), "forward")  # noqa: B009 - of the class, which mypy does not know to have one
    for kind in type(layer).__mro__:
        if kind in registry and kind is not object:
            return registry[kind if kind.__dict__.get("forward", mine) is mine else object]
    return registry[object]


def load_rules(families: ModuleType) -> None:
    """Import every file of the families."""
    for module in walk_packages(families.__path__, f"{families.__name__}."):
        import_module(module.name)
