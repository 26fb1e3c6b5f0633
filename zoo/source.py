"""The PyTorch source that ``zoo convert`` writes beside an ONNX file."""

import zipfile
from pathlib import Path

from converters.export.source import write_source
from converters.export.source.files import PTH_MARK, weights_beside
from converters.export.source.text import MARK
from converters.graph import Graph
from converters.network import Network
from converters.weights.formats import read_metadata
from prototxt.errors import InputError
from prototxt.text import Warn
from zoo.ours import keep_others

_HEAD = 2000  # characters in which a source of ours says so


def keep_sources(target: Path, pth: bool) -> None:
    """Raise InputError where the source of the ONNX file ``target``, or its weights, would go over a file
    that no conversion wrote.
    """
    source = target.with_suffix(".py")
    keep_others(source, "conversion", _is_source)
    keep_others(weights_beside(source, pth), "conversion", _is_pth if pth else _is_state)


def _is_source(path: Path) -> bool:
    with path.open(encoding="utf-8") as file:
        return MARK in file.read(_HEAD)


def _is_state(path: Path) -> bool:
    return set(read_metadata(path)) == {"net", "source"}


def _is_pth(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return archive.comment == PTH_MARK


def written_source(net: Network, part: Graph, target: Path, pth: bool, warn: Warn) -> list[Path]:
    """Write ``part`` of the net as PyTorch source beside the ONNX file ``target``: the files. None where a
    layer cannot be written so, which ``warn`` gets a line of.
    """
    source = target.with_suffix(".py")
    try:
        with part.located():
            return [source, write_source(net, source, part, pth)]
    except InputError as error:
        warn(f"no PyTorch source: {error}")
        return []
