"""The layer before a softmax that asks more of the label's class (L-Softmax)."""

import torch
from torch import Tensor, nn


class LargeMarginLinear(nn.Module):
    """Products with a vector a class; the label's is judged by ``times`` its angle."""

    def __init__(self, features: int, classes: int, times: int, share: float) -> None:
        """``share`` is how much the plain product counts beside the judged one."""
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(classes, features))
        self.times, self.share = times, share

    def forward(self, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """(N, features) and N labels to (N, classes), and the share."""
        target = label.long().reshape(-1)
        own, rows = self.weight[target], torch.arange(len(x), device=x.device)
        size = x.norm(dim=1) * own.norm(dim=1)
        product = (x * own).sum(1)
        angle = self.times * (product / (size + 1e-9)).clamp(-1, 1).acos()
        turns = (angle / torch.pi).floor()
        judged = size * ((1 - 2 * (turns % 2)) * angle.cos() - 2 * turns)
        y = nn.functional.linear(x, self.weight)
        y[rows, target] = (judged + self.share * product) / (1 + self.share)
        return y, x.new_full((1,), self.share)
