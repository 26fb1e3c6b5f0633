"""Reading the recordings of real Caffe under tests/golden."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from converters import Network

GOLDEN = Path(__file__).parent / "golden"


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def named(data: Mapping[str, np.ndarray], prefix: str) -> dict[str, Tensor]:
    """The arrays under ``prefix``/ as tensors, by the rest of their name."""
    return {
        name.removeprefix(prefix + "/"): torch.from_numpy(np.asarray(array))
        for name, array in data.items()
        if name.startswith(prefix + "/")
    }


def blob_of(net: Network, name: str) -> Tensor:
    """The net's blob that a recording calls layer/index; layers may have a slash in their names."""
    layer, _, index = name.rpartition("/")
    return net.params[layer][int(index)]


@torch.no_grad()
def set_blobs(net: Network, blobs: Mapping[str, Tensor]) -> None:
    """Give a net the blobs of a recording."""
    for name, blob in blobs.items():
        blob_of(net, name).copy_(blob)


def assert_ended(net: Network, data: Mapping[str, np.ndarray]) -> None:
    """A trained net's blobs are those with which Caffe ended the recorded run."""
    for name, theirs in named(data, "final").items():
        ours = blob_of(net, name).detach()
        # A bias before BatchNorm has a gradient of rounding alone, which ends somewhere about 1e-7.
        assert error(ours, theirs) <= 1e-4 or (ours - theirs).abs().max() <= 1e-6, name


def error(ours: Tensor, caffes: Tensor) -> float:
    """Largest difference as a share of the blob's scale, max(1e-3, largest absolute value)."""
    assert ours.shape == caffes.shape, (ours.shape, caffes.shape)
    if not caffes.numel():
        return 0.0
    scale = max(1e-3, caffes.abs().max().item())
    return (ours - caffes).abs().max().item() / scale
