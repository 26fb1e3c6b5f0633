"""The nets, data and solver of a run, and the steps between its points."""

import ctypes
import math
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from converters.graph import Value
from converters.layers.parts.indexing import Check, OutOfRangeError, deferring, raise_first
from converters.load import build
from converters.network import Network, loss_weights
from converters.solver.net import share_trained_layers
from converters.solver.records import with_record
from converters.solver.rules import Solver, learnable
from converters.solver.seeds import iteration_seed
from prototxt.errors import InputError
from zoo.train.feed import Batches
from zoo.train.plan import Plan
from zoo.train.ranks import Ranks

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h


class DivergedError(InputError):
    """The run's loss or weights are no longer numbers; the same settings would end so again."""


class Trainer:
    """Runs a plan's iterations. Its whole state is weights, histories, ``iteration`` and the losses that
    the display averages; every random choice follows from (seed, iteration, rank).

    ``outputs`` are the train net's as the last forward pass left them.
    """

    def __init__(self, plan: Plan, feeds: Mapping[str, Batches], device: torch.device, ranks: Ranks) -> None:
        self.plan, self.feeds, self.device, self.ranks = plan, feeds, device, ranks
        self.nets = {key: self._network(key) for key in (plan.nets if ranks.is_first else ("TRAIN",))}
        self.solver = Solver(plan.solver, learnable(self.nets["TRAIN"]))
        self.solver.current_step = 0
        self.iteration = 0
        self.losses: deque[float] = deque(maxlen=max(1, plan.solver.average_loss))
        self.outputs: dict[str, Tensor] = {}
        self._pending: list[Tensor] = []
        self._checks: list[tuple[str, int, Check]] = []  # net, batch and what is to be read of it

    def _network(self, key: str) -> Network:
        source, graph = self.plan.nets[key], self.plan.graph(key)
        net = build(graph, source.phase, self.feeds[key].shapes, seed=self.plan.seed)
        # Channels last halves a step's time on a CPU and feeds a GPU's tensor cores as they want it.
        return net.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    @property
    def net(self) -> Network:
        """The net that learns."""
        return self.nets["TRAIN"]

    @property
    def rate(self) -> float:
        """The learning rate of the coming iteration."""
        return self.solver.coming_rate(self.iteration)

    @property
    def images_per_step(self) -> int:
        """Images that one iteration reads, all ranks together."""
        return self.feeds["TRAIN"].batch_size * self.plan.solver.iter_size * self.ranks.world

    def step(self) -> None:
        """One iteration: forward and backward over iter_size batches, the ranks' mean, then the update."""
        torch.manual_seed(iteration_seed(self.plan.seed, self.iteration, self.ranks.rank))  # Dropout's masks
        size = self.plan.solver.iter_size
        total = torch.zeros((), device=self.device)
        for sub in range(size):
            values = self._values("TRAIN", self.iteration * size + sub)
            loss = self.net.loss(values)
            if loss.requires_grad:  # a net without a loss, or without a blob that learns, has no gradient
                loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        self.outputs = {value.blob: values[value].detach() for value in self.net.graph.outputs}
        self.ranks.average([*self._gradients(), total])
        self.solver.update(self.iteration)
        self.iteration += 1
        self._pending.append(total / size)

    @torch.no_grad()
    def last_loss(self) -> float:
        """The shown loss with one more forward pass after the last update in it (Solver::Solve)."""
        torch.manual_seed(iteration_seed(self.plan.seed, self.iteration, self.ranks.rank))
        values = self._values("TRAIN", self.iteration * self.plan.solver.iter_size)
        self._read_checks()
        losses = [*self.losses, self.net.loss(values).item()]
        shown = losses[-self.plan.solver.average_loss :]
        return sum(shown) / len(shown)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """In the block forward passes leave no trace: BatchNorm's sums are put back after it."""
        kept = [(buffer, buffer.clone()) for buffer in self.net.buffers()]
        yield
        for buffer, before in kept:
            buffer.copy_(before)

    def _values(self, key: str, index: int) -> dict[Value, Tensor]:
        """A net's values over the ``index``-th batch of its data."""
        with self._naming(key, index), deferring() as checks:
            values = self.nets[key].values(self.feeds[key].batch(index))
        self._checks += [(key, index, check) for check in checks]
        return values

    @contextmanager
    def _naming(self, key: str, index: int) -> Iterator[None]:
        """Give a value that indexes out of range its layer's line and its record."""
        source = self.plan.nets[key]
        try:
            yield
        except OutOfRangeError as error:
            with source.located():
                record = partial(self.feeds[key].record, index)
                raise with_record(error, self.nets[key].graph, record) from None

    def _read_checks(self) -> None:
        """Raise InputError for the first value that has indexed out of range since the last call."""
        checks, self._checks = self._checks, []
        try:
            raise_first([check for _, _, check in checks])
        except OutOfRangeError as error:
            key, index, _ = next(entry for entry in checks if entry[2] is error.check)
            with self._naming(key, index):
                raise

    def _gradients(self) -> list[Tensor]:
        """Every learning blob's gradient; 0 where no loss reached it, so that the ranks' sums match."""
        found = []
        for blob in (parameter.blob for parameter in self.solver.parameters):
            if blob.requires_grad:
                blob.grad = torch.zeros_like(blob) if blob.grad is None else blob.grad
                found.append(blob.grad)
        return found

    def settle(self) -> None:
        """Read the losses since the last call (on a GPU this waits for it).

        Raises DivergedError, naming the iteration, where one is not finite, and InputError for a value
        that indexed out of range.
        """
        self._read_checks()
        values = torch.stack(self._pending).tolist() if self._pending else []
        first = self.iteration - len(values)
        self._pending.clear()
        for offset, value in enumerate(values):
            if not math.isfinite(value):
                where = f"at iteration {first + offset}"
                raise DivergedError(f"the loss is {value} {where}; try a smaller base_lr")
            self.losses.append(value)

    def loss(self) -> float | None:
        """The mean of the last average_loss losses; None before the first."""
        return sum(self.losses) / len(self.losses) if self.losses else None

    @torch.no_grad()
    def test(self, key: str = "TEST") -> dict[str, Tensor]:
        """Every output of a test net, averaged over its test_iter batches; with test_compute_loss the
        loss too, as ``total_loss``.

        The batches go on where the test before stopped, as Caffe's test net does.
        """
        net, source = self.nets[key], self.plan.nets[key]
        count = self.plan.solver.test_iter[self.plan.tests.index(key)]
        with source.located():
            share_trained_layers(net, self.net)
        torch.manual_seed(iteration_seed(self.plan.seed, self.iteration))
        start = self._tests_before() * count
        sums: dict[str, Tensor] = {}
        for index in range(start, start + count):
            for blob, tensor in self._scores(net, self._values(key, index)).items():
                sums[blob] = sums.get(blob, torch.zeros(())) + tensor.reshape(-1).cpu()
        self._read_checks()
        return {blob: total / count for blob, total in sums.items()}

    def _scores(self, net: Network, values: Mapping[Value, Tensor]) -> dict[str, Tensor]:
        scores = {value.blob: values[value] for value in net.graph.outputs}
        return scores | ({"total_loss": net.loss(values)} if self.plan.solver.test_compute_loss else {})

    def named(self, key: str, outputs: Mapping[str, Tensor]) -> list[tuple[str, list[float], float]]:
        """Outputs of a net as Caffe logs them: name, values, loss weight."""
        weights = {
            value.blob: weight
            for node in self.nets[key].graph.nodes
            for value, weight in zip(node.outputs, loss_weights(node), strict=False)
        }
        return [(blob, held.reshape(-1).tolist(), weights.get(blob, 0.0)) for blob, held in outputs.items()]

    def _tests_before(self) -> int:
        """How many tests an uninterrupted run has made before this iteration's."""
        interval = self.plan.solver.test_interval
        return math.ceil(self.iteration / interval) - (0 if self.plan.solver.test_initialization else 1)


def pick_device(name: str, local_rank: int = 0) -> torch.device:
    """``auto`` (a GPU where there is one), ``cpu`` or ``cuda``. Raises InputError where there is none.

    Each rank of a machine takes a GPU of its own.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: PyTorch finds no GPU here")
    use_gpu = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    if not use_gpu:
        return torch.device("cpu")
    if local_rank >= torch.cuda.device_count():
        raise InputError(f"{torch.cuda.device_count()} GPUs here, and none for rank {local_rank}")
    torch.backends.cudnn.deterministic = True  # a resumed run must repeat an uninterrupted one to the bit
    torch.backends.cudnn.benchmark = False
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def keep_freed_memory() -> None:
    """Have glibc keep freed buffers for the next step, where the C library is glibc.

    By default it gives large ones back to the kernel, which zeroes their pages anew at every step: an
    eighth and more of a step's processor time on a CPU.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
