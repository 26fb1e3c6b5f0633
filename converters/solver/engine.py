"""A solver prototxt, run as Caffe runs it: what pycaffe's get_solver gives (solver.cpp)."""

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from converters.blobs import memory
from converters.network import Diffs
from converters.solver import log as caffe_log
from converters.solver.debug import backward_lines, data_means, forward_lines, update_lines
from converters.solver.log import Output
from converters.solver.names import find_weights, snapshot_paths
from converters.solver.net import SolverNet, share_trained_layers
from converters.solver.rules import Solver, learnable
from converters.solver.seeds import iteration_seed
from converters.solver.state import SavedState, read_state, write_state
from prototxt.caffe_pb2 import SolverParameter
from prototxt.errors import InputError, about

Log = Callable[[str], None]
Scores = dict[str, float | list[float]]  # by blob; a list where a blob holds several values


class CaffeSolver:
    """A solver with its nets. ``iter`` counts the updates made; ``loss`` is the last one's.

    Batches of files are numbered by the iteration, so a restored run reads what an uninterrupted one
    would (Caffe begins its files anew); MemoryData serves on from where it is.
    """

    def __init__(
        self, message: SolverParameter, net: SolverNet, test_nets: list[SolverNet], prefix: str, log: Log
    ) -> None:
        self.message, self.net, self.test_nets = message, net, test_nets
        self.prefix, self.log = prefix, log
        self.seed = max(message.random_seed, 0)
        self.iter, self.loss = 0, 0.0
        self.test_losses: list[float] = []
        self.solver = Solver(message, learnable(net))
        self.solver.current_step = 0
        self.solver.keeps_updates = message.snapshot_diff or message.debug_info
        self._outputs: list[Output] = []
        self._smoothed: deque[float] = deque(maxlen=message.average_loss)

    def load_weights(self, path: str | Path) -> None:
        """Start from the weights of a file, in every net; layers of other names stay as they are filled."""
        self.log(caffe_log.finetuning_line(path))
        for net in (self.net, *self.test_nets):
            net.load_weights(path)

    def step(self, iterations: int = 1) -> float:
        """Run iterations, with the tests, displays and snapshots that fall due (Solver::Step).

        Returns the total loss, weighted by loss_weight, of the last sub-iteration. Raises InputError from
        the data layers, and for a snapshot that cannot be written.
        """
        self._smoothed.clear()
        for _ in range(iterations):
            is_first = self.iter == 0 and not self.message.test_initialization
            if _due(self.iter, self.message.test_interval) and not is_first:
                self.test_all()
            self._iterate()
            if _due(self.iter, self.message.snapshot):
                self.snapshot()
        return self.loss

    def _iterate(self) -> None:
        """One update, from the gradients of iter_size batches."""
        shows = _due(self.iter, self.message.display)
        step = self.solver.current_step
        rate = self.solver.rate(self.iter)
        for parameter in self.solver.parameters:
            parameter.blob.grad = None
        torch.manual_seed(iteration_seed(self.seed, self.iter))
        losses = []
        for _ in range(self.message.iter_size):
            losses.append(self._forward_backward(shows, shows and self.message.debug_info))
        self.loss = losses[-1]
        self._smoothed.append(sum(losses) / len(losses))
        if shows:
            self.log(caffe_log.loss_line(self.iter, self._mean_loss()))
            self._say(caffe_log.output_lines(self._outputs, "Train"))
        if self.message.lr_policy == "multistep" and self.solver.current_step != step:
            self.log(caffe_log.multistep_line(self.iter, self.solver.current_step or 0))
        if shows:
            self.log(caffe_log.rate_line(self.iter, rate))
        self._update(rate, shows and self.message.debug_info)
        self.iter += 1

    def _forward_backward(self, shows: bool, debugs: bool) -> float:
        """The weighted loss of one batch, whose gradients are added to what is there."""
        self.net.watches = debugs
        values = self.net.next_values()
        self._outputs = self.net.output_values(values) if shows else []
        loss = self.net.loss(values)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        if debugs:
            self._say(forward_lines(self.net, values))
            self._say(backward_lines(self.net, self.net.seen, self.solver.parameters))
            self.net.forget()
        return self.net.number(loss)

    def _update(self, rate: float, debugs: bool) -> None:
        before = data_means(self.solver.parameters) if debugs else {}
        self.solver.update(self.iter, rate)
        if debugs:
            self._say(update_lines(self.net, self.solver.parameters, before))

    def _mean_loss(self) -> float:
        return sum(self._smoothed) / len(self._smoothed)

    def _say(self, lines: Sequence[str]) -> None:
        for line in lines:
            self.log(line)

    def solve(self, resume: str | Path | None = None) -> float:
        """Run to max_iter, from ``resume`` where it is given, with a last snapshot, display and test
        (Solver::Solve). Returns the last loss.
        """
        m = self.message
        self._say(caffe_log.solving_lines(self.net.graph.name, m.lr_policy))
        if resume is not None:
            self.restore(resume)
        self.step(m.max_iter - self.iter)
        if m.snapshot_after_train and not _due(self.iter, m.snapshot):
            self.snapshot()
        if _due(self.iter, m.display):
            self._show_last_loss()
        if _due(self.iter, m.test_interval):
            self.test_all()
        self.log(caffe_log.DONE)
        return self.loss

    @torch.no_grad()
    def _show_last_loss(self) -> None:
        """One more batch, forward alone, for the display after the last update."""
        torch.manual_seed(iteration_seed(self.seed, self.iter))
        self._smoothed.append(self.net.number(self.net.loss(self.net.next_values())))
        self.log(caffe_log.loss_line(self.iter, self._mean_loss()))

    def test_all(self) -> list[Scores]:
        """Test every test net over its test_iter batches: one dict a net, blob to mean (Solver::TestAll)."""
        self.test_losses = []
        return [self._test(index) for index in range(len(self.test_nets))]

    @torch.no_grad()
    def _test(self, index: int) -> Scores:
        """One test net's means, which are logged too (Solver::Test)."""
        self.log(caffe_log.testing_line(self.iter, index))
        net, count = self.test_nets[index], self.message.test_iter[index]
        with net.source.located():
            share_trained_layers(net, self.net)
        torch.manual_seed(iteration_seed(self.seed, self.iter))
        passes = [self._test_pass(net) for _ in range(count)]
        self.test_losses.append(sum(loss for _, loss in passes) / count if count else 0.0)
        if self.message.test_compute_loss:
            self.log(caffe_log.test_loss_line(self.test_losses[-1]))
        columns = zip(*(outputs for outputs, _ in passes), strict=True)
        means = [Output(c[0].blob, sum(x.value for x in c) / count, c[0].weight) for c in columns]
        self._say(caffe_log.output_lines(means, "Test"))
        return _by_blob(means)

    def _test_pass(self, net: SolverNet) -> tuple[list[Output], float]:
        values = net.next_values()
        return net.output_values(values), net.number(net.loss(values))

    def snapshot(self) -> tuple[Path, Path]:
        """Write the weights, then the solver's state, each whole or not at all: their paths.

        Raises InputError, in one line, where they cannot be written; what was there before still is.
        """
        model, state = snapshot_paths(self.message, self.prefix, self.iter)
        self._say(caffe_log.snapshot_lines(model, state))
        save = self.net.save_hdf5 if model.suffix == ".h5" else self.net.save_caffemodel
        history = self.solver.history_blobs()
        saved = SavedState(self.iter, str(model), self.solver.current_step or 0, history)
        try:
            save(model, self._diffs() if self.message.snapshot_diff else None)
            write_state(state, saved)
        except OSError as error:
            raise InputError(
                f"{error.filename or state}: cannot be written: {error.strerror or error}"
            ) from None
        return model, state

    def _diffs(self) -> Diffs:
        """What the last update took off each blob, which is what Caffe's diffs hold by then."""
        taken = {memory(p.blob): p.taken for p in self.solver.parameters}
        return {
            node: [_as_diff(taken[memory(x)], x) for x in self.net.blobs_of(node)]
            for node in self.net.graph.nodes
        }

    def restore(self, path: str | Path) -> None:
        """Go on from a .solverstate of Caffe's or ours, in either format, with the weights it names, which
        are sought where it says and beside it (Solver::Restore).

        Raises InputError, with the solver as it was, for a state that is not whole or is another net's or
        another solver's, and for weights that are missing.
        """
        path = Path(path)
        self.log(caffe_log.restoring_line(path))
        state = read_state(path)
        with about(path):
            self.solver.check_history(state.history)
            if state.learned_net:
                self.net.load_weights(find_weights(state.learned_net, path))
            self.solver.load_history(state.history)
        self.iter, self.solver.current_step = state.iteration, state.current_step
        self.net.go_to(self.iter * self.message.iter_size)
        for net, count in zip(self.test_nets, self.message.test_iter, strict=True):
            net.go_to(self._tests_before() * count)

    def _tests_before(self) -> int:
        """How many tests an uninterrupted run has made before this iteration's."""
        if not self.message.test_interval:
            return 0
        rounds = -(-self.iter // self.message.test_interval)
        return max(0, rounds - (0 if self.message.test_initialization else 1))


def _due(iteration: int, interval: int) -> bool:
    """Whether an interval ends at ``iteration``; one of 0 never does."""
    return interval > 0 and iteration % interval == 0


def _as_diff(taken: Tensor | None, blob: Tensor) -> Tensor:
    return torch.zeros_like(blob) if taken is None else taken.view_as(blob)


def _by_blob(outputs: Sequence[Output]) -> Scores:
    found: dict[str, list[float]] = {}
    for output in outputs:
        found.setdefault(output.blob, []).append(output.value)
    return {blob: values[0] if len(values) == 1 else values for blob, values in found.items()}
