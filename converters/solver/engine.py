"""A solver prototxt, run as Caffe runs it: what pycaffe's get_solver gives (solver.cpp)."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from converters.blobs import memory
from converters.network import Diffs
from converters.solver.log import events
from converters.solver.log.events import Listener, Output, Scores, scores
from converters.solver.names import find_weights, snapshot_paths
from converters.solver.net import SolverNet, share_trained_layers
from converters.solver.state import SavedState, read_state, write_state
from converters.solver.update.step import Process, Stepper
from prototxt.caffe_pb2 import SolverParameter
from prototxt.errors import InputError, about

Request = Callable[[], tuple[bool, bool]]
Save = Callable[[], object]


def nothing_asked() -> tuple[bool, bool]:
    """Neither to stop nor to take a snapshot."""
    return False, False


class CaffeSolver(Stepper):
    """A solver with its nets; a process without ``test_nets`` does not test.

    ``prefix`` is what its snapshots' names begin with. Batches of files are numbered by the iteration, so a
    restored run reads what an uninterrupted one would (Caffe begins its files anew); MemoryData serves on
    from where it is.
    """

    def __init__(
        self,
        message: SolverParameter,
        net: SolverNet,
        test_nets: Sequence[SolverNet],
        process: Process,
        prefix: str = "",
        listeners: Sequence[Listener] = (),
    ) -> None:
        super().__init__(message, net, listeners, process)
        self.test_nets, self.prefix = list(test_nets), prefix
        self.test_losses: list[float] = []

    def load_weights(self, path: str | Path) -> None:
        """Start from the weights of a file, in every net; layers of other names stay as they are filled."""
        self.tell(events.Finetuning(path))
        for net in (self.net, *self.test_nets):
            net.load_weights(path)

    def step(self, iterations: int = 1) -> float:
        """Run iterations, with the tests, displays and snapshots that fall due; ``loss`` after them.

        The smoothed loss begins anew (Solver::Step). Raises InputError from the data layers, and for a
        snapshot that cannot be written.
        """
        self.losses.clear()
        self.run_to(self.iter + iterations)
        return self.loss

    def run_to(self, last: int, request: Request = nothing_asked, save: Save | None = None) -> bool:
        """Iterate until ``last`` updates are made; False where it was stopped before (Solver::Step).

        ``request`` says after each iteration whether to stop, and whether to take a snapshot that is not
        due (Solver::GetRequestedAction); ``save`` takes the snapshots, by default :meth:`snapshot`.
        """
        while self.iter < last:
            if self.is_due(self.message.test_interval) and (self.iter or self.message.test_initialization):
                self.test_all()
            self.iterate()
            stops, snapshots = request()
            if snapshots or self.is_due(self.message.snapshot):
                (save or self.snapshot)()
            if stops:
                break
        return self.iter >= last

    def solve(self, resume: str | Path | None = None) -> float:
        """Run to max_iter, from ``resume`` where it is given, with a last snapshot, display and test
        (Solver::Solve). Returns the last loss.
        """
        self.tell(events.Begun(self.net.graph.name))
        if resume is not None:
            self.restore(resume)
        self.step(self.message.max_iter - self.iter)
        if self.message.snapshot_after_train and not self.is_due(self.message.snapshot):
            self.snapshot()
        self.show_last()
        self.tell(events.Ended(is_whole=True))
        return self.loss

    def show_last(self) -> None:
        """What Caffe's log ends with (Solver::Solve): the loss of one more forward pass where ``display`` is
        due, and a test where that is. As in Caffe the pass adds to BatchNorm's sums.
        """
        if self.is_due(self.message.display):
            self.losses.append(self._loss_ahead())
            self.tell(events.LastLoss(self.iter, self.smoothed_loss()))
        if self.is_due(self.message.test_interval):
            self.test_all()

    @torch.no_grad()
    def _loss_ahead(self) -> float:
        self.seed_generators(self.process.rank)
        loss = self.net.loss(self.net.next_values()).item()
        self.net.check()
        return loss

    def test_all(self) -> list[Scores]:
        """Test every test net over its test_iter batches: one dict a net, blob to mean (Solver::TestAll)."""
        self.test_losses, results = [], []
        for index in range(len(self.test_nets)):
            self.tell(events.Testing(self.iter, index))
            outputs, loss = self.test(index)
            self.tell(events.Tested(self.iter, index, outputs, loss))
            self.test_losses.append(loss)
            results.append(scores(outputs))
        return results

    @torch.no_grad()
    def test(self, index: int) -> tuple[list[Output], float]:
        """One test net's means over its next test_iter batches: (outputs, loss), told to nobody
        (Solver::Test).
        """
        net = self.test_nets[index]
        with net.graph.located():
            share_trained_layers(net, self.net)
        self.seed_generators()
        return net.means(self.message.test_iter[index])

    def snapshot(self) -> tuple[Path, Path]:
        """Write the weights, then the solver's state, each whole or not at all: their paths.

        Raises InputError, in one line, where they cannot be written; what was there before still is.
        """
        model, state = snapshot_paths(self.message, self.prefix, self.iter)
        self.tell(events.Snapshotting(model, state))
        save = self.net.save_hdf5 if model.suffix == ".h5" else self.net.save_caffemodel
        history = self.update_rule.history_blobs()
        saved = SavedState(self.iter, str(model), self.update_rule.current_step or 0, history)
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
        taken = {memory(p.blob): p.taken for p in self.update_rule.parameters}
        return {
            node: [_as_diff(taken[memory(x)], x) for x in self.net.blobs_of(node)]
            for node in self.net.graph.nodes
        }

    def restore(self, path: str | Path) -> Path | None:
        """Go on from a .solverstate of Caffe's or ours, in either format, with the weights it names, which
        are sought where it says and beside it (Solver::Restore). Returns the path of the weights.

        Raises InputError, with the solver as it was, for a state that is not whole or is another net's or
        another solver's, and for weights that are missing.
        """
        path, weights = Path(path), None
        self.tell(events.Restoring(path))
        state = read_state(path)
        with about(path):
            self.update_rule.check_history(state.history)
            if state.learned_net:
                weights = find_weights(state.learned_net, path)
                self.net.load_weights(weights)
            self.update_rule.load_history(state.history)
        self.go_to(state.iteration, state.current_step)
        return weights

    def go_to(self, iteration: int, current_step: int | None) -> None:
        """Stand where ``iteration`` updates are made, and have every net serve the batches due from there."""
        self.iter, self.update_rule.current_step = iteration, current_step
        self.net.go_to(iteration * self.message.iter_size)
        for net, count in zip(self.test_nets, self.message.test_iter, strict=False):
            net.go_to(self._tests_before() * count)

    def _tests_before(self) -> int:
        """How many tests an uninterrupted run has made before this iteration's."""
        if not self.message.test_interval:
            return 0
        rounds = -(-self.iter // self.message.test_interval)
        return max(0, rounds - (0 if self.message.test_initialization else 1))


def _as_diff(taken: Tensor | None, blob: Tensor) -> Tensor:
    return torch.zeros_like(blob) if taken is None else taken.view_as(blob)
