"""From a prototxt to a module in one call."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from converters.graph import build_graph, net_state
from converters.network import Network
from prototxt.caffe_pb2 import NetParameter
from prototxt.errors import InputError
from prototxt.text import locate, parse, read_text


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

    ``weights`` is a .safetensors file; without one the blobs are filled as the prototxt says.
    ``allow_python`` lets layers of type Python run the classes they name. Raises InputError, with file
    and line where they are known.
    """
    is_text = isinstance(net, str) and ("{" in net or "\n" in net)
    name, text = ("<text>", str(net)) if is_text else (str(net), read_text(net))
    message = parse(text, NetParameter, name)
    with located(name, text):
        graph = build_graph(message, net_state(phase, level, stages), allow_python)
        network = Network(graph, phase, input_shapes, fill_blobs=weights is None)
    if weights is not None:
        network.load_weights(weights)
    return network


@contextmanager
def located(name: str, text: str) -> Iterator[None]:
    """Give an InputError about a layer the file and line where ``text`` defines that layer."""
    try:
        yield
    except InputError as error:
        if error.layer is None:
            raise
        line = locate(text, error.layer)
        place = f"{name}:{line}" if line else name  # a layer that a variant put in has no line
        raise InputError(f'{place}: layer "{error.layer}": {error}') from None
