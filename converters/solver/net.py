"""A net with its data layers, as a solver has it: it serves its own batches."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from converters.blobs import owner, tensor_of
from converters.data.input import InputTensors
from converters.data.memory import MemorySource
from converters.data.opening import open_data
from converters.graph import Graph, Node, Value, layer_labels
from converters.layers.parts.indexing import Check, OutOfRangeError, deferring, raise_first
from converters.network import Network, loss_weights
from converters.solver.log import Output
from converters.solver.nets import NetSource
from converters.solver.records import with_record
from converters.weights.caffemodel import by_name
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


class Batches(Protocol):
    """What a data layer is here: batches by number, and the shapes of its tops."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Of every top."""

    def batch(self, index: int) -> dict[str, Tensor]:
        """The batch of that number, by the names of the tops."""

    def record(self, index: int, sample: int) -> str:
        """What messages call a sample of it."""


class Feed:
    """A data layer with the number of the batch that it serves next."""

    def __init__(self, source: Batches) -> None:
        self.source = source
        self.position = 0

    def next_batch(self) -> dict[str, Tensor]:
        """The next batch."""
        batch = self.source.batch(self.position)
        self.position += 1
        return batch


class SolverNet(Network):
    """A Network with a feed for each of its data layers; ``feeds`` go by layer name
    (:func:`converters.graph.layer_labels`).

    With ``watches`` on, a forward pass keeps what each layer read, so that after the backward pass its
    gradient can be told (debug_info).
    """

    feeds: Mapping[str, Feed] = {}
    watches = False
    seen: Mapping[Node, list[Tensor]] = {}

    _checks: Sequence[Check] = ()

    def __init__(self, graph: Graph, source: NetSource, sources: Mapping[str, Batches], seed: int) -> None:
        shapes = {top: shape for source in sources.values() for top, shape in source.shapes.items()}
        super().__init__(graph, source.phase, shapes, seed)
        self.source = source
        self.feeds = {name: Feed(source) for name, source in sources.items()}
        self.seen = {}

    def next_batch(self) -> dict[str, Tensor]:
        """Every data layer's next batch, where the net's blobs are. Raises InputError from the layers."""
        where = self._device()
        batches = [feed.next_batch() for feed in self.feeds.values()]
        return {top: tensor.to(where) for batch in batches for top, tensor in batch.items()}

    def _device(self) -> torch.device:
        return tensor_of(self.blobs[0], self.layers).device if self.blobs else torch.device("cpu")

    def set_input_arrays(self, data: Any, labels: Any) -> None:
        """Have the net's MemoryData layer serve these rows from the first one on, whatever came before.

        Raises InputError where the net has none, and for arrays that Caffe refuses.
        """
        feeds = [feed for feed in self.feeds.values() if isinstance(feed.source, MemorySource)]
        if not feeds:
            held = ", ".join(f'"{feed}"' for feed in self.feeds) or "none"
            raise InputError(f"set_input_arrays needs a MemoryData layer; the net's data layers: {held}")
        assert isinstance(feeds[0].source, MemorySource)
        feeds[0].source.set(data, labels)
        feeds[0].position = 0

    def set_inputs(self, /, **blobs: Any) -> None:
        """Set tops of Input layers, by name. Raises InputError for one that is none, or another shape."""
        for top, values in blobs.items():
            for feed in self.feeds.values():
                if isinstance(feed.source, InputTensors) and top in feed.source.shapes:
                    feed.source.set(top, values)
                    break
            else:
                raise InputError(f'"{top}" is no top of an Input layer')

    def next_values(self) -> dict[Value, Tensor]:
        """A forward pass over every data layer's next batch; on a GPU :meth:`number` checks what indexes.

        Raises InputError from the layers, with the record of a value that is out of range.
        """
        with self._located(), deferring() as self._checks, self._watching():
            return self.values(self.next_batch())

    def number(self, loss: Tensor) -> float:
        """A loss of the last pass, read. Raises InputError for a value that indexed out of range in it."""
        number = loss.item()
        with self._located():
            raise_first(self._checks)
        return number

    @contextmanager
    def _located(self) -> Iterator[None]:
        """Errors name file and line, and the record of a value out of range."""
        with self.source.located():
            try:
                yield
            except OutOfRangeError as error:
                raise with_record(error, self.graph, self._record) from None

    def _record(self, top: str, sample: int, samples: int) -> str | None:
        """The name of a sample of the batch served last."""
        for feed in self.feeds.values():
            if feed.source.shapes.get(top, ())[:1] == (samples,):
                return feed.source.record(feed.position - 1, sample)
        return None

    def go_to(self, batches: int) -> None:
        """Have every layer that reads files serve batch number ``batches`` next; arrays go on as they are."""
        for feed in self.feeds.values():
            if not isinstance(feed.source, MemorySource | InputTensors):
                feed.position = batches

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Keep what each layer reads in the block, where :attr:`watches` is on."""
        nodes = [node for node in self.graph.nodes if self.watches and not node.is_data]
        hooks = [self.module_of(node).register_forward_pre_hook(partial(self._see, node)) for node in nodes]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _see(self, node: Node, module: nn.Module, bottoms: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        # A view of its own has this reader's share of the gradient alone, as Caffe's Split has it.
        views = [x.view_as(x) for x in bottoms]
        for x in views:
            if x.requires_grad:
                x.retain_grad()
        self.seen[node] = views  # type: ignore[index]
        return tuple(views)

    def forget(self) -> None:
        """Let go of what :attr:`watches` kept."""
        self.watches, self.seen = False, {}

    def output_values(self, values: Mapping[Value, Tensor]) -> list[Output]:
        """Every number that the net puts out, in Caffe's order, with its blob's loss weight."""
        weights = {
            value: weight
            for node in self.graph.nodes
            for value, weight in zip(node.outputs, loss_weights(node), strict=False)
        }
        return [
            Output(value.blob, number, weights.get(value, 0.0))
            for value in self.graph.outputs
            for number in values[value].detach().reshape(-1).tolist()
        ]


def build_net(source: NetSource, seed: int, places: Sequence[Path], allow_python: bool = False) -> SolverNet:
    """The net with its data layers opened; relative paths in it count from ``places``, the first that
    holds them. Raises InputError, with file and line.
    """
    graph = source.graph(allow_python)
    with source.located():
        fed = [node.layer for node in graph.nodes if node.is_data]
        labels = layer_labels([layer.name for layer in fed])
        sources = {  # each layer draws for itself, as in Caffe
            label: _open(layer, source.phase, seed + index, places)
            for index, (label, layer) in enumerate(zip(labels, fed, strict=True))
        }
        return SolverNet(graph, source, sources, seed)


def _open(layer: LayerParameter, phase: str, seed: int, places: Sequence[Path]) -> Batches:
    if layer.type == "Input":
        return InputTensors(layer)
    return open_data(layer, phase, seed, places)


@torch.no_grad()
def share_trained_layers(target: Network, source: Network) -> None:
    """Have the layers that both nets have share ``source``'s blobs from here on
    (Net::ShareTrainedLayersWith): each of ``source``'s goes to the first layer of its name, so that of
    several the last one's stay.

    Raises InputError, naming the layer, where their number or shapes differ.
    """
    targets = by_name(reversed(target.layer_blobs()))
    for layer, _, trained in source.layer_blobs():
        if not trained or layer not in targets:
            continue
        ours = targets[layer]
        shapes = [[tuple(blob.shape) for blob in side] for side in (ours, trained)]
        if shapes[0] != shapes[1]:
            listed = f"{shapes[0]} in the test net, {shapes[1]} in the train net"
            message = next(node.layer for node in target.graph.nodes if node.layer.name == layer)
            raise InputError(f"has blobs of shapes {listed}", layer, message)
        for blob, new in zip(ours, trained, strict=True):
            own = owner(blob)
            own.data = new.data.reshape(own.shape)
