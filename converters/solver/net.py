"""A net with what feeds it, as a solver has it."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from converters.blobs import owner
from converters.graph import Graph, Node, Value
from converters.layers.parts.indexing import Check, OutOfRangeError, deferring, raise_first
from converters.layers.registry import record_of
from converters.network import Network
from converters.solver.feed import Batches, SourceFeed
from converters.solver.log.events import Output
from converters.solver.records import with_record
from converters.steps import loss_weights
from converters.weights.caffemodel import by_name
from prototxt.errors import InputError


class SolverNet(Network):
    """A Network with its feed; ``position`` is the number of the batch that comes next.

    With ``watches`` on, a forward pass keeps what each layer read, so that after the backward pass its
    gradient can be told (debug_info). Raises InputError, with file and line.
    """

    watches = False
    seen: Mapping[Node, list[Tensor]] = {}

    def __init__(self, graph: Graph, phase: str, feed: Batches, seed: int) -> None:
        with graph.located():
            super().__init__(graph, phase, feed.shapes, seed)
        self.feed, self.position = feed, 0
        self.seen = {}
        self._checks: list[tuple[int, Check]] = []  # batch, and what is still to be read of it

    def next_batch(self) -> dict[str, Tensor]:
        """The next batch, by top. Raises InputError from the data layers."""
        batch = self.feed.batch(self.position)
        self.position += 1
        return batch

    def set_input_arrays(self, data: Any, labels: Any) -> None:
        """Have the net's MemoryData layer serve these rows from the first one on, whatever came before.

        Raises InputError where the net has none, and for arrays that Caffe refuses.
        """
        self._layers_feed().set_arrays(data, labels, self.position)

    def set_inputs(self, /, **blobs: Any) -> None:
        """Set tops of Input layers, by name. Raises InputError for one that is none, or another shape."""
        self._layers_feed().set_inputs(blobs)

    def _layers_feed(self) -> SourceFeed:
        assert isinstance(self.feed, SourceFeed)
        return self.feed

    def go_to(self, batches: int) -> None:
        """Serve batch number ``batches`` next; arrays go on as they are."""
        if isinstance(self.feed, SourceFeed):
            self.feed.skip(batches - self.position)
        self.position = batches

    def next_values(self) -> dict[Value, Tensor]:
        """A forward pass over the next batch; :meth:`check` then reads what indexes out of range.

        Raises InputError from the layers, with file, line and record.
        """
        index = self.position
        with self._located(index), deferring() as checks, self._watching():
            values = self.values(self.next_batch())
        self._checks += [(index, check) for check in checks]
        return values

    def check(self) -> None:
        """Raise InputError for the first value that indexed out of range since the last call; on a GPU this
        waits for the passes.
        """
        checks, self._checks = self._checks, []
        try:
            raise_first([check for _, check in checks])
        except OutOfRangeError as error:
            index = next(index for index, check in checks if check is error.check)
            with self._located(index):
                raise

    @contextmanager
    def _located(self, index: int) -> Iterator[None]:
        """Errors name file and line, and the record of a value of batch ``index`` that is out of range."""
        with self.graph.located():
            try:
                yield
            except OutOfRangeError as error:
                raise with_record(error, self.graph, partial(self.feed.record, index)) from None

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

    def means(self, count: int) -> tuple[list[Output], float]:
        """The means of outputs and loss over the next ``count`` batches, summed in float32 (Solver::Test).

        Raises InputError as :meth:`next_values` and :meth:`check` do.
        """
        sums: dict[Value, Tensor] = {}
        total = torch.zeros(())
        for _ in range(count):
            values = self.next_values()
            total += self.loss(values).cpu()
            for value in self.graph.outputs:
                sums[value] = sums.get(value, torch.zeros(())) + values[value].reshape(-1).cpu()
        self.check()
        means = {value: tensor / count for value, tensor in sums.items()}
        return self.output_values(means), (total / max(count, 1)).item()

    def output_values(self, values: Mapping[Value, Tensor]) -> list[Output]:
        """Every number that the net puts out, in Caffe's order, with its blob's loss weight; ``values`` has
        the outputs, in any shape.
        """
        weights = dict(self._weights)
        return [
            Output(value.blob, number, weights.get(value, 0.0))
            for value in self.graph.outputs
            if value in values
            for number in values[value].detach().reshape(-1).tolist()
        ]


def refuse_learned_labels(net: Network) -> None:
    """Raise InputError for a loss that would be asked for the gradient of a bottom at which its backward pass
    ends Caffe: one that blobs which learn had a part in, or of ``propagate_down: true`` (Net::Init). Here it
    would get none, and a teacher that nobody froze would but lose its weights to their decay.
    """
    learns = {blob.node for blob in net.blobs if blob.owner.multipliers.lr_mult}
    learned: set[Value] = set()
    for node in net.graph.nodes:
        if any(loss_weights(node)):
            with net.graph.located():
                _check_fatal(node, learned)
        if node in learns or _asked(node, learned):
            learned.update(node.outputs)


def _asked(node: Node, learned: Collection[Value]) -> set[int]:
    """The places of the bottoms of which a gradient is asked (Net::AppendBottom)."""
    said = node.layer.propagate_down
    return {at for at, value in enumerate(node.inputs) if (said[at] if said else value in learned)}


def _check_fatal(node: Node, learned: Collection[Value]) -> None:
    asked = _asked(node, learned)
    for at in record_of(node.layer).fatal:
        if at in asked:
            blob, cure = node.inputs[at].blob, "freeze what makes it (param { lr_mult: 0 }), or give it"
            reason = f'the bottom "{blob}" asks for a gradient and gets none: {cure} propagate_down: false'
            raise InputError(reason, node.layer.name, node.layer)


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
