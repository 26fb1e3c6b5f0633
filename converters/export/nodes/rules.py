"""How each class of layers is written as ONNX nodes: rules by class, a family a file."""

from collections.abc import Callable, Sequence
from functools import singledispatch

from converters.export import by_class
from converters.export.nodes import families
from converters.export.nodes.writer import Tensor, Writer
from converters.layers import Layer

Tops = Sequence[str] | None


@singledispatch
def to_onnx(layer: Layer, g: Writer, *bottoms: Tensor) -> Tops:
    """Put the nodes of ``layer`` down in ``g``: the tensors of its tops, of which one may be a bottom's. None
    where no rule has these numbers: torch's own exporter writes the layer then.

    A rule is registered for a class with ``@to_onnx.register`` and holds for those below it that compute
    the same: :func:`rule_of` finds it.
    """
    return None


def rule_of(layer: Layer) -> Callable[..., Tops]:
    """The layer's rule (:func:`converters.export.by_class.rule_of`)."""
    return by_class.rule_of(to_onnx.registry, layer)


def load_rules() -> None:
    """Import the rules."""
    by_class.load_rules(families)
