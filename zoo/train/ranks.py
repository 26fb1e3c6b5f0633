"""The processes that train one net together: torchrun starts them, torch.distributed carries the sums."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from prototxt.errors import InputError

# A rank whose process dies is noticed at once; this is for a machine that vanishes without a word. It has to
# outlast rank 0's tests and its last export, for which the others wait.
_PATIENCE = timedelta(minutes=30)


@dataclass(frozen=True)
class Ranks:
    """This process's place among ``world`` ranks, ``local`` being its number on its machine."""

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this rank tests, logs and snapshots."""
        return self.rank == 0

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace every tensor by its mean over the ranks, all in one sum."""
        if self.world == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with self._together():
            dist.all_reduce(flat)
        flat /= self.world
        _unpack(flat, tensors)

    def any_of(self, flags: Sequence[bool]) -> list[bool]:
        """Each flag, true where any rank's is."""
        if self.world == 1:
            return list(flags)
        raised = torch.tensor(flags, dtype=torch.int32)
        with self._together():
            dist.all_reduce(raised, dist.ReduceOp.MAX)
        return [bool(flag) for flag in raised.tolist()]

    def share(self, value: Any) -> Any:
        """Rank 0's ``value`` on every rank."""
        values = [value]
        if self.world > 1:
            with self._together():
                dist.broadcast_object_list(values, 0, device=torch.device("cpu"))
        return values[0]

    def spread(self, tensors: Sequence[Tensor]) -> None:
        """Copy rank 0's values into every rank's tensors."""
        if self.world == 1:
            return
        for tensor in tensors:
            flat = tensor.detach().cpu().reshape(-1)
            with self._together():
                dist.broadcast(flat, 0)
            _unpack(flat, [tensor.detach()])

    @contextmanager
    def one_first(self) -> Iterator[None]:
        """In the block the first rank of each machine goes ahead, so that the others find its files."""
        if self.local:
            self.wait()
        yield
        if not self.local:
            self.wait()

    def wait(self) -> None:
        """Return once every rank has come here."""
        self.any_of([False])

    @contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            reason = re.sub(r"^\[[^]]*\] ", "", str(error).strip().splitlines()[0])  # not gloo's source line
            raise InputError(
                f"rank {self.rank}: another rank has ended ({reason}); --resume goes on"
            ) from None


def _unpack(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    pieces = torch.split(flat, [tensor.numel() for tensor in tensors])
    for tensor, piece in zip(tensors, pieces, strict=True):
        tensor.copy_(piece.view(tensor.shape))


def under_torchrun() -> Ranks:
    """What torchrun's environment says; one rank where it started nothing."""
    if not all(name in os.environ for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR")):
        return Ranks()
    return Ranks(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))


@contextmanager
def process_group(ranks: Ranks, device: torch.device) -> Iterator[None]:
    """Connect the ranks for the block; what ends well waits for all, so that none is cut short."""
    if ranks.world == 1:
        yield
        return
    # Tensors on a GPU go by NCCL; flags, which every iteration needs at once, by gloo on the CPU.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"rank {ranks.rank}: cannot reach the others ({error})") from None
    yield
    ranks.wait()
    dist.destroy_process_group()
