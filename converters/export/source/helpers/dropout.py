"""Dropout as Fast R-CNN's Caffe has it."""

from torch import Tensor, nn


class UnscaledDropout(nn.Module):
    """Dropout whose numbers are not scaled in training, but all of them times 1 - p
    elsewhere.
    """

    def __init__(self, p: float) -> None:
        """``p``: the share that is dropped."""
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return nn.functional.dropout(x, self.p, self.training) * (1 - self.p)
