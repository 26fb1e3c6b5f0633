"""From a prototxt to a module in one call."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from converters.graph import build_graph, net_state
from converters.network import Network
from converters.weights.formats import load_weights
from prototxt.text import located, parse_net, read_text, to_stderr

__all__ = ["load_net", "located"]


def load_net(
    net: str | Path,
    weights: str | Path | None = None,
    phase: str = "TEST",
    level: int = 0,
    stages: Sequence[str] = (),
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    allow_python: bool = False,
) -> Network:
    """The module of a prototxt, given as a path or as its text, in ``phase``'s mode.

    ``weights`` is a .caffemodel, .h5 or .safetensors file; what it lacks is filled as the prototxt says,
    and a line on stderr names that and what the net lacks. ``allow_python`` lets layers of type Python
    run the classes they name. Raises InputError, with file and line where they are known.
    """
    name, text = named_text(net)
    message = parse_net(text, name)
    with located(name, text):
        graph = build_graph(message, net_state(phase, level, stages), allow_python)
        network = Network(graph, phase, input_shapes, fill_blobs=None if weights else True)
    if weights:
        with located(name, text):
            load_or_fill(network, Path(weights))
    return network


def named_text(net: str | Path) -> tuple[str, str]:
    """(name for messages, text) of a prototxt given as a path or as its text."""
    is_text = isinstance(net, str) and ("{" in net or "\n" in net)
    return ("<text>", str(net)) if is_text else (str(net), read_text(net))


def load_or_fill(network: Network, *paths: Path) -> None:
    """Load a net's first weights, of several files the later over the earlier, fill what all of them lack,
    and say on stderr what did not match.
    """
    loaded: list[Tensor] = []
    lacking: set[str] | None = None
    unknown: list[str] = []
    for path in paths:
        report, taken = load_weights(network, path)
        loaded += taken
        lacking = set(report.lacking) if lacking is None else lacking & set(report.lacking)
        if not taken:
            to_stderr(f"{path}: holds no blob for any layer of the net")
        if report.unknown:
            unknown.append(f"{path}: not in the net: {', '.join(report.unknown)}")
    network.fill(0, keep=loaded)
    if lacking:
        files = ", ".join(map(str, paths))
        named = [name for name in report.lacking if name in lacking]
        to_stderr(f"{files}: lacks {', '.join(named)}: filled as the prototxt says")
    for line in unknown:
        to_stderr(line)
