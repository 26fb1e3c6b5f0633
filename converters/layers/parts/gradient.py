"""Backward passes that Caffe defines otherwise than by the derivative of its forward pass."""

from typing import Any

import torch
from torch import Tensor


def asks_gradient(*tensors: Tensor) -> bool:
    """Whether a gradient is asked of any of them; where not, there is no need of a Function, whose arguments
    torch.compile would mistake (it may leave ``ctx`` out).
    """
    return torch.is_grad_enabled() and any(x.requires_grad for x in tensors)


class _Slope(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return grads[0] * slope, None, None


def with_slope(x: Tensor, y: Tensor, slope: Tensor) -> Tensor:
    """``y`` with ``slope`` times its gradient as the gradient of ``x``.

    ``slope`` has ``x``'s shape, ``y`` has that shape too or is a scalar; neither keeps a gradient of its own.
    """
    if not asks_gradient(x):
        return y.detach()
    result: Tensor = _Slope.apply(x, y.detach(), slope.detach())  # type: ignore[no-untyped-call]
    return result


class _Fixed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient, None, None


def with_gradient(x: Tensor, y: Tensor, gradient: Tensor) -> Tensor:
    """``y`` with ``gradient``, whatever its own is, as the gradient of ``x``: what Caffe computes where a
    layer in place writes over its top's gradient before it reads it.
    """
    if not asks_gradient(x):
        return y.detach()
    result: Tensor = _Fixed.apply(x, y.detach(), gradient.detach())  # type: ignore[no-untyped-call]
    return result


class _Unmoved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, Tensor]:
        (x,) = ctx.saved_tensors
        return grads[0], torch.zeros_like(x)


def without_gradient_to(x: Tensor, y: Tensor) -> Tensor:
    """``y`` with a gradient of 0, rather than none, for an ``x`` that it does not depend on."""
    if not asks_gradient(x):
        return y
    result: Tensor = _Unmoved.apply(y, x)  # type: ignore[no-untyped-call]
    return result
