"""Eltwise whose top is its first bottom, as Caffe's CPU code computes it (eltwise_layer.cpp).

The two are one blob there. SUM and MAX begin by filling it, with 0 and -FLT_MAX, and only then read the
first bottom; and the backward pass writes the first bottom's gradient, which is the top's, before the other
bottoms' gradients are made of it.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from converters.layers.parts.gradient import asks_gradient

_PROD, _MAX = "PROD", "MAX"  # as in EltwiseSpec


def eltwise_notice(operation: str) -> str:
    """What to tell of such a layer."""
    lost = "gradients" if operation == _PROD else "values and gradients"
    return (
        f"Eltwise writes over its first bottom; its {lost} are those of Caffe, which "
        f"{'reads what it has overwritten' if operation == _PROD else 'clears that bottom first'}: "
        "give the top another name"
    )


def eltwise_in_place(
    bottoms: Sequence[Tensor], operation: str, coefficients: Sequence[float], is_stable: bool
) -> Tensor:
    """Bottoms of one shape to that shape."""
    if not asks_gradient(*bottoms):
        return _forward(bottoms, operation, coefficients)[0]
    top: Tensor = _InPlace.apply(operation, coefficients, is_stable, *bottoms)  # type: ignore[no-untyped-call]
    return top


def _forward(
    bottoms: Sequence[Tensor], operation: str, coefficients: Sequence[float]
) -> tuple[Tensor, Tensor | None]:
    """(top, which bottom each element of MAX is)."""
    if operation == _PROD:
        return reduce(torch.mul, bottoms), None
    first, *others = bottoms
    if operation == _MAX:
        lowest = torch.full_like(first, torch.finfo(first.dtype).min)
        top, chosen = torch.where(lowest > others[0], lowest, others[0]), torch.ones_like(first)
        for place, x in enumerate(others[1:], 2):
            chosen = torch.where(x > top, float(place), chosen)
            top = torch.where(x > top, x, top)
        return top, torch.where(lowest > others[0], 0.0, chosen)
    return reduce(torch.add, (x * c for x, c in zip(others, coefficients[1:], strict=True))), None


class _InPlace(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, operation: str, coefficients: Sequence[float], is_stable: bool, *bottoms: Tensor
    ) -> Tensor:
        top, chosen = _forward(bottoms, operation, coefficients)
        ctx.operation, ctx.coefficients, ctx.is_stable = operation, coefficients, is_stable
        ctx.save_for_backward(chosen, top, *bottoms[1:])  # the first bottom holds the top by then
        return top

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        chosen, *blobs = ctx.saved_tensors
        shared = grads[0]
        gradients: list[Tensor | None] = []
        for place, asked in enumerate(ctx.needs_input_grad[3:]):
            if not asked:
                gradients.append(None)
                continue
            gradient = _gradient(ctx, place, shared, chosen, blobs)
            if place == 0:
                shared = gradient
            gradients.append(gradient)
        return None, None, None, *gradients


def _gradient(ctx: Any, place: int, shared: Tensor, chosen: Tensor, blobs: Sequence[Tensor]) -> Tensor:
    """One bottom's gradient from the blob that the top's and the first bottom's share."""
    if ctx.operation == _MAX:
        return torch.where(chosen == place, shared, 0.0)
    if ctx.operation != _PROD:
        weight: float = ctx.coefficients[place]
        return shared * weight
    others = [blob for index, blob in enumerate(blobs) if index != place]
    slope = reduce(torch.mul, others) if ctx.is_stable else blobs[0] / blobs[place]
    return slope * (slope if place == 0 else shared)
