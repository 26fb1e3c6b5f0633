"""Reading the recordings of real Caffe under tests/golden."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

GOLDEN = Path(__file__).parent / "golden"


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def named(data: dict[str, np.ndarray], prefix: str) -> dict[str, Tensor]:
    """The arrays under ``prefix``/ as tensors, by the rest of their name."""
    return {
        name.removeprefix(prefix + "/"): torch.from_numpy(np.asarray(array))
        for name, array in data.items()
        if name.startswith(prefix + "/")
    }


def error(ours: Tensor, caffes: Tensor) -> float:
    """Largest difference as a share of the blob's scale, max(1e-3, largest absolute value)."""
    assert ours.shape == caffes.shape, (ours.shape, caffes.shape)
    if not caffes.numel():
        return 0.0
    scale = max(1e-3, caffes.abs().max().item())
    return (ours - caffes).abs().max().item() / scale
