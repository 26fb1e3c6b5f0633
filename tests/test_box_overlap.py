"""Kinds of overlap, and darknet's slopes of them, against torch's derivatives."""

import math

import pytest
import torch

from converters.layers.parts.boxes import box_overlap


def boxes(seed: int, spread: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(50, 4, generator=generator, dtype=torch.float64) * spread + 0.3


def gradient(value: torch.Tensor, leaf: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(value.sum(), leaf, retain_graph=True)[0]


def parts(pred: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Intersection, negative on an axis where they do not meet, union, and the area and squared diagonal around."""
    low = [box[:, :2] - box[:, 2:] / 2 for box in (pred, truth)]
    high = [box[:, :2] + box[:, 2:] / 2 for box in (pred, truth)]
    shared = (torch.minimum(*high) - torch.maximum(*low)).prod(1)
    around = torch.maximum(*high) - torch.minimum(*low)
    union = pred[:, 2:].prod(1) + truth[:, 2:].prod(1) - shared
    return shared, union, around.prod(1), around.square().sum(1)


def alike(pred: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    angles = [(box[:, 2] / box[:, 3]).atan() for box in (truth, pred)]
    return 4 / math.pi**2 * (angles[0] - angles[1]) ** 2


@pytest.mark.parametrize("kind", ["IOU", "GIOU", "DIOU", "CIOU"])
def test_slopes_of_the_overlap_are_derivatives_but_for_darknets_slips(kind: str) -> None:
    pred, truth = boxes(0, 0.6).requires_grad_(), boxes(1, 0.6)
    pred.data[:, 2:] /= 3
    shared, union, area, diagonal = parts(pred, truth)
    doubled = torch.tensor([1, 1, 2, 2])
    base = gradient(shared / union, pred) * doubled
    away = (pred - truth)[:, :2].square().sum(1)
    far, grown = (gradient(-x, pred) for x in (away / diagonal.detach(), away.detach() / diagonal))
    more = torch.cat([far[:, :2] - grown[:, :2], grown[:, 2:]], 1)
    if kind == "GIOU":
        more = gradient(union / area, pred) * doubled
    if kind == "CIOU":
        different = alike(pred, truth)
        weight = different / (1 - shared / union + different + 1e-6)
        turned = gradient(-different, pred) * pred[:, 2:].square().sum(1, keepdim=True)
        more = more + (weight[:, None] * turned).detach()
    low, high = (pred[:, :2] - truth[:, :2]).abs(), (pred[:, 2:] + truth[:, 2:]) / 2
    meets = (low < high).all(1, keepdim=True)
    assert 0 < meets.sum() < len(meets)
    expected = base if kind == "IOU" else torch.where(meets, base, 0) + more
    torch.testing.assert_close(box_overlap.overlap_slopes(pred.detach(), truth, kind), expected.detach())


def test_overlaps_of_all_kinds() -> None:
    pred, truth = boxes(0, 0.3), boxes(1, 0.3)
    shared, union, area, diagonal = parts(pred, truth)
    apart, ratio = (pred - truth)[:, :2].square().sum(1) / diagonal, shared / union
    different = alike(pred, truth)
    wanted = {
        "IOU": ratio,
        "MSE": ratio,
        "GIOU": ratio - (area - union) / area,
        "DIOU": ratio - apart**0.6,
        "CIOU": ratio - apart - different**2 / (1 - ratio + different + 1e-6),
    }
    for kind, how in box_overlap.KINDS.items():
        torch.testing.assert_close(how(pred, truth), wanted[kind])
