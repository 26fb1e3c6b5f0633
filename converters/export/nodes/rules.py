"""How each class of layers is written as ONNX nodes: rules by class, a family a file."""

from collections.abc import Callable, Sequence
from functools import singledispatch
from importlib import import_module
from pkgutil import walk_packages

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
    """The rule of the nearest class that has one, unless the layer's own ``forward`` is another."""
    mine = getattr(type(layer), "forward")  # noqa: B009 - of the class, which mypy does not know to have one
    for kind in type(layer).__mro__:
        if kind in to_onnx.registry and kind is not object:
            return to_onnx.registry[kind if kind.__dict__.get("forward", mine) is mine else object]
    return to_onnx.registry[object]


def load_rules() -> None:
    """Import the rules: every file of the families."""
    for module in walk_packages(families.__path__, f"{families.__name__}."):
        import_module(module.name)
