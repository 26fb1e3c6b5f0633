"""ONNX nodes as layers put them down one after another: names, constants, weights, and shapes of which some
axes stand for any size.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike, NDArray
from onnx import helper

from converters.blobs import memory
from converters.export.names import unused_name
from converters.export.nodes.naming import all_nodes, label, rename
from converters.layers import Layer

Shape = tuple[int | None, ...]  # None: any size


class Tensor(NamedTuple):
    """What a node makes: its name while the graph is written, and its shape."""

    name: str
    shape: Shape


class Copy(NamedTuple):
    """In a new shape, the size of ``axis`` of what is reshaped."""

    axis: int


class NotFreeError(Exception):
    """A layer cannot be written for any size of an axis: why."""


@dataclass
class Writer:
    """The nodes of one net so far. ``keys`` names a module's blobs, by its id and the attribute."""

    opset: int
    keys: Mapping[tuple[int, str], str] = field(default_factory=dict)
    layer: str = ""  # whose nodes are being written
    tops: Sequence[Shape] = ()  # the shapes of its tops
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)  # constants and weights by name
    factors: dict[str, NDArray[Any]] = field(default_factory=dict)  # what arrays are still to be times
    names: dict[str, str] = field(default_factory=dict)  # what tensors are to be called in the end
    readers: dict[str, int] = field(default_factory=dict)  # of a tensor, how often it is read
    _constants: dict[tuple[Any, ...], str] = field(default_factory=dict)
    _made: dict[tuple[Any, ...], onnx.NodeProto] = field(default_factory=dict)
    _count: int = 0

    def fresh(self) -> str:
        """A name that nobody else has while the graph is written."""
        self._count += 1
        return f"\x00{self._count}"

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node with one output: that."""
        return self.add_all(op, 1, *inputs, **attributes)[0]

    def add_all(self, op: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """A node with ``count`` outputs. An input that is left out is ""."""
        outputs = [self.fresh() for _ in range(count)]
        self.nodes.append(helper.make_node(op, list(inputs), outputs, name=self.layer, **attributes))
        return outputs

    def once(self, op: str, *inputs: str, **attributes: Any) -> str:
        """:meth:`add`, or the output of the same node where one was put down so before."""
        key = (op, *inputs, *sorted(attributes.items()))
        node = self._made.get(key)
        if node is None or node not in self.nodes:  # a rule that gave up has its nodes taken back
            made = self.add(op, *inputs, **attributes)
            self._made[key] = self.nodes[-1]
            return made
        return node.output[0]

    def constant(self, value: ArrayLike, dtype: DTypeLike = np.float32) -> str:
        """A constant, the same for equal ones."""
        array = np.ascontiguousarray(value, dtype)
        return self._one(array.reshape(np.shape(value)))  # which is an axis of 1 of a number by then

    def _one(self, array: NDArray[Any], name: str = "") -> str:
        key = (array.tobytes(), array.shape, array.dtype.str, name)
        if key not in self._constants:
            self._constants[key] = self.hold(array, name)
        return self._constants[key]

    def blob(self, layer: Layer, key: str, array: NDArray[Any]) -> str:
        """What another exporter made of a blob of the layer, its attribute ``key`` with ``.T`` behind where
        that is transposed; "" for a constant.
        """
        slot = key.rstrip(".T")
        name = self.keys.get((id(layer), slot), slot) + key.removeprefix(slot)
        return self._one(array, name)

    def ints(self, value: ArrayLike) -> str:
        """A constant of whole numbers, as ONNX takes shapes and places."""
        return self.constant(value, np.int64)

    def hold(self, array: NDArray[Any], name: str = "") -> str:
        """An initializer of its own that is to be called ``name``."""
        made = self.fresh()
        self.arrays[made], self.names[made] = array, name
        return made

    def weight(
        self, layer: Layer, slot: str, shape: Sequence[int] | None = None, is_turned: bool = False
    ) -> str:
        """A blob of the layer under its key of ``state_dict``, in another ``shape`` where one is given, or
        transposed, with ``.T`` behind its key; one initializer for all that share a blob's memory.
        """
        tensor = getattr(layer, slot)
        wanted = tuple(tensor.shape if shape is None else shape)
        key = ("weight", memory(tensor), wanted, is_turned)
        if key not in self._constants:
            array, name = tensor.detach().numpy().reshape(wanted), self.keys.get((id(layer), slot), slot)
            self._constants[key] = self.hold(array.T, f"{name}.T") if is_turned else self.hold(array, name)
        return self._constants[key]

    def side(self, x: Tensor, axis: int) -> str:
        """The size of an axis, [n]."""
        size = x.shape[axis]
        if size is not None:
            return self.ints([size])
        if self.opset < 15:
            sides = self.once("Shape", x.name)
            return self.once("Slice", sides, self.ints([axis]), self.ints([axis + 1]))
        return self.once("Shape", x.name, start=axis, end=axis + 1)

    def reshape(self, x: Tensor, shape: Sequence[int | Copy]) -> str:
        """``x`` with other axes: numbers, one -1 for what is left, and axes that it has."""
        sides = [self._known(x, side) for side in shape]
        if all(isinstance(side, int) or side.axis == at for at, side in enumerate(sides)):
            return self._plain_reshape(x, sides)
        free = [at for at, side in enumerate(sides) if isinstance(side, Copy)]
        if len(free) == 1 and -1 not in sides:
            sides[free[0]] = -1
            return self._plain_reshape(x, sides)
        parts = [self.ints([s]) if isinstance(s, int) else self.side(x, s.axis) for s in sides]
        return self.add("Reshape", x.name, self.add("Concat", *parts, axis=0))

    def _known(self, x: Tensor, side: int | Copy) -> int | Copy:
        if isinstance(side, int):
            return side
        size = x.shape[side.axis]
        return side if size is None else size

    def _plain_reshape(self, x: Tensor, sides: Sequence[int | Copy]) -> str:
        target = [0 if isinstance(side, Copy) else side for side in sides]
        return self.add("Reshape", x.name, self.ints(target))

    def flatten(self, x: Tensor, axis: int) -> str:
        """All axes from ``axis`` on made one."""
        if len(x.shape) == axis + 1:
            return x.name
        if axis == 1:
            return self.add("Flatten", x.name, axis=1)
        return self.reshape(x, [*(Copy(at) for at in range(axis)), -1])

    def cast(self, x: str, to: int = onnx.TensorProto.FLOAT) -> str:
        """Another type of numbers."""
        return self.add("Cast", x, to=to)

    def scaled(self, x: str, factor: float) -> str:
        """``x`` times a number; as it is for 1."""
        return x if factor == 1 else self.add("Mul", x, self.constant(factor))

    def shifted(self, x: str, shift: float) -> str:
        """``x`` plus a number; as it is for 0."""
        return x if shift == 0 else self.add("Add", x, self.constant(shift))

    def reduced(self, op: str, x: str, axes: Sequence[int], keepdims: bool = False) -> str:
        """ReduceSum, ReduceMean, …, whose axes are an input from opset 13 (ReduceSum) or 18 on."""
        if op != "ReduceSum" and self.opset < 18:
            return self.add(op, x, axes=list(axes), keepdims=int(keepdims))
        return self.add(op, x, self.ints(axes), keepdims=int(keepdims))

    def split(self, x: str, sizes: Sequence[int], axis: int) -> list[str]:
        """``x`` cut along ``axis``."""
        if len(sizes) == 1:
            return [x]
        return self.add_all("Split", len(sizes), x, self.ints(sizes), axis=axis)

    def scan(
        self,
        step: Callable[..., list[str]],
        inputs: Sequence[str],
        states: Sequence[str],
        axes: Sequence[int] | None = None,
    ) -> list[str]:
        """A Scan over axis 0 of ``inputs``, which gives the last states and, stacked, what ``step`` makes
        beside them. It takes an input's slices and the states by name, and puts down the nodes of one step.
        ``axes`` says how many axes slices, states and what is made beside them have, where no reader of the
        file could tell.
        """
        outside, self.nodes = self.nodes, []
        slices, before = ([self.fresh() for _ in names] for names in (inputs, states))
        made = step(*slices, *before)
        inside, self.nodes = self.nodes, outside
        many = dict(zip([*slices, *before, *made[len(before) :]], axes or (), strict=False))
        many |= {after: many[name] for after, name in zip(made, before, strict=False) if name in many}
        taken, given = (
            [_value(name, many.get(name)) for name in names] for names in ([*before, *slices], made)
        )
        body = helper.make_graph(inside, f"{self.layer} step", taken, given)
        return self.add_all("Scan", len(made), *states, *inputs, body=body, num_scan_inputs=len(inputs))

    def finish(self, blobs: Mapping[str, str]) -> tuple[list[onnx.NodeProto], dict[str, NDArray[Any]]]:
        """The nodes and the arrays that they read, under the names of ``blobs`` (tensor to name) and, where
        no blob is called so, those of weights; what is left is called by its layer and operator.
        """
        final = dict(blobs)
        taken = set(final.values())
        for made in sorted(self._read(), key=lambda made: not self.names.get(made)):
            wanted = self.names.get(made) or "constant"
            final[made] = unused_name(wanted, taken)
            taken.add(final[made])
        label(self.nodes)
        rename(self.nodes, final, taken)
        return self.nodes, {final[name]: self._settled(name) for name in final if name in self.arrays}

    def _settled(self, name: str) -> NDArray[Any]:
        """An array times its factors; in one go, for weights are large."""
        array = self.arrays[name]
        if name not in self.factors:
            return array
        settled: NDArray[Any] = np.empty_like(array)
        np.multiply(array, self.factors[name], out=settled, casting="same_kind")
        return settled

    def _read(self) -> list[str]:
        names = (name for node in all_nodes(self.nodes) for name in node.input if name in self.arrays)
        return list(dict.fromkeys(names))


def _value(name: str, axes: int | None) -> onnx.ValueInfoProto:
    """A tensor of so many axes, None of any number, each of any size."""
    shape = None if axes is None else [None] * axes
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
