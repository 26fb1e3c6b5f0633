"""How each class of layers is written as PyTorch source: rules by class, a family a file."""

from collections.abc import Callable
from functools import singledispatch

from converters.export import by_class
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
    """The layer's rule (:func:`converters.export.by_class.rule_of`)."""
    return by_class.rule_of(to_source.registry, layer)


def load_rules() -> None:
    """Import the rules."""
    by_class.load_rules(families)
