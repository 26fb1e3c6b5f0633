"""A source's files: its text, and its weights."""

import hashlib
import zipfile
from pathlib import Path

import torch

from converters.export.onnx_file import deploy_net
from converters.export.source.text import Source, source_of
from converters.graph import Graph
from converters.host.files import whole
from converters.network import Network
from converters.weights.formats import write_safetensors

PTH_MARK = (
    b"zoo convert "  # begins the comment of a .pth, which is a zip archive: a file of ours is known by it
)


def write_source(net: Network, path: Path, graph: Graph | None = None, pth: bool = False) -> Path:
    """Write the deployed ``net``, or ``graph``, a part of it, as a module's source to ``path``, a .py, and
    its state beside it as .torch.safetensors, or with ``pth`` as .pth: the path of that. Each is written
    whole or not at all. Raises InputError, naming the layer, for one that no rule writes: nothing is written
    then.
    """
    weights = weights_beside(path, pth)
    source = source_of(deploy_net(net, graph), path.stem, weights.name)
    write_state(source, weights)
    with whole(path) as beside:
        beside.write_text(source.text, encoding="utf-8")
    return weights


def weights_beside(path: Path, pth: bool = False) -> Path:
    """Where the weights of the source at ``path`` are."""
    return path.with_suffix(".pth" if pth else ".torch.safetensors")


def text_digest(text: str) -> str:
    """By which a source is known again: its weights have it, so that one that was edited since is told."""
    return hashlib.sha256(text.encode()).hexdigest()


def write_state(source: Source, path: Path) -> None:
    """Write what ``load_state_dict`` takes: a .pth as torch.save makes it of a dict of tensors."""
    if path.suffix != ".pth":
        write_safetensors(path, source.state, {"net": source.name, "source": text_digest(source.text)})
        return
    with whole(path) as beside:
        torch.save({name: tensor.cpu().contiguous() for name, tensor in source.state.items()}, beside)
        with zipfile.ZipFile(beside, "a") as archive:
            archive.comment = PTH_MARK + text_digest(source.text).encode()
