"""BatchNorm that Caffe trains otherwise than torch's."""

from torch import nn


class FixedBatchNorm1d(nn.BatchNorm1d):
    """BatchNorm by its stored statistics in training, too (use_global_stats)."""

    def train(self, mode: bool = True) -> "FixedBatchNorm1d":
        """Stay as in evaluation."""
        super().train(False)
        return self


class FixedBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm by its stored statistics in training, too (use_global_stats)."""

    def train(self, mode: bool = True) -> "FixedBatchNorm2d":
        """Stay as in evaluation."""
        super().train(False)
        return self


class FixedBatchNorm3d(nn.BatchNorm3d):
    """BatchNorm by its stored statistics in training, too (use_global_stats)."""

    def train(self, mode: bool = True) -> "FixedBatchNorm3d":
        """Stay as in evaluation."""
        super().train(False)
        return self
