"""Shapes of the commonest operations on the meta device, worked out here: torch's own rules for these are in
Python, take up to half a millisecond a call and load some 800 modules at the first.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Shape = Sequence[int]
_aten = torch.ops.aten


class QuickShapes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """In the block an operation on meta tensors takes its rule here, where there is one that covers the call;
    every other goes to torch, and so does one that is wrong, for torch's words about it.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here, and torch would load its compiler to make sure of that."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """The result of one operation."""
        rule = None if kwargs else _RULES.get(func)
        result = rule(*args) if rule else None
        return func(*args, **(kwargs or {})) if result is None else result


def _made(shape: Shape | None, dtype: torch.dtype = torch.float32) -> Tensor | None:
    return None if shape is None else torch.empty(shape, dtype=dtype, device="meta")


def _is_plain(*tensors: Any) -> bool:
    """Whether all of them are float32 tensors on the meta device; of others torch works out the type."""
    return all(isinstance(x, Tensor) and x.dtype == torch.float32 and x.is_meta for x in tensors)


def _broadcast(one: Shape, other: Shape) -> Shape | None:
    """The shape of an element by element operation on two; None where they do not go together."""
    if one == other:
        return one
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    padded = (*(1,) * (len(longer) - len(shorter)), *shorter)
    if any(a != b and 1 not in (a, b) for a, b in zip(longer, padded, strict=True)):
        return None
    return tuple(b if a == 1 else a for a, b in zip(longer, padded, strict=True))


def _unary(x: Tensor, *numbers: Any) -> Tensor | None:
    return _made(x.shape) if _is_plain(x) and not any(isinstance(n, Tensor) for n in numbers) else None


def _binary(x: Any, y: Any) -> Tensor | None:
    if isinstance(y, int | float):
        return _unary(x)
    return _made(_broadcast(x.shape, y.shape)) if _is_plain(x, y) else None


def _comparison(x: Tensor, number: float) -> Tensor | None:
    return _made(x.shape, torch.bool) if x.is_meta else None


def _where(condition: Tensor, x: Tensor, y: Tensor) -> Tensor | None:
    shape = _broadcast(x.shape, y.shape) if _is_plain(x, y) and condition.is_meta else None
    return None if shape is None else _made(_broadcast(condition.shape, shape))


def _slid(size: int, kernel: int, stride: int, pad: int, dilation: int = 1, ceil: bool = False) -> int:
    """In how many places a window stands along one axis, as torch counts them."""
    room = size + 2 * pad - dilation * (kernel - 1) - 1
    count = (room + (stride - 1 if ceil else 0)) // stride + 1
    return count - 1 if ceil and (count - 1) * stride >= size + pad else count


def _convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Shape, padding: Shape, dilation: Shape,
    transposed: bool, output_padding: Shape, groups: int,
) -> Tensor | None:  # fmt: skip
    axes = x.dim() - 2
    settings = (stride, padding, dilation)
    if transposed or not _is_plain(x, weight) or any(len(each) != axes for each in settings):
        return None
    if weight.dim() != x.dim() or weight.shape[1] * groups != x.shape[1]:
        return None
    sizes = [*map(_slid, x.shape[2:], weight.shape[2:], *settings)]
    return _made([x.shape[0], weight.shape[0], *sizes]) if min(sizes) > 0 else None


def _pooled(x: Tensor, kernel: Shape, stride: Shape, pad: Shape, dilation: Shape, ceil: bool) -> Shape | None:
    is_usual = x.dim() == 4 and len(kernel) == len(stride) == 2
    if not is_usual or not _is_plain(x) or any(2 * p > k for p, k in zip(pad, kernel, strict=False)):
        return None
    pads, dilations = (list(each) * (2 // len(each)) for each in (pad, dilation))
    sizes = [*map(_slid, x.shape[2:], kernel, stride, pads, dilations, [ceil] * 2)]
    return [*x.shape[:2], *sizes] if min(sizes) > 0 else None


def _max_pool(
    x: Tensor,
    kernel: Shape,
    stride: Shape = (),
    pad: Shape = (0,),
    dilation: Shape = (1,),
    ceil: bool = False,
) -> tuple[Tensor | None, Tensor | None] | None:
    shape = _pooled(x, kernel, stride or kernel, pad, dilation, ceil)
    return None if shape is None else (_made(shape), _made(shape, torch.int64))


def _average_pool(
    x: Tensor, kernel: Shape, stride: Shape = (), pad: Shape = (0,), ceil: bool = False, *counting: Any
) -> Tensor | None:
    return _made(_pooled(x, kernel, stride or kernel, pad, (1,), ceil))


def _batch_norm(
    x: Tensor, weight: Any, bias: Any, mean: Any, variance: Any, training: bool, *rest: Any
) -> Any:
    if not _is_plain(x) or x.dim() < 2 or (mean is not None and mean.shape != x.shape[1:2]):
        return None
    statistics = [x.shape[1] if training else 0]
    return _made(x.shape), _made(statistics), _made(statistics)


def _product(x: Tensor, y: Tensor) -> Tensor | None:
    if not _is_plain(x, y) or x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[0]:
        return None
    return _made([x.shape[0], y.shape[1]])


def _added_product(bias: Tensor, x: Tensor, y: Tensor) -> Tensor | None:
    product = _product(x, y)
    fits = product is not None and _broadcast(bias.shape, product.shape) == product.shape
    return product if fits and _is_plain(bias) else None


def _concatenated(tensors: Sequence[Tensor], dim: int = 0) -> Tensor | None:
    first = tensors[0].shape
    rest = [[*x.shape[:dim], *x.shape[dim:][1:]] for x in tensors]
    if not 0 <= dim < len(first) or not _is_plain(*tensors) or any(shape != rest[0] for shape in rest):
        return None
    return _made([*first[:dim], sum(x.shape[dim] for x in tensors), *first[dim + 1 :]])


def _reduced(x: Tensor, axes: Sequence[int] | None, keeps: bool = False) -> Tensor | None:
    if not axes or not _is_plain(x) or not all(-x.dim() <= axis < x.dim() for axis in axes):
        return None
    gone = {axis % x.dim() for axis in axes}
    sizes = [(1 if axis in gone else size) for axis, size in enumerate(x.shape)]
    return _made(sizes if keeps else [size for axis, size in enumerate(sizes) if axis not in gone])


_UNARY = (
    "abs", "exp", "log", "neg", "reciprocal", "relu", "sigmoid", "sqrt", "tanh", "clamp", "leaky_relu", "elu",
    "_softmax",
)  # fmt: skip
_RULES: dict[Any, Callable[..., Any]] = {
    **{getattr(_aten, name).default: _unary for name in _UNARY},
    **{getattr(_aten, name).Tensor: _binary for name in ("add", "sub", "mul", "div")},
    **{getattr(_aten, name).Scalar: _comparison for name in ("eq", "gt")},
    _aten.pow.Tensor_Scalar: _unary,
    _aten.rsub.Scalar: _unary,
    _aten.where.self: _where,
    _aten.convolution.default: _convolution,
    _aten.max_pool2d_with_indices.default: _max_pool,
    _aten.avg_pool2d.default: _average_pool,
    _aten.native_batch_norm.default: _batch_norm,
    _aten.mean.dim: _reduced,
    _aten.sum.dim_IntList: _reduced,
    _aten.mm.default: _product,
    _aten.addmm.default: _added_product,
    _aten.cat.default: _concatenated,
}
