"""Caffe nets in PyTorch: ``zoo.load`` reads one, ``zoo.export_onnx`` writes it as ONNX (docs/python.md).

Nothing heavy is imported before a name is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from converters.network import Network
    from prototxt.errors import InputError
    from zoo.api import export_onnx, list_nets, load

    __version__: str

__all__ = ["InputError", "Network", "__version__", "export_onnx", "list_nets", "load"]

_HOMES = {
    "InputError": "prototxt.errors",
    "Network": "converters.network",
    "export_onnx": "zoo.api",
    "list_nets": "zoo.api",
    "load": "zoo.api",
}

if not TYPE_CHECKING:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> object:
        if name == "__version__":
            return _version()
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    """The installed package's version; "unknown" in a folder that no package was installed from."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("caffe-zoo")
    except PackageNotFoundError:
        return "unknown"
