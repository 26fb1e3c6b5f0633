"""Every layer type; importing the package fills the registry from each of its modules."""

from importlib import import_module
from pkgutil import walk_packages

from converters.layers.base import Layer, build_layer
from converters.layers.plugins import load_named
from converters.layers.registry import Shapes, layer, layer_types

__all__ = ["Layer", "Shapes", "build_layer", "layer", "layer_types"]

for _module in walk_packages(__path__, f"{__name__}."):
    import_module(_module.name)

load_named()
