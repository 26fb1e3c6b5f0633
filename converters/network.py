"""A Graph as an nn.Module that computes what Caffe's net would."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from converters.blobs import bind, fill_first, find_blobs, memory, share, tensor_of
from converters.build import (
    Shape,
    as_tuple,
    build_modules,
    check_input_shapes,
    in_phase,
    shape_notices,
)
from converters.graph import Graph, Node, Value
from converters.host.memory import refuse_excess
from converters.in_place import in_place_notices
from converters.layers import Layer
from converters.state_names import child_names, name_state
from converters.steps import Step, losses_of, number_values, read_from_outside
from converters.weights.caffemodel import LayerBlobs, SavedLayer, save_caffemodel
from converters.weights.formats import Report, load_weights
from converters.weights.hdf5 import save_hdf5
from prototxt.errors import InputError
from prototxt.text import to_stderr

Diffs = Mapping[Node, Sequence[Tensor]]


class Network(nn.Module):
    """The layers of a graph, called in Caffe's order.

    ``inputs`` and ``outputs`` are blob names; ``layer_types`` and ``params`` (Caffe's blobs, live) go by
    layer name; ``shapes`` has the shape of every Value; ``layers`` holds the modules, so that a layer may
    have any name. Parameters start filled as the prototxt says, each blob a pure function of ``seed``, its
    layer's name and its index; ``fill_blobs=False`` leaves them at zero, and None as memory comes, for
    weights that follow and a :meth:`fill` of what they lack.
    """

    def __init__(
        self,
        graph: Graph,
        phase: str = "TEST",
        input_shapes: Mapping[str, Shape] | None = None,
        seed: int = 0,
        fill_blobs: bool | None = True,
    ) -> None:
        super().__init__()
        self.graph = graph
        self.inputs = [value.blob for value in graph.inputs]
        self.outputs = [value.blob for value in graph.outputs]
        self.layer_types = {node.layer.name: node.layer.type for node in graph.nodes}
        self.layers = nn.ModuleDict()
        check_input_shapes(graph, input_shapes or {})
        modules, self.shapes = build_modules(graph, phase, input_shapes or {})
        for line in (*shape_notices(graph, input_shapes or {}), *in_place_notices(modules)):
            to_stderr(line)
        self._children = self._add(modules)
        self._wire()
        self.train(phase == "TRAIN")
        self._allocate(modules)
        if fill_blobs:
            self.fill(seed)
        elif fill_blobs is not None:
            self._clear()

    def _wire(self) -> None:
        """Number the values of a pass: what is put out, and what counts as loss with which weight."""
        self._numbers, self._steps = number_values(self.graph, self._children)
        self._values = list(self._numbers)
        self._ends = [(value.blob, self._numbers[value]) for value in self.graph.outputs]
        self._weights = losses_of(self.graph)

    def _allocate(self, modules: Mapping[Node, Layer]) -> None:
        """Find the modules' blobs, bring together those that share, and take memory for them."""
        self.blobs = find_blobs(modules, self._children)
        share(self.blobs, self.layers)
        self._blobs_by_node = {node: list(group) for node, group in groupby(self.blobs, attrgetter("node"))}
        name_state(self)
        refuse_excess(self.params)
        self._apply(
            lambda blob: torch.empty(blob.shape, dtype=blob.dtype, device="cpu")
        )  # as to_empty, without its cost

    def _add(self, modules: Mapping[Node, Layer]) -> dict[Node, str]:
        """Register the modules in ``layers``: each one's name there."""
        names = child_names(modules, dir(self.layers))
        for node, module in modules.items():
            self.layers[names[node]] = module
        return names

    def bind(self) -> None:
        """Have the blobs of one ``param { name }`` be one tensor (Net::ShareWeights)."""
        bind(self.blobs, self.layers)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.bind()  # buffers, and what comes from the meta device, arrive one by one
        return self

    @property
    def params(self) -> dict[str, list[Tensor]]:
        """The blobs of every layer that has any, in Caffe's order, as live tensors wherever the net has
        moved to. Of layers of one name it has the last, as in pycaffe; :meth:`blobs_of` tells them apart.
        """
        return {node.layer.name: self.blobs_of(node) for node in self._blobs_by_node}

    def blobs_of(self, node: Node) -> list[Tensor]:
        """Caffe's blobs of one layer, live; of blobs that share memory, the later ones may be views."""
        return [tensor_of(blob, self.layers) for blob in self._blobs_by_node.get(node, [])]

    def layer_blobs(self) -> list[LayerBlobs]:
        """Every layer's blobs, for what goes by the names in a file."""
        return [
            LayerBlobs(node.layer.name, blobs[0].layer if blobs else "", self.blobs_of(node))
            for node in self.graph.nodes
            for blobs in [self._blobs_by_node.get(node, [])]
        ]

    @torch.no_grad()
    def take_blobs(self, net: "Network") -> None:
        """Copy the blobs of ``net``, from whose graph this net's layers were taken."""
        theirs = {node.outputs[:1]: node for node in net.graph.nodes}  # their layers may be others by now
        for node in self._blobs_by_node:
            for blob, source in zip(self.blobs_of(node), net.blobs_of(theirs[node.outputs[:1]]), strict=True):
                blob.copy_(source)

    def module_of(self, node: Node) -> Layer:
        """The module that computes ``node``."""
        module = self.layers[self._children[node]]
        assert isinstance(module, Layer)
        return module

    def _clear(self) -> None:
        for blob in [*self.parameters(), *self.buffers()]:
            blob.detach().zero_()

    def fill(self, seed: int, keep: Iterable[Tensor] = ()) -> None:
        """Fill every blob but ``keep`` as its layer's fillers say (None: zeros); a shared one by its
        first owner's.
        """
        filled = {memory(tensor) for tensor in keep}
        firsts: dict[str, Node] = {}
        for blob in self.blobs:
            name, tensor = blob.node.layer.name, tensor_of(blob, self.layers)
            is_first = firsts.setdefault(name, blob.node) is blob.node
            if memory(tensor) not in filled:
                filled.add(memory(tensor))
                fill_first(
                    blob, tensor, self.module_of(blob.node), f"{seed}/{name if is_first else blob.layer}"
                )

    def values(self, inputs: Mapping[str, Tensor]) -> dict[Value, Tensor]:
        """Every value of one forward pass. Raises InputError for an input that is missing."""
        if missing := [blob for blob in self.inputs if blob not in inputs]:
            raise InputError(f"no tensor for input {', '.join(missing)}")
        made = self._pass(self._steps, dict(enumerate(inputs[blob] for blob in self.inputs)))
        return {self._values[number]: tensor for number, tensor in made.items()}

    def reads(self, start: int, end: int) -> list[Value]:
        """The values that :meth:`run` needs for layers ``start`` to ``end``."""
        return [self._values[number] for number in read_from_outside(self._steps[start : end + 1])]

    def run(self, start: int, end: int, values: Mapping[Value, Tensor]) -> dict[Value, Tensor]:
        """What layers ``start`` to ``end`` of ``graph.nodes`` make, both included (Net::ForwardFromTo), from
        ``values``: what they read that none of them makes, and the tops of data layers among them
        (:meth:`reads`). Gradients flow, from the tops to the blobs and to ``values``.

        Raises InputError for a value that is missing.
        """
        needed = self.reads(start, end)
        if missing := [value.blob for value in needed if value not in values]:
            raise InputError(f"no tensor for {', '.join(missing)}")
        steps = self._steps[start : end + 1]
        made = self._pass(steps, {self._numbers[value]: values[value] for value in needed})
        return {self._values[number]: made[number] for step in steps for number in step.tops}

    def _pass(self, steps: Sequence[Step], values: dict[int, Tensor]) -> dict[int, Tensor]:
        """``values`` with what the steps make of them, all by their numbers."""
        for step in steps:
            if step.child:
                bottoms = [
                    values[number] if passes else values[number].detach()
                    for number, passes in zip(step.bottoms, step.passes, strict=True)
                ]
                tops = as_tuple(self.layers[step.child](*bottoms))
                values.update(zip(step.tops, tops, strict=False))
        return values

    def all_blobs(self, /, **inputs: Tensor) -> dict[str, Tensor]:
        """Every blob under Caffe's name as it stands after the forward pass; gradients flow."""
        return {value.blob: tensor for value, tensor in self.values(inputs).items()}

    def forward(self, *inputs: Tensor) -> Tensor | dict[str, Tensor]:
        """Tensors in the order of ``inputs``; the output, or a dict name → tensor where there are several.

        Raises InputError for another number of tensors.
        """
        if len(inputs) != len(self.inputs):
            named = ", ".join(self.inputs) or "none"
            raise InputError(f"{len(inputs)} tensors for {len(self.inputs)} inputs: {named}")
        values = self._pass(self._steps, dict(enumerate(inputs)))
        outputs = {blob: values[number] for blob, number in self._ends}
        return outputs if len(outputs) != 1 else next(iter(outputs.values()))

    def loss(self, values: Mapping[Value, Tensor]) -> Tensor:
        """The weighted sum of every top with a loss weight (Net::ForwardFromTo); 0 where there is none. With
        force_backward a loss of weight 0 counts too: what it learns by itself has a gradient.
        """
        parts = [weight * values[value].sum() for value, weight in self._weights if value in values]
        return torch.stack(parts).sum() if parts else torch.zeros(())

    def load_weights(self, path: str | Path) -> Report:
        """Load a .caffemodel, .h5 or .safetensors file: (what it lacks, what in it the net lacks).

        Raises InputError, with file, layer and blob, where the file is not whole or does not fit by
        Caffe's rules; the net is as before then.
        """
        return load_weights(self, Path(path))[0]

    def save_caffemodel(self, path: str | Path, diffs: Diffs | None = None) -> None:
        """Write the net with its weights as Caffe does, whole or not at all; with ``diffs`` (layer to one
        tensor a blob) as with snapshot_diff.
        """
        save_caffemodel(Path(path), self.graph.name, self._saved(diffs))

    def save_hdf5(self, path: str | Path, diffs: Diffs | None = None) -> None:
        """Write the weights, and ``diffs``, as Caffe's HDF5, whole or not at all."""
        save_hdf5(Path(path), self._saved(diffs))

    def _saved(self, diffs: Diffs | None) -> list[SavedLayer]:
        """Every layer with its phase, which Net::Init sets, and its blobs."""
        saved = []
        for node in self.graph.nodes:
            message = in_phase(node.layer, "TRAIN" if self.training else "TEST")
            layer_diffs = None if diffs is None else diffs.get(node, [])
            saved.append(SavedLayer(message, self.blobs_of(node), layer_diffs))
        return saved
