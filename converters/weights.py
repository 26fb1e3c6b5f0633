"""Weights in and out of a net as .safetensors, by readable names such as ``conv1.weight``."""

from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from converters.files import whole
from prototxt.errors import InputError


def load_safetensors(net: nn.Module, path: Path) -> tuple[list[str], list[str]]:
    """Copy the tensors of ``path`` into the blobs of the same name.

    Returns (names the net has and the file lacks, names the file has and the net lacks). Raises
    InputError for a file that is not whole, a shape that differs, or one with no name in common.
    """
    tensors, _ = read_safetensors(path)
    state = net.state_dict()
    common = state.keys() & tensors.keys()
    if state and not common:
        raise InputError(f"{path}: none of its {len(tensors)} tensors has a name of this net")
    for name in sorted(common):
        if state[name].shape != tensors[name].shape:
            shapes = f"{tuple(tensors[name].shape)}, in the net {tuple(state[name].shape)}"
            raise InputError(f'{path}: blob "{name}" has shape {shapes}')
    with torch.no_grad():
        for name in common:
            state[name].copy_(tensors[name])
    return sorted(state.keys() - common), sorted(tensors.keys() - common)


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, metadata) of a file. Raises InputError where it is missing or not whole."""
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{path}: not a readable .safetensors file ({str(error).splitlines()[0]})") from None


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write ``tensors`` (made contiguous, on the CPU) to ``path``, whole or not at all."""
    ready = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with whole(path) as beside:
        save_file(ready, beside, metadata=dict(metadata))
