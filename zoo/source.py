"""The PyTorch source that ``zoo convert`` writes beside an ONNX file."""

import zipfile
from pathlib import Path

from converters.export.source import write_source
from converters.export.source.files import PTH_MARK, text_digest, weights_beside
from converters.graph import Graph
from converters.network import Network
from converters.weights.formats import read_metadata
from prototxt.errors import InputError
from prototxt.text import Warn
from zoo.ours import keep_others


def keep_sources(target: Path, pth: bool) -> None:
    """Raise InputError where the source of the ONNX file ``target``, or its weights, would go over a file
    that no conversion wrote.
    """
    source = target.with_suffix(".py")
    keep_others(source, "conversion", _is_source)
    keep_others(weights_beside(source, pth), "conversion", _is_pth if pth else _is_state)


def _is_source(path: Path) -> bool:
    """Whether it is as a conversion wrote it: the weights that lie beside it know its text."""
    known = text_digest(path.read_text(encoding="utf-8"))
    state, pth = weights_beside(path), weights_beside(path, pth=True)
    return (state.is_file() and read_metadata(state).get("source") == known) or (
        pth.is_file() and _comment(pth) == PTH_MARK + known.encode()
    )


def _is_state(path: Path) -> bool:
    return set(read_metadata(path)) == {"net", "source"}


def _is_pth(path: Path) -> bool:
    return _comment(path).startswith(PTH_MARK)


def _comment(path: Path) -> bytes:
    """A zip archive's; nothing of another file."""
    if not zipfile.is_zipfile(path):
        return b""
    with zipfile.ZipFile(path) as archive:
        return archive.comment


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
