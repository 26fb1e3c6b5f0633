"""Recurrent layers, time step by time step."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import checked_size, positive
from converters.layers.parts.gradient import with_slope, without_gradient_to
from converters.layers.registry import Shapes, free, layer, zero_or_one
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


def _per_step(module: Layer, bottoms: Shapes, tops: Shapes) -> int:
    """Every matrix once a step of one sequence; a static input's matrix once."""
    blobs = dict(zip(module.slots, module.blobs(), strict=True))
    static = blobs["weight_static"].numel() if "weight_static" in blobs else 0
    matrices = sum(blob.numel() for name, blob in blobs.items() if name.startswith("weight")) - static
    return bottoms[0][0] * matrices + static


@dataclass(frozen=True)
class RecurrentSpec(Spec):
    """Of LSTM and RNN."""

    num_output: int
    expose_hidden: bool = False


class Recurrent(Layer):
    """Inputs (T, N, …) and marks (T, N), 0 where a sequence begins, to outputs (T, N, num_output).

    A static input (N, …) is added at every step. With ``expose_hidden`` the first hidden state comes
    from further bottoms, whose gradient is 0, and the last goes to further tops, from which none comes.
    Without, a pass goes on from where the one before ended, as Caffe's does: marks of 0 at the first
    step, or ``reset``, begin anew (recurrent_layer.cpp).
    """

    states = 1  # hidden blobs
    gates = 1

    spec: RecurrentSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.recurrent_param
        positive(message, num_output=param.num_output)
        self.spec = RecurrentSpec(param.num_output, param.expose_hidden)
        self.carried: tuple[Tensor, ...] = ()
        exposed = self.states * self.spec.expose_hidden
        if len(bottoms) not in (2 + exposed, 3 + exposed) or len(message.top) != 1 + exposed:
            raise InputError(
                f"takes {2 + exposed} or {3 + exposed} bottoms and {1 + exposed} tops here, not "
                f"{len(bottoms)} and {len(message.top)}",
                message.name,
            )
        self.has_static = len(bottoms) == 3 + exposed
        self._check(message, bottoms)
        self._declare(message, bottoms)

    def _check(self, message: LayerParameter, bottoms: Shapes) -> None:
        x, marks = bottoms[:2]
        if len(x) < 3 or marks != x[:2]:
            raise InputError(f"takes (T, N, …) and (T, N), not {tuple(x)} and {tuple(marks)}", message.name)
        if self.has_static and (len(bottoms[2]) < 2 or bottoms[2][0] != x[1]):
            raise InputError(f"static input {tuple(bottoms[2])} is not (N, …) of {x[1]}", message.name)
        for shape in bottoms[2 + self.has_static :]:
            if tuple(shape) != (1, x[1], self.spec.num_output):
                raise InputError(
                    f"hidden state {tuple(shape)} is not (1, {x[1]}, {self.spec.num_output})", message.name
                )

    def _declare(self, message: LayerParameter, bottoms: Shapes) -> None:
        """The blobs in the order in which Caffe's unrolled net meets them."""
        param = message.recurrent_param
        width = self.gates * self.spec.num_output
        shape = checked_size(message, "weights", (width, bottoms[0][2:].numel()))
        self.weight_x = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(width))
        if self.has_static:
            static = checked_size(message, "weights", (width, bottoms[2][1:].numel()))
            self.weight_static = nn.Parameter(torch.empty(static))
        self.weight_h = nn.Parameter(
            torch.empty(checked_size(message, "weights", (width, self.spec.num_output)))
        )
        weights = dict.fromkeys(("weight_x", "weight_static", "weight_h", "weight_o"), param.weight_filler)
        self.fillers = weights | dict.fromkeys(("bias", "bias_o"), param.bias_filler)

    def reset(self) -> None:
        """Forget the hidden state of the pass before (RecurrentLayer::Reset)."""
        self.carried = ()

    def forward(self, x: Tensor, marks: Tensor, *others: Tensor) -> Tensor | tuple[Tensor, ...]:
        """(T, N, …), (T, N) and what the class says to (T, N, num_output)."""
        inputs = F.linear(x.flatten(2), self.weight_x, self.bias)
        if self.has_static:
            inputs = inputs + F.linear(others[0].flatten(1), self.weight_static)
        state = self._first(x, others[self.has_static :])
        outputs = []
        for step, mark in zip(inputs.unbind(0), marks.detach().unbind(0), strict=True):
            output, state = self._step(step, mark.unsqueeze(1), state)
            outputs.append(output)
        last = tuple(part.detach() for part in state)
        sequence = torch.stack(outputs)
        if not self.spec.expose_hidden:
            self._carry(last)
            return sequence
        for hidden in others[self.has_static :]:
            sequence = without_gradient_to(hidden, sequence)
        return sequence, *(part.unsqueeze(0) for part in last)

    def _first(self, x: Tensor, hidden: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The hidden state before the first step, (N, num_output) each."""
        if self.spec.expose_hidden:
            return tuple(part.detach().squeeze(0) for part in hidden)
        zeros = x.new_zeros(x.shape[1], self.spec.num_output)
        fits = all(
            (part.shape, part.device, part.dtype) == (zeros.shape, x.device, x.dtype) for part in self.carried
        )
        return self.carried if self.carried and fits else (zeros,) * self.states

    def _carry(self, state: tuple[Tensor, ...]) -> None:
        if not state[0].is_meta and not torch.compiler.is_exporting():
            self.carried = state

    def _step(self, x: Tensor, mark: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """(output, new state) from this step's share of the input, (N, gates·num_output)."""
        raise NotImplementedError


def _unit(gates: Tensor, mark: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """(cell, output) of one LSTM step from the sums of the gates i, f, o, g along the last axis.

    The forget gate is mark·sigmoid(f), 0 at a mark of 0; Caffe takes its slope as gate·(1 - gate), which
    is the derivative for marks of 0 and 1 (lstm_unit_layer.cpp).
    """
    i, f, o, g = gates.chunk(4, -1)
    gate = torch.where(mark == 0, 0.0, mark * torch.sigmoid(f.detach()))
    forget = with_slope(f, gate, gate * (1 - gate))
    new = forget * cell + torch.sigmoid(i) * torch.tanh(g)
    return new, torch.sigmoid(o) * torch.tanh(new)


@layer(
    "LSTM",
    source="lstm_layer.cpp",
    bottoms=(2, 5),
    tops=(1, 3),
    blobs=("weight_x", "bias", "weight_static", "weight_h"),
    learns=True,
    macs=_per_step,
    indices={1: zero_or_one},
)
class LSTM(Recurrent):
    """Long short-term memory; hidden states are h and c, gates i, f, o, g (lstm_layer.cpp). Blobs: W_xc,
    b_c, W_xc_static with a static input, W_hc.
    """

    states, gates = 2, 4

    def _step(self, x: Tensor, mark: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        hidden, cell = state
        cell, hidden = _unit(x + F.linear(hidden * mark, self.weight_h), mark, cell)
        return hidden, (hidden, cell)


@layer(
    "RNN",
    source="rnn_layer.cpp",
    bottoms=(2, 4),
    tops=(1, 2),
    blobs=("weight_x", "bias", "weight_static", "weight_h", "weight_o", "bias_o"),
    learns=True,
    macs=_per_step,
    indices={1: zero_or_one},
)
class RNN(Recurrent):
    """h = tanh(W_hh·h + W_xh·x + b_h), output tanh(W_ho·h + b_o) (rnn_layer.cpp). Blobs: W_xh, b_h,
    W_xh_static with a static input, W_hh, W_ho, b_o.
    """

    def _declare(self, message: LayerParameter, bottoms: Shapes) -> None:
        super()._declare(message, bottoms)
        self.weight_o = nn.Parameter(torch.empty(self.spec.num_output, self.spec.num_output))
        self.bias_o = nn.Parameter(torch.empty(self.spec.num_output))

    def _step(self, x: Tensor, mark: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        hidden = torch.tanh(x + F.linear(state[0] * mark, self.weight_h))
        return torch.tanh(F.linear(hidden, self.weight_o, self.bias_o)), (hidden,)


@layer(
    "LSTMUnit", source="lstm_unit_layer.cpp", bottoms=(3, 3), tops=(2, 2), macs=free, indices={2: zero_or_one}
)
class LSTMUnit(Layer):
    """One step of an LSTM: the cell (1, N, D), the gates' sums (1, N, 4·D) and marks (1, N) to the new
    cell and output (lstm_unit_layer.cpp). The marks get no gradient.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        cell, gates, marks = (tuple(shape) for shape in bottoms)
        if len(cell) != 3 or cell[0] != 1 or gates != (1, cell[1], 4 * cell[2]) or marks != cell[:2]:
            raise InputError(
                f"takes (1, N, D), (1, N, 4·D) and (1, N), not {cell}, {gates} and {marks}", message.name
            )

    def forward(self, cell: Tensor, gates: Tensor, marks: Tensor) -> tuple[Tensor, Tensor]:
        """(1, N, D), (1, N, 4·D), (1, N) to (1, N, D) twice."""
        return _unit(gates, marks.detach().unsqueeze(-1), cell)
