"""One update after the other: forward, backward, display, rate, update (the body of Solver::Step)."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from converters.graph import Value
from converters.solver.log import events
from converters.solver.log.debug import backward_lines, data_means, forward_lines, update_lines
from converters.solver.log.events import Event, Listener
from converters.solver.net import SolverNet, refuse_learned_labels
from converters.solver.update.rules import UpdateRule, learnable
from converters.solver.update.seeds import iteration_seed
from prototxt.caffe_pb2 import SolverParameter


def alone(tensors: Sequence[Tensor]) -> None:
    """The mean over one process: gradients and losses stay as they are."""


@dataclass(frozen=True)
class Process:
    """The process that a solver runs in, and how it goes with others that train the same net.

    Every random choice is a pure function of (``seed``, iteration, ``rank``). ``average`` replaces gradients
    and losses by their mean over the processes. Without ``reads_every_loss`` losses are read, and values out
    of range noticed, only at a display and in :meth:`Stepper.settle`: no other iteration waits for a GPU.
    """

    seed: int = 0
    rank: int = 0
    average: Callable[[Sequence[Tensor]], None] = alone
    reads_every_loss: bool = True


class Stepper:
    """The net that learns, its histories and its losses. ``iter`` counts the updates made.

    What happens is told to every one of ``listeners`` (:mod:`converters.solver.log.events`). Raises
    InputError where a loss would be asked for a gradient that it has not.
    """

    def __init__(
        self, message: SolverParameter, net: SolverNet, listeners: Sequence[Listener], process: Process
    ) -> None:
        refuse_learned_labels(net)
        self.message, self.net, self.listeners, self.process = message, net, listeners, process
        self.iter = 0
        self.losses: deque[float] = deque(maxlen=message.average_loss)  # which a display averages
        self.update_rule = UpdateRule(message, learnable(net))
        self.update_rule.current_step = 0
        self.update_rule.keeps_updates = message.snapshot_diff or message.debug_info
        self._last_loss = torch.zeros(())
        self._unread: dict[int, Tensor] = {}  # losses by iteration

    @property
    def loss(self) -> float:
        """The total loss, weighted by loss_weight, of the last batch trained on."""
        return self._last_loss.item()

    def tell(self, event: Event) -> None:
        """Hand an event to everyone who listens."""
        for listener in self.listeners:
            listener(event)

    def is_due(self, interval: int) -> bool:
        """Whether an interval of the solver ends at this iteration; one of 0 never does."""
        return interval > 0 and self.iter % interval == 0

    def iterate(self) -> None:
        """One update, from the gradients of iter_size batches. Raises InputError from the data layers."""
        start = time.perf_counter()
        shows = self.is_due(self.message.display)
        debugs = shows and self.message.debug_info and self.process.rank == 0
        self.seed_generators(self.process.rank)
        values = self._gather(debugs)
        if shows or self.process.reads_every_loss:
            self.settle()
        if shows:
            outputs = partial(self.net.output_values, values)
            self.tell(events.Displayed(self.iter, self.smoothed_loss(), outputs))
        rate = self._take_rate(shows)
        self._update(rate, debugs)
        self.iter += 1
        self.tell(events.Stepped(self.iter - 1, rate, time.perf_counter() - start, shows))

    def seed_generators(self, rank: int = 0) -> None:
        """Have torch draw what is this iteration's: Dropout's masks, DummyData's values."""
        torch.manual_seed(iteration_seed(self.process.seed, self.iter, rank))

    def _gather(self, debugs: bool) -> Mapping[Value, Tensor]:
        """Take the gradients and the loss of an iteration: the values of its last batch."""
        for parameter in self.update_rule.parameters:
            parameter.blob.grad = None
        total = torch.zeros(())  # becomes a tensor of the loss's device
        values: Mapping[Value, Tensor] = {}
        for _ in range(self.message.iter_size):
            values = {}  # the blobs of the batch before: those of an iteration take the memory of one
            values = self._forward_backward(debugs)
            total = total + self._last_loss
        self.process.average([*self._gradients(), total])
        self._unread[self.iter] = total / self.message.iter_size
        return values

    def _forward_backward(self, debugs: bool) -> Mapping[Value, Tensor]:
        """The values of one batch, whose gradients are added to what is there."""
        self.net.watches = debugs
        values = self.net.next_values()
        loss = self.net.loss(values)
        self._last_loss = loss.detach()
        if loss.requires_grad:  # a net without a loss, or without a blob that learns, has no gradient
            loss.backward()  # type: ignore[no-untyped-call]
        if debugs:
            lines = backward_lines(self.net, self.net.seen, self.update_rule.parameters)
            self.tell(events.Debugged([*forward_lines(self.net, values), *lines]))
            self.net.forget()
        return values

    def _gradients(self) -> list[Tensor]:
        """Every learning blob's gradient; 0 where no loss reached it, so that all processes have the same."""
        gradients = []
        for blob in (parameter.blob for parameter in self.update_rule.parameters):
            if blob.requires_grad:
                blob.grad = torch.zeros_like(blob) if blob.grad is None else blob.grad
                gradients.append(blob.grad)
        return gradients

    def settle(self) -> None:
        """Read the losses since the last call; on a GPU this waits for it.

        Raises InputError, with the record, for a value that indexed out of range.
        """
        self.net.check()
        if not self._unread:
            return
        losses = dict(zip(self._unread, torch.stack(list(self._unread.values())).tolist(), strict=True))
        self._unread = {}
        self.losses.extend(losses.values())
        self.tell(events.LossesRead(losses))

    def smoothed_loss(self) -> float:
        """The mean of the last average_loss losses that were read, of which there must be one."""
        return sum(self.losses) / len(self.losses)

    def _take_rate(self, shows: bool) -> float:
        """This iteration's learning rate, of which a step may be taken (SGDSolver::GetLearningRate)."""
        step = self.update_rule.current_step
        rate = self.update_rule.rate(self.iter)
        if self.message.lr_policy == "multistep" and self.update_rule.current_step != step:
            self.tell(events.RateStepped(self.iter, self.update_rule.current_step or 0))
        if shows:
            self.tell(events.Rated(self.iter, rate))
        return rate

    def _update(self, rate: float, debugs: bool) -> None:
        before = data_means(self.update_rule.parameters) if debugs else {}
        self.update_rule.update(self.iter, rate)
        if debugs:
            self.tell(events.Debugged(update_lines(self.net, self.update_rule.parameters, before)))
