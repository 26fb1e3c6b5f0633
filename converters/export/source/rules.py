"""How each class of layers is written as PyTorch source: rules by class, a family a file."""

from collections.abc import Callable
from functools import singledispatch
from importlib import import_module
from pkgutil import walk_packages

from converters.export.source import families
from converters.export.source.part import Call, Part
from converters.layers import Layer
from prototxt.errors import InputError

Rule = Callable[[Layer, Call], Part]


@singledispatch
def to_source(layer: Layer, c: Call) -> Part:
    """What ``layer`` is in a source file. Raises InputError where there is no rule, or none for its numbers.

    A rule is registered for a class with ``@to_source.register`` and holds for those below it that compute
    the same: :func:`rule_of` finds it.
    """
    raise refusal(layer, "has no rule")


def refusal(layer: Layer, reason: str) -> InputError:
    """What to raise for a layer that cannot be written."""
    name = layer.record.rule_name
    return InputError(f"type {name} {reason} by which PyTorch source is written", layer.message.name)


def rule_of(layer: Layer) -> Rule:
    """The rule of the nearest class that has one, unless the layer's own ``forward`` is another."""
    mine = getattr(type(layer), "forward")  # noqa: B009 - of the class, which mypy does not know to have one
    for kind in type(layer).__mro__:
        if kind in to_source.registry and kind is not object:
            return to_source.registry[kind if kind.__dict__.get("forward", mine) is mine else object]
    return to_source.registry[object]


def load_rules() -> None:
    """Import the rules: every file of the families."""
    for module in walk_packages(families.__path__, f"{families.__name__}."):
        import_module(module.name)
