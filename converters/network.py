"""A Graph as an nn.Module that computes what Caffe's net would."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

import torch
from torch import Tensor, nn

from converters.build import Shape, as_tuple, build_modules
from converters.filler import fill
from converters.graph import Graph, Node, Value
from converters.in_place import overwritten_gradients
from converters.layers import Layer
from converters.memory import refuse_excess
from converters.weights import Report, load_weights
from converters.weights_caffe import SavedLayer, save_caffemodel
from converters.weights_hdf5 import save_hdf5
from prototxt.caffe_pb2 import TEST, TRAIN, FillerParameter, LayerParameter
from prototxt.errors import InputError
from prototxt.text import to_stderr

Diffs = Mapping[str, Sequence[Tensor]]
_ZEROS = FillerParameter()  # constant 0, what Caffe's default filler is


class Network(nn.Module):
    """The layers of a graph, called in Caffe's order.

    ``inputs`` and ``outputs`` are blob names; ``layer_types`` and ``params`` (Caffe's blobs, live) go by
    layer name; ``shapes`` has the shape of every Value. Parameters start filled as the prototxt says,
    each blob a pure function of ``seed``, its layer's name and its index; ``fill_blobs=False`` leaves
    them at zero, and None as memory comes, for weights that follow and a :meth:`fill` of what they lack.
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
        self._names: dict[Node, str] = {}
        self._build(phase, input_shapes or {})
        self._allocate()
        if fill_blobs:
            self.fill(seed)
        elif fill_blobs is not None:
            self._clear()

    def _build(self, phase: str, input_shapes: Mapping[str, Shape]) -> None:
        modules, self.shapes = build_modules(self.graph, phase, input_shapes)
        for node, module in modules.items():
            self._add(node, module)
            if note := module.notice():
                to_stderr(f'layer "{node.layer.name}": {note}')
        for line in overwritten_gradients(modules):
            to_stderr(line)
        self.train(phase == "TRAIN")

    def _add(self, node: Node, module: Layer) -> None:
        """Register ``module`` under its layer's name, made fit for an attribute."""
        name = node.layer.name.replace(".", "_") or "unnamed"
        while hasattr(self, name):
            name += "_"
        self.add_module(name, module)
        self._names[node] = name

    def module_of(self, node: Node) -> Layer:
        """The module that computes ``node``."""
        module = self.get_submodule(self._names[node])
        assert isinstance(module, Layer)
        return module

    def _allocate(self) -> None:
        refuse_excess(self.params)
        self.to_empty(device="cpu")
        self._share()

    def _clear(self) -> None:
        for blob in [*self.parameters(), *self.buffers()]:
            blob.detach().zero_()

    @property
    def params(self) -> dict[str, list[Tensor]]:
        """Caffe's blobs of every layer, in Caffe's order, as live tensors wherever the net has moved to."""
        return {node.layer.name: self.module_of(node).blobs() for node in self._names}

    def _share(self) -> None:
        """Make blobs of one ``param { name }`` one tensor, the first layer's (Net::AppendParam)."""
        owners: dict[str, tuple[Tensor, str]] = {}
        for node in self._names:
            module = self.module_of(node)
            slots = [*module._parameters, *module._buffers]
            for spec, slot in zip(node.layer.param, _filled(module, slots), strict=False):
                if not spec.name:
                    continue
                blob, owner = owners.setdefault(spec.name, (getattr(module, slot), node.layer.name))
                if blob.shape != getattr(module, slot).shape:
                    raise InputError(
                        f'param "{spec.name}" has shape {tuple(getattr(module, slot).shape)} here and '
                        f'{tuple(blob.shape)} in layer "{owner}"',
                        node.layer.name,
                    )
                setattr(module, slot, blob)

    def fill(self, seed: int, keep: Iterable[Tensor] = ()) -> None:
        """Fill every blob but ``keep`` as its layer's fillers say (None: zeros); a shared one by its
        first owner's.
        """
        seen = {id(blob) for blob in keep}
        for node in self._names:
            module = self.module_of(node)
            for index, (blob, filler) in enumerate(zip_longest(module.blobs(), module.fillers)):
                if blob is None or id(blob) in seen:
                    continue
                seen.add(id(blob))
                tag = f"{seed}/{node.layer.name}/{index}".encode()
                try:
                    fill(
                        blob,
                        _ZEROS if filler is None else filler,
                        torch.Generator().manual_seed(zlib.crc32(tag)),
                    )
                except InputError as error:
                    raise InputError(str(error), node.layer.name) from None

    def values(self, inputs: Mapping[str, Tensor]) -> dict[Value, Tensor]:
        """Every value of one forward pass. Raises InputError for an input that is missing."""
        if missing := [blob for blob in self.inputs if blob not in inputs]:
            raise InputError(f"no tensor for input {', '.join(missing)}")
        values = {value: inputs[value.blob] for value in self.graph.inputs}
        for node in self.graph.nodes:
            if not node.is_data:
                tops = self.module_of(node)(*self._bottoms(node, values))
                values.update(zip(node.outputs, as_tuple(tops), strict=False))
        return values

    def _bottoms(self, node: Node, values: Mapping[Value, Tensor]) -> list[Tensor]:
        """What ``node`` reads, cut off from the gradient where it says ``propagate_down: false``."""
        bottoms = [values[value] for value in node.inputs]
        passes = list(node.layer.propagate_down)
        if not passes or self.graph.force_backward:
            return bottoms
        return [x if down else x.detach() for x, down in zip(bottoms, passes, strict=True)]

    def all_blobs(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Every blob under Caffe's name as it stands after the forward pass; gradients flow."""
        return {value.blob: tensor for value, tensor in self.values(inputs).items()}

    def forward(self, *inputs: Tensor) -> Tensor | dict[str, Tensor]:
        """Tensors in the order of ``inputs``; the output, or a dict name → tensor where there are several."""
        values = self.values(dict(zip(self.inputs, inputs, strict=True)))
        outputs = {value.blob: values[value] for value in self.graph.outputs}
        return outputs if len(outputs) != 1 else next(iter(outputs.values()))

    def loss(self, values: Mapping[Value, Tensor]) -> Tensor:
        """The weighted sum of every top with a loss weight (Net::ForwardFromTo); 0 where there is none."""
        parts = [
            weight * values[value].sum()
            for node in self.graph.nodes
            for value, weight in zip(node.outputs, loss_weights(node), strict=False)
            if weight and value in values
        ]
        return torch.stack(parts).sum() if parts else torch.zeros(())

    def load_weights(self, path: str | Path) -> Report:
        """Load a .caffemodel, .h5 or .safetensors file: (what it lacks, what in it the net lacks).

        Raises InputError, with file, layer and blob, where the file is not whole or does not fit by
        Caffe's rules; the net is as before then.
        """
        return load_weights(self, self.params, Path(path))[0]

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
        saved, blobs = [], self.params
        for node in self.graph.nodes:
            message = LayerParameter(phase=TRAIN if self.training else TEST)
            message.MergeFrom(node.layer)
            name = message.name
            layer_diffs = None if diffs is None else diffs.get(name, [])
            saved.append(SavedLayer(message, blobs.get(name, []), layer_diffs))
        return saved


def loss_weights(node: Node) -> list[float]:
    """One weight per top: as given, else 1 for a loss layer's first (Layer::SetLossWeights)."""
    if node.layer.loss_weight:
        return list(node.layer.loss_weight)
    return [1.0] if node.layer.type.endswith("Loss") else []


def _filled(module: nn.Module, slots: list[str]) -> list[str]:
    return [slot for slot in slots if getattr(module, slot) is not None]
