"""What a layer does from one forward pass to the next: count them, and bring its weights to length 1."""

import torch
from torch import Tensor

from converters.layers.base import Layer


def has_a_next(x: Tensor) -> bool:
    """Whether another pass may follow this one: not where shapes alone are asked for or a net is exported."""
    return not x.is_meta and not torch.compiler.is_exporting()


class Counted(Layer):
    """Base of layers whose numbers change from pass to pass. As in Caffe the count is in no snapshot: it
    begins at ``first``, the prototxt's ``iteration``, whenever a net is built.
    """

    first = 0
    passes: Tensor | None = None

    def reset(self) -> None:
        """Begin to count anew."""
        self.passes = None

    def count(self, x: Tensor) -> Tensor:
        """How many passes there were before this one, in float32 beside ``x``; this one counts, too."""
        before = self.passes
        if before is None:
            before = torch.tensor(float(self.first), dtype=torch.float32, device=x.device)
        if has_a_next(x):
            self.passes = before + 1
        return before


def unit_rows(weight: Tensor, eps: float) -> Tensor:
    """``weight`` (N, K) with each row divided by the root of its sum of squares plus ``eps``, which stays in
    it for the passes that follow; its gradient is as if it had been so all along.
    """
    with torch.no_grad():
        rows = weight * (weight.square().sum(1, keepdim=True) + eps).rsqrt()
        if has_a_next(weight):
            weight.copy_(rows)
            return weight
    return weight + (rows - weight).detach()
