"""Gaussian filtering of points with features on the permutohedral lattice (Adams, Baek and Davis 2010), as
crfasrnn's modified_permutohedral.cpp has it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

_BLOCK = 4  # points at a time in the fork's SSE code, which fills the last block up with points at 0


@dataclass(frozen=True)
class Lattice:
    """The vertices that points lie between: for each point d+1 of them (``corner``) with their ``weight``
    (P, d+1); for each of d+1 axes and each of M vertices its two neighbours (d+1, 2, M), where 0 is none and
    vertex i is i + 1.
    """

    corner: Tensor
    weight: Tensor
    neighbour: Tensor

    def filter(self, x: Tensor) -> Tensor:
        """Each channel blurred over the points that are near by their features: (P, C) to the same."""
        axes, count = self.neighbour.shape[0], self.neighbour.shape[2]
        weight = self.weight.to(x.dtype)
        values = x.new_zeros(count, x.shape[1])
        for at in range(axes):  # as many corners as axes, at most six
            values = values.index_add(0, self.corner[:, at], weight[:, at, None] * x)
        for before, after in self.neighbour:
            padded = F.pad(values, (0, 0, 1, 0))
            values = values + 0.5 * (padded[before] + padded[after])
        corners = (weight[:, at, None] * values[self.corner[:, at]] for at in range(axes))
        alpha = 1 / (1 + 2.0 ** -(axes - 1))
        return alpha * sum(corners, x.new_zeros(()))


@torch.no_grad()
def lattice(features: Tensor) -> Lattice:
    """The lattice of (N, P, d) features: P points of each of N images, which stay apart."""
    images, points, _ = features.shape
    features = F.pad(features.float(), (0, 0, 0, -points % _BLOCK))
    elevated = _elevated(features.flatten(0, 1))
    keys, weight = _simplex(elevated)
    image = torch.arange(images, device=keys.device).repeat_interleave(features.shape[1])
    codes, radix = _codes(keys, image)
    vertices, corner = torch.unique(codes, return_inverse=True)
    real = torch.arange(len(keys), device=keys.device) % features.shape[1] < points
    return Lattice(corner[real], weight[real], _neighbours(vertices, radix))


def _elevated(features: Tensor) -> Tensor:
    """The features on the plane of the lattice, by sums in the fork's order: (P, d) to (P, d+1)."""
    dims = features.shape[1]
    deviation = torch.tensor((2 / 3) ** 0.5 * (dims + 1), dtype=torch.float32)
    total = torch.zeros_like(features[:, 0])
    axes = []
    for at in range(dims, 0, -1):
        scale = (deviation.double() / ((at + 1) * at) ** 0.5).float().to(features.device)
        scaled = features[:, at - 1] * scale
        axes.append(total - at * scaled)
        total = total + scaled
    return torch.stack([total, *reversed(axes)], 1)


def _simplex(elevated: Tensor) -> tuple[Tensor, Tensor]:
    """Of each point the keys (P, d+1, d) of the corners around it, and their weights (P, d+1)."""
    axes = elevated.shape[1]
    rounded = (elevated * (1 / axes)).round()
    nearest, off_plane = rounded * axes, rounded.sum(1, keepdim=True)
    away = elevated - nearest
    less = away[:, :, None] < away[:, None, :]
    earlier = torch.ones(axes, axes, dtype=torch.bool, device=elevated.device).triu(1)
    rank = (less & earlier).sum(2) + (~less & earlier).sum(1) + off_plane
    wrap = axes * ((rank < 0).float() - (rank >= axes).float())
    rank, nearest = (rank + wrap).long(), nearest + wrap
    share = (elevated - nearest) * (1 / axes)
    weight = torch.zeros(len(rank), axes + 1, device=rank.device)
    weight = weight.scatter_add(1, axes - 1 - rank, share).scatter_add(1, axes - rank, -share)
    weight = torch.cat([weight[:, :1] + (1 + weight[:, -1:]), weight[:, 1:-1]], 1)
    corner = torch.arange(axes, device=rank.device)[:, None]
    step = corner - axes * (rank[:, None, :] > axes - 1 - corner).long()
    return (nearest.long()[:, None, :] + step)[:, :, :-1], weight


def _codes(keys: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    """Keys of (P, d+1, d) as one number each, (P, d+1), with room for neighbours; what each axis counts."""
    axes = keys.shape[1]
    least = keys.amin((0, 1)) - axes
    spans = keys.amax((0, 1)) + axes - least + 1
    radix = F.pad(spans.cumprod(0), (1, 0), value=1)
    codes = ((keys - least) * radix[:-1]).sum(2)
    return codes + image[:, None] * radix[-1], radix


def _neighbours(vertices: Tensor, radix: Tensor) -> Tensor:
    """The vertices one step before and after along each axis, one more than their places, or 0."""
    dims = len(radix) - 1
    steps = F.pad(torch.eye(dims, dtype=torch.long, device=radix.device) * (dims + 1), (0, 0, 0, 1)) - 1
    wanted = vertices + torch.stack([steps, -steps], 1) @ radix[:-1][:, None]
    place = torch.searchsorted(vertices, wanted).clamp(max=vertices.shape[0] - 1)
    return torch.where(vertices[place] == wanted, place + 1, 0)
