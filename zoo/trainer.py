"""The nets, data and solver of a run, and the steps between its points."""

import ctypes
import json
import math
from collections import deque
from pathlib import Path

import torch
from torch import Tensor

from converters.network import Network
from converters.seeds import iteration_seed
from converters.solver import Solver, learnable, learning_rate
from converters.weights import read_safetensors, write_safetensors
from prototxt.errors import InputError
from zoo.dataset import ImageSet
from zoo.feed import Feed
from zoo.plan import Plan

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h


class Trainer:
    """Runs a plan's iterations. Its whole state is what :meth:`save` writes: weights, histories,
    ``iteration`` and the losses that the display averages; every random choice follows from
    (seed, iteration).
    """

    def __init__(self, plan: Plan, images: dict[str, ImageSet], device: torch.device) -> None:
        self.plan, self.device = plan, device
        self.nets = {phase: self._network(phase) for phase in plan.nets}
        self.feeds = {phase: Feed(images[phase], phase == "TRAIN", plan.seed, device) for phase in plan.nets}
        self.solver = Solver(plan.solver, learnable(self.nets["TRAIN"]))
        self.iteration = 0
        self.losses: deque[float] = deque(maxlen=max(1, plan.solver.average_loss))
        self._pending: list[Tensor] = []

    def _network(self, phase: str) -> Network:
        net = Network(self.plan.graph(phase), phase, seed=self.plan.seed)
        # Channels last halves a step's time on a CPU and feeds a GPU's tensor cores as they want it.
        return net.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    @property
    def net(self) -> Network:
        """The net that learns."""
        return self.nets["TRAIN"]

    @property
    def rate(self) -> float:
        """The learning rate of the coming iteration."""
        return learning_rate(self.plan.solver, self.iteration)

    @property
    def images_per_step(self) -> int:
        """Images that one iteration reads."""
        return self.feeds["TRAIN"].batch_size * self.plan.solver.iter_size

    def step(self) -> None:
        """One iteration: forward and backward over iter_size batches, then the update."""
        torch.manual_seed(iteration_seed(self.plan.seed, self.iteration))  # Dropout's masks
        size = self.plan.solver.iter_size
        total = torch.zeros((), device=self.device)
        for sub in range(size):
            loss = self.net.loss(self.net.values(self.feeds["TRAIN"].batch(self.iteration * size + sub)))
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        self.solver.update(self.iteration)
        self.iteration += 1
        self._pending.append(total / size)

    def settle(self) -> None:
        """Read the losses since the last call (on a GPU this waits for it).

        Raises InputError, naming the iteration, where one is not finite.
        """
        values = torch.stack(self._pending).tolist() if self._pending else []
        first = self.iteration - len(values)
        self._pending.clear()
        for offset, value in enumerate(values):
            if not math.isfinite(value):
                raise InputError(f"the loss is {value} at iteration {first + offset}; try a smaller base_lr")
            self.losses.append(value)

    def loss(self) -> float | None:
        """The mean of the last average_loss losses; None before the first."""
        return sum(self.losses) / len(self.losses) if self.losses else None

    @torch.no_grad()
    def test(self) -> dict[str, float]:
        """Every scalar output of the test net, averaged over test_iter batches.

        The batches go on where the test before stopped, as Caffe's test net does.
        """
        net, feed, count = self.nets["TEST"], self.feeds["TEST"], self.plan.solver.test_iter[0]
        self._share_with(net)
        start = self._tests_before() * count
        sums: dict[str, Tensor] = {}
        for index in range(start, start + count):
            values = net.values(feed.batch(index))
            for value in net.graph.outputs:
                if values[value].numel() == 1:
                    sums[value.blob] = sums.get(value.blob, torch.zeros(())) + values[value].cpu().reshape(())
        return {blob: (total / count).item() for blob, total in sums.items()}

    def _share_with(self, net: Network) -> None:
        """Give the test net the weights of the same name (Net::ShareTrainedLayersWith)."""
        learned = self.net.state_dict()
        for name, blob in net.state_dict().items():
            if name not in learned:
                continue
            if blob.shape != learned[name].shape:
                shapes = f"{tuple(blob.shape)} in the test net, {tuple(learned[name].shape)} in the train net"
                raise InputError(f'blob "{name}" is {shapes}')
            blob.copy_(learned[name])

    def _tests_before(self) -> int:
        """How many tests an uninterrupted run has made before this iteration's."""
        interval = self.plan.solver.test_interval
        return math.ceil(self.iteration / interval) - (0 if self.plan.solver.test_initialization else 1)

    def save(self, path: Path) -> None:
        """Write a snapshot, whole or not at all. Raises InputError for weights that are not finite."""
        self.settle()
        for name, blob in self.net.state_dict().items():
            if not torch.isfinite(blob).all():
                raise InputError(
                    f'blob "{name}" is not finite after iteration {self.iteration - 1}; try a smaller base_lr'
                )
        tensors = {f"net/{name}": blob for name, blob in self.net.state_dict().items()}
        for parameter in self.solver.parameters:
            for index, history in enumerate(parameter.history):
                tensors[f"history/{parameter.name}/{index}"] = history
        state = {"iteration": self.iteration, "losses": list(self.losses)}
        write_safetensors(path, tensors, {"zoo": json.dumps(state)})

    @torch.no_grad()
    def restore(self, path: Path) -> None:
        """Go on from a snapshot. Raises InputError for one that is not whole or is of another net."""
        tensors, metadata = read_safetensors(path)
        mine = {f"net/{name}": blob for name, blob in self.net.state_dict().items()}
        for parameter in self.solver.parameters:
            mine |= {f"history/{parameter.name}/{i}": blob for i, blob in enumerate(parameter.history)}
        if "zoo" not in metadata:
            raise InputError(f"{path}: is not a snapshot of a run")
        if {n: t.shape for n, t in mine.items()} != {n: t.shape for n, t in tensors.items()}:
            raise InputError(f"{path}: is a snapshot of another net or solver")
        for name, blob in mine.items():
            blob.copy_(tensors[name])
        state = json.loads(metadata["zoo"])
        self.iteration = state["iteration"]
        self.losses.extend(state["losses"])


def pick_device(name: str) -> torch.device:
    """``auto`` (a GPU where there is one), ``cpu`` or ``cuda``. Raises InputError where there is none."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: PyTorch finds no GPU here")
    use_gpu = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    if use_gpu:  # a resumed run must repeat an uninterrupted one to the bit
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
    return torch.device("cuda" if use_gpu else "cpu")


def keep_freed_memory() -> None:
    """Have glibc keep freed buffers for the next step, where the C library is glibc.

    By default it gives large ones back to the kernel, which zeroes their pages anew at every step: an
    eighth and more of a step's processor time on a CPU.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
