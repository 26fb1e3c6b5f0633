"""A table of rows with a bias."""

import torch
from torch import Tensor, nn


class BiasedEmbedding(nn.Embedding):
    """Rows of a table, each plus one bias."""

    def __init__(self, rows: int, width: int) -> None:
        """``rows`` of ``width`` numbers."""
        super().__init__(rows, width)
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Whole numbers (...) to (..., width)."""
        return super().forward(x) + self.bias
