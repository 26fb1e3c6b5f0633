"""A scale and a shift of each channel."""

import torch
from torch import Tensor, nn


class Scale(nn.Module):
    """x times a learned weight plus a learned bias, both of a shape that spreads over
    x.
    """

    def __init__(self, *shape: int) -> None:
        """``shape``: the weight's and the bias's."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return x * self.weight + self.bias
