"""Caffe's recurrent layers: sequences side by side, a mark of 0 where one begins."""

import torch
from torch import Tensor, nn


def lstm_unit(cell: Tensor, gates: Tensor, marks: Tensor) -> tuple[Tensor, Tensor]:
    """One step: a cell (..., D), the sums of the gates i, f, o, g (..., 4 * D) and
    marks (...) to the new cell and the output.
    """
    i, f, o, g = gates.chunk(4, -1)
    mark = marks.detach().unsqueeze(-1)
    forget = torch.where(mark == 0, 0.0, mark * torch.sigmoid(f))
    new = forget * cell + torch.sigmoid(i) * torch.tanh(g)
    return new, torch.sigmoid(o) * torch.tanh(new)


class Recurrent(nn.Module):
    """What LSTM and RNN share. A pass goes on from where the one before ended, unless
    the state is among the inputs; marks of 0 at the first step begin anew.
    """

    states = 1
    gates = 1

    def __init__(
        self, inputs: int, outputs: int, static: int = 0, exposes_state: bool = False
    ) -> None:
        """Sizes of the input, the output and the input that is the same throughout."""
        super().__init__()
        width = self.gates * outputs
        self.outputs, self.static, self.exposes_state = outputs, static, exposes_state
        self.weight_x = nn.Parameter(torch.zeros(width, inputs))
        self.bias = nn.Parameter(torch.zeros(width))
        if static:
            self.weight_static = nn.Parameter(torch.zeros(width, static))
        self.weight_h = nn.Parameter(torch.zeros(width, outputs))
        self.carried: tuple[Tensor, ...] = ()

    def forward(
        self, x: Tensor, marks: Tensor, *others: Tensor
    ) -> Tensor | tuple[Tensor, ...]:
        """(T, N, ...) and marks (T, N), a static input (N, ...) and a state (1, N,
        outputs) where there are such, to (T, N, outputs) and the last state.
        """
        rest = list(others)
        steps = nn.functional.linear(x.flatten(2), self.weight_x, self.bias)
        if self.static:
            steps = steps + nn.functional.linear(
                rest.pop(0).flatten(1), self.weight_static
            )
        state = self.first(x, rest)
        tops: list[Tensor] = []
        for step, mark in zip(steps.unbind(0), marks.detach().unbind(0), strict=True):
            top, state = self.step(step, mark, state)
            tops.append(top)
        last = tuple(part.detach() for part in state)
        if self.exposes_state:
            return torch.stack(tops), *(part.unsqueeze(0) for part in last)
        if not torch.compiler.is_exporting():
            self.carried = last
        return torch.stack(tops)

    def first(self, x: Tensor, given: list[Tensor]) -> tuple[Tensor, ...]:
        """The state before the first step, (N, outputs) each."""
        if self.exposes_state:
            return tuple(part.detach().squeeze(0) for part in given)
        if self.carried and self.carried[0].shape[0] == x.shape[1]:
            return self.carried
        return (x.new_zeros(x.shape[1], self.outputs),) * self.states

    def step(
        self, x: Tensor, mark: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Output and new state of a step whose share of the input is (N, gates *
        outputs).
        """
        raise NotImplementedError


class LSTM(Recurrent):
    """Long short-term memory, whose state is (hidden, cell)."""

    states = 2
    gates = 4

    def step(
        self, x: Tensor, mark: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Output and new state."""
        hidden, cell = state
        sums = x + nn.functional.linear(hidden * mark.unsqueeze(-1), self.weight_h)
        cell, hidden = lstm_unit(cell, sums, mark)
        return hidden, (hidden, cell)


class RNN(Recurrent):
    """A recurrent layer of two tanh, one to the state and one to the output."""

    def __init__(
        self, inputs: int, outputs: int, static: int = 0, exposes_state: bool = False
    ) -> None:
        """Sizes as of Recurrent."""
        super().__init__(inputs, outputs, static, exposes_state)
        self.weight_o = nn.Parameter(torch.zeros(outputs, outputs))
        self.bias_o = nn.Parameter(torch.zeros(outputs))

    def step(
        self, x: Tensor, mark: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Output and new state."""
        hidden = torch.tanh(
            x + nn.functional.linear(state[0] * mark.unsqueeze(-1), self.weight_h)
        )
        return torch.tanh(nn.functional.linear(hidden, self.weight_o, self.bias_o)), (
            hidden,
        )
