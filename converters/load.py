"""From a prototxt to a module in one call."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from converters.graph import build_graph, net_state
from converters.network import Network
from prototxt.text import located, parse_net, read_text

__all__ = ["load_net", "located"]


def load_net(
    net: str | Path,
    weights: str | Path | None = None,
    phase: str = "TEST",
    level: int = 0,
    stages: Sequence[str] = (),
    input_shapes: Mapping[str, Sequence[int]] | None = None,
) -> Network:
    """The module of a prototxt, given as a path or as its text, in ``phase``'s mode.

    ``weights`` is a .safetensors file; without one the blobs are filled as the prototxt says. Raises
    InputError, with file and line where they are known.
    """
    is_text = isinstance(net, str) and ("{" in net or "\n" in net)
    name, text = ("<text>", str(net)) if is_text else (str(net), read_text(net))
    message = parse_net(text, name)
    with located(name, text):
        graph = build_graph(message, net_state(phase, level, stages))
        network = Network(graph, phase, input_shapes, fill_blobs=weights is None)
    if weights is not None:
        network.load_weights(weights)
    return network
