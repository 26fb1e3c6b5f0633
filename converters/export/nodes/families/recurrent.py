"""Recurrent layers: a Scan over time, with a step's arithmetic inside, so that any time and batch will do.

ONNX's own LSTM and RNN know no marks at which a sequence begins within a batch.
"""

from collections.abc import Sequence

import numpy as np

from converters.export.nodes.rules import Tops, to_onnx
from converters.export.nodes.writer import Copy, Tensor, Writer
from converters.layers.connected.recurrent import LSTM, RNN, LSTMUnit, Recurrent


@to_onnx.register
def _(layer: LSTM, g: Writer, x: Tensor, marks: Tensor, *others: Tensor) -> Tops:
    def step(gates: str, mark: str, hidden: str, cell: str) -> list[str]:
        cell, hidden = _unit(g, _recurred(layer, g, gates, mark, hidden), mark, cell, layer.spec.num_output)
        return [hidden, cell, g.add("Identity", hidden)]

    sums, states = _inputs(layer, g, x, others), _first(layer, g, x, others)
    return _tops(layer, g, g.scan(step, [sums, g.add("Unsqueeze", marks.name, g.ints([2]))], states))


@to_onnx.register
def _(layer: RNN, g: Writer, x: Tensor, marks: Tensor, *others: Tensor) -> Tops:
    def step(sums: str, mark: str, hidden: str) -> list[str]:
        new = g.add("Tanh", _recurred(layer, g, sums, mark, hidden))
        return [new, g.add("Identity", new)]

    sums, states = _inputs(layer, g, x, others), _first(layer, g, x, others)
    last, every = g.scan(step, [sums, g.add("Unsqueeze", marks.name, g.ints([2]))], states)
    product = g.add("MatMul", every, g.weight(layer, "weight_o", is_turned=True))
    return _tops(layer, g, [last, g.add("Tanh", g.add("Add", product, g.weight(layer, "bias_o")))])


@to_onnx.register
def _(layer: LSTMUnit, g: Writer, cell: Tensor, gates: Tensor, marks: Tensor) -> Tops:
    size = cell.shape[2]
    assert size is not None
    return list(_unit(g, gates.name, g.add("Unsqueeze", marks.name, g.ints([2])), cell.name, size))


def _unit(g: Writer, gates: str, mark: str, cell: str, size: int) -> tuple[str, str]:
    """(cell, output) of one step from the sums of the gates i, f, o, g along the last axis."""
    ifo, candidate = g.split(gates, [3 * size, size], -1)
    i, f, o = g.split(g.add("Sigmoid", ifo), [size] * 3, -1)
    kept = g.add("Mul", g.add("Mul", f, mark), cell)
    new = g.add("Add", kept, g.add("Mul", i, g.add("Tanh", candidate)))
    return new, g.add("Mul", o, g.add("Tanh", new))


def _recurred(layer: Recurrent, g: Writer, sums: str, mark: str, hidden: str) -> str:
    """A step's sums with what the hidden state adds, which a mark of 0 forgets."""
    weight = g.weight(layer, "weight_h", is_turned=True)
    return g.add("Add", sums, g.add("MatMul", g.add("Mul", hidden, mark), weight))


def _inputs(layer: Recurrent, g: Writer, x: Tensor, others: Sequence[Tensor]) -> str:
    """What the inputs add at each step, (T, N, gates·num_output)."""
    rows = x.name if len(x.shape) == 3 else g.reshape(x, [Copy(0), Copy(1), -1])
    product = g.add("MatMul", rows, g.weight(layer, "weight_x", is_turned=True))
    sums = g.add("Add", product, g.weight(layer, "bias"))
    if not layer.has_static:
        return sums
    weight = g.weight(layer, "weight_static", is_turned=True)
    return g.add("Add", sums, g.add("MatMul", g.flatten(others[0], 1), weight))


def _first(layer: Recurrent, g: Writer, x: Tensor, others: Sequence[Tensor]) -> list[str]:
    """The hidden states before the first step, (N, num_output) each."""
    if layer.spec.expose_hidden:
        return [g.add("Squeeze", part.name, g.ints([0])) for part in others[layer.has_static :]]
    if x.shape[1] is not None:
        return [g.constant(np.zeros((x.shape[1], layer.spec.num_output)))] * layer.states
    shape = g.add("Concat", g.side(x, 1), g.ints([layer.spec.num_output]), axis=0)
    return [g.add("Expand", g.constant(0.0), shape)] * layer.states


def _tops(layer: Recurrent, g: Writer, made: Sequence[str]) -> list[str]:
    """Of last states and the sequence the sequence and, where they are exposed, the states."""
    *states, sequence = made
    exposed = states if layer.spec.expose_hidden else []
    return [sequence, *(g.add("Unsqueeze", state, g.ints([0])) for state in exposed)]
