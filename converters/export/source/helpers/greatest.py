"""The greatest values and where they are, as Caffe's ArgMax picks them."""

import torch
from torch import Tensor


def greatest(x: Tensor, dim: int, k: int) -> tuple[Tensor, Tensor]:
    """The k greatest values along ``dim`` and their indices, as numbers of x's type; of
    equal ones the last comes first.
    """
    flipped = x.detach().flip(dim)
    if k == 1:
        places = flipped.argmax(dim, keepdim=True)
    else:
        places = flipped.argsort(dim=dim, descending=True, stable=True).narrow(
            dim, 0, k
        )
    return flipped.gather(dim, places), (x.shape[dim] - 1 - places).to(x.dtype)


def argmax_of_samples(x: Tensor, k: int, with_values: bool) -> Tensor:
    """The indices of the k greatest values of each sample, beside them the values: (N,
    1 or 2, k, ...).
    """
    values, indices = greatest(x.flatten(1), 1, k)
    top = torch.stack([indices, values], 1) if with_values else indices.unsqueeze(1)
    return top.reshape(*top.shape, *(1,) * (x.dim() - 3))
