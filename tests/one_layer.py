"""Nets of one layer, and central differences, for tests that hold a rule against a loop."""

import numpy as np
import torch
from torch import Tensor

from converters import Network, load_net


def one_layer(layer: str, phase: str = "TEST", head: str = "", **inputs: tuple[int, ...]) -> Network:
    """A net of the layer ``layer`` (its text without name) fed by inputs of the shapes given."""
    texts = [head]
    for name, shape in inputs.items():
        dims = " ".join(f"dim: {n}" for n in shape)
        texts.append(
            f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ {dims} }} }} }}'
        )
    bottoms = " ".join(f'bottom: "{name}"' for name in inputs)
    texts.append(f'layer {{ name: "it" {bottoms if "bottom:" not in layer else ""} {layer} }}')
    return load_net("\n".join(texts), phase=phase)


def run(net: Network, **arrays: np.ndarray | Tensor) -> dict[str, Tensor]:
    """Every blob; float inputs ask for a gradient."""
    tensors = {}
    for name, array in arrays.items():
        tensor = torch.as_tensor(np.asarray(array), dtype=torch.float32)
        tensors[name] = tensor.requires_grad_()
    return {**net.all_blobs(**tensors), **{f"in/{name}": x for name, x in tensors.items()}}


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape).astype(np.float32)


def close(ours: Tensor, theirs: np.ndarray, tolerance: float = 3e-6) -> None:
    """Equal shapes, and values within ``tolerance`` of the largest."""
    values = ours.detach().numpy()
    assert values.shape == theirs.shape, (values.shape, theirs.shape)
    scale = max(1e-3, float(np.abs(theirs).max(initial=0)))
    assert float(np.abs(values - theirs).max(initial=0)) <= tolerance * scale
