"""The nets, data and solver of a run."""

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from converters import CaffeSolver
from converters.solver.feed import Batches
from converters.solver.file import gpu
from converters.solver.net import SolverNet
from converters.solver.update.step import Process
from prototxt.errors import InputError
from zoo.cli.choices import AUTO
from zoo.train.planning.plan import Plan
from zoo.train.ranks import Ranks

# Channels last halves a step's time on a CPU and feeds a GPU's tensor cores as they want it.
MEMORY_FORMAT = torch.channels_last
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h


class DivergedError(InputError):
    """The run's loss or weights are no longer numbers after so many iterations; the same settings would end
    so again.
    """

    def __init__(self, reason: str, iterations: int) -> None:
        super().__init__(f"{reason}; try a smaller base_lr")
        self.iterations = iterations


class Trainer:
    """A plan's solver, fed from ``feeds`` on ``device`` as one of ``ranks``; rank 0 alone has test nets.

    Its whole state is weights, histories, iteration and the losses that the display averages.
    """

    def __init__(self, plan: Plan, feeds: Mapping[str, Batches], device: torch.device, ranks: Ranks) -> None:
        self.plan, self.feeds, self.device, self.ranks = plan, feeds, device, ranks
        self.nets = {key: self._network(key) for key in (plan.nets if ranks.is_first else ("TRAIN",))}
        self.solver = CaffeSolver(
            plan.solver,
            self.net,
            [self.nets[key] for key in plan.tests if key in self.nets],
            Process(plan.seed, ranks.rank, ranks.average, reads_every_loss=device.type == "cpu"),
        )

    def _network(self, key: str) -> SolverNet:
        phase = self.plan.nets[key].phase
        net = SolverNet(self.plan.graphs[key], phase, self.feeds[key], self.plan.seed)
        return net.to(self.device).to(memory_format=MEMORY_FORMAT)  # type: ignore[call-overload, no-any-return]

    @property
    def net(self) -> SolverNet:
        """The net that learns."""
        return self.nets["TRAIN"]

    @property
    def iteration(self) -> int:
        """How many updates are made."""
        return self.solver.iter

    @property
    def images_per_step(self) -> int:
        """Images that one iteration reads, all ranks together."""
        return self.feeds["TRAIN"].batch_size * self.plan.solver.iter_size * self.ranks.world

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """In the block forward passes leave no trace: BatchNorm's sums are put back after it."""
        buffers = [(buffer, buffer.clone()) for buffer in self.net.buffers()]
        yield
        for buffer, before in buffers:
            buffer.copy_(before)


def pick_device(name: str, local_rank: int = 0) -> torch.device:
    """``auto`` (a GPU where there is one), ``cpu`` or ``cuda``. Raises InputError where there is none.

    Each rank of a machine takes a GPU of its own.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: PyTorch finds no GPU here")
    use_gpu = name == "cuda" or (name == AUTO and torch.cuda.is_available())
    if not use_gpu:
        return torch.device("cpu")
    device = gpu(local_rank, "the GPU of local rank")
    torch.backends.cudnn.deterministic = True  # a resumed run must repeat an uninterrupted one to the bit
    torch.backends.cudnn.benchmark = False
    torch.cuda.set_device(device)
    return device


def keep_freed_memory() -> None:
    """Have glibc keep freed buffers for the next step, where the C library is glibc.

    By default it gives large ones back to the kernel, which zeroes their pages anew at every step: an
    eighth and more of a step's processor time on a CPU.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
