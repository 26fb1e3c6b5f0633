"""From a prototxt to a module: a net's file becomes a graph (:func:`converters.graph.graph_of`), and a graph,
or the part of it that a caller wants, a module (:func:`build`); :func:`load_net` is both in one call.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from converters.build import Shape
from converters.data.shapes import channels_open, top_shapes
from converters.dialects import settled
from converters.graph import Graph, graph_of
from converters.net_state import net_state
from converters.network import Network
from converters.trained import is_trained, read_trained
from converters.weights.channels import channels_of
from converters.weights.formats import load_weights
from converters.weights.stored import stored_blobs
from prototxt.net_file import NetFile
from prototxt.text import Warn, to_stderr


def load_net(
    net: str | Path,
    weights: str | Path | None = None,
    phase: str = "TEST",
    level: int = 0,
    stages: Sequence[str] = (),
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    allow_python: bool = False,
    dialect: str | None = None,
) -> Network:
    """The module of a prototxt, given as a path or as its text, or of a .caffemodel's path, in ``phase``'s
    mode.

    ``weights`` is a .caffemodel, .h5 or .safetensors file, without it a .caffemodel's own; what it lacks is
    filled as the prototxt says, and a line on stderr names that and what the net lacks. ``allow_python`` lets
    layers of type Python run the classes they name. ``dialect`` names the fork whose rules are meant where
    forks have different ones under one type. Raises InputError, with file and line where they are known.
    """
    own = is_trained(net) and "\n" not in str(net)
    files = [Path(weights)] if weights else [Path(net)] if own else []
    file = settled(read_trained(net, dialect) if own else NetFile.of(net), dialect, files)
    graph = graph_of(file, net_state(phase, level, stages), allow_python)
    return build(graph, phase, input_shapes, weights=files)


def build(
    graph: Graph,
    phase: str = "TEST",
    input_shapes: Mapping[str, Shape] | None = None,
    *,
    seed: int = 0,
    weights: Sequence[Path] = (),
    warn: Warn = to_stderr,
) -> Network:
    """The module of a graph, in ``phase``'s mode: the blobs are the weight files', of several the later over
    the earlier, and what these lack is filled as the prototxt says, from ``seed``; ``warn`` takes a line for
    whatever does not match.

    Raises InputError, with the file and line of the graph's net where it has them.
    """
    with graph.located():
        shapes = dict(input_shapes or {})
        shapes |= _shapes_of_weights(graph, shapes, weights, warn)
        network = Network(graph, phase, shapes, seed, fill_blobs=None if weights else True)
        if weights:
            _load_or_fill(network, weights, seed, warn)
    return network


def _shapes_of_weights(
    graph: Graph, input_shapes: Mapping[str, Shape], weights: Sequence[Path], warn: Warn
) -> dict[str, Shape]:
    """The shapes of images whose channels the prototxt leaves open and a weight file's first layer says."""
    nodes = [node for node in graph.nodes if node.is_data and channels_open(node.layer)]
    stored = {name: blobs for path in weights if nodes for name, blobs in stored_blobs(path).items()}
    shapes: dict[str, Shape] = {}
    for node in nodes if stored else ():
        sizes = channels_open(node.layer)
        for value in node.outputs:
            if value.blob not in sizes or value.blob in input_shapes:
                continue
            if source := channels_of(graph, value, sizes[value.blob], stored):
                (shape,) = top_shapes(node.layer, {}, [value.blob])
                shapes[value.blob] = (shape[0], source.channels, *shape[2:])
                warn(
                    f'layer "{node.layer.name}": {source.channels} channels taken for top "{value.blob}", as '
                    f'the weights of layer "{source.layer}" have (--input-shape, input_shapes beat it)'
                )
    return shapes


def _load_or_fill(network: Network, paths: Sequence[Path], seed: int, warn: Warn) -> None:
    """Load a net's first weights, fill what all of the files lack, and warn of what did not match."""
    loaded: list[Tensor] = []
    lacking: set[str] | None = None
    unknown: list[str] = []
    for path in paths:
        report, taken = load_weights(network, path)
        loaded += taken
        lacking = set(report.lacking) if lacking is None else lacking & set(report.lacking)
        if not taken:
            warn(f"{path}: holds no blob for any layer of the net")
        if report.unknown:
            unknown.append(f"{path}: not in the net: {', '.join(report.unknown)}")
    network.fill(seed, keep=loaded)
    if lacking:
        files = ", ".join(map(str, paths))
        named = [name for name in report.lacking if name in lacking]
        warn(f"{files}: lacks {', '.join(named)}: filled as the prototxt says")
    for line in unknown:
        warn(line)
