"""The rules for shapes on the meta device: they say what torch's own say, and spare loading its compiler."""

import itertools
import operator
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_cases import GOLDEN
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters import build, load_net
from converters.meta import _RULES, QuickShapes

NETS = [*(GOLDEN / "layers").glob("*.prototxt"), Path("prototxt/nets/allconv6.prototxt")]


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_every_layer_has_the_shapes_that_torch_gives_it(phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {path: load_net(path, phase=phase).shapes for path in NETS}
    monkeypatch.setattr(build, "QuickShapes", nullcontext)
    for path in NETS:
        assert ours[path] == load_net(path, phase=phase).shapes, path


def tensors(*shapes: tuple[int, ...]) -> list[Tensor]:
    return [torch.empty(shape, device="meta") for shape in shapes]


def results(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> object:
    """What a call returns, as shapes and types of its tensors, or what it raises."""
    try:
        made = function(*args, **kwargs)
    except (RuntimeError, IndexError) as error:
        return str(error)
    return [(x.shape, x.dtype, x.device) for x in (made if isinstance(made, tuple) else (made,))]


def same(function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """A call gives the same under the rules as without them."""
    with torch.device("meta"), torch.no_grad():
        with QuickShapes():
            ours = results(function, args, kwargs)
        assert ours == results(function, args, kwargs)


@pytest.mark.parametrize("ceil", [False, True])
def test_windows_stand_where_torch_has_them(ceil: bool) -> None:
    (x,) = tensors((2, 3, 7, 8))
    kernels, strides, pads = (1, 2, 3, (2, 3)), (1, 2, 3, (3, 1)), (0, 1, (1, 0), 2)
    for kernel, stride, pad in itertools.product(kernels, strides, pads):
        sides = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        weight, narrow, bias = tensors((4, 3, *sides), (4, 2, *sides), (4,))
        same(F.avg_pool2d, x, kernel, stride, pad, ceil)
        same(F.max_pool2d, x, kernel, stride, pad, ceil_mode=ceil)
        same(F.max_pool2d, x, kernel, stride, pad, dilation=2, ceil_mode=ceil, return_indices=True)
        same(F.conv2d, x, weight, bias, stride, pad, dilation=1 + ceil)
        same(F.conv2d, x, narrow, None, stride, pad)


def test_other_windows_are_torchs() -> None:
    x, large, grouped, back = tensors((2, 3, 7, 8), (4, 3, 9, 9), (3, 1, 2, 2), (3, 4, 2, 2))
    same(F.conv2d, x, large)
    same(F.conv2d, x, grouped, groups=3)
    same(F.conv_transpose2d, x, back, stride=2)
    same(F.avg_pool2d, x[0], 2)


def test_two_operands_give_torchs_shapes_types_and_refusals() -> None:
    x, row, channel, other = tensors((2, 3, 4), (4,), (3, 1), (2, 5, 4))
    operands = (x, row, channel, other, torch.arange(4, device="meta"), 2, 2.5)
    for a, b in itertools.product(operands[:5], operands):
        for function in (operator.add, operator.sub, operator.mul, operator.truediv):
            same(function, a, b)
            same(function, b, a)
        if isinstance(b, Tensor):
            same(torch.where, a > 0, a, b)
        else:
            for function in (operator.eq, operator.lt, operator.gt, operator.pow):
                same(function, a, b)


def test_one_operand_gives_torchs_shapes_and_types() -> None:
    (x,) = tensors((2, 3, 4))
    for name in ("abs", "exp", "log", "neg", "reciprocal", "relu", "sigmoid", "sqrt", "tanh"):
        same(getattr(torch, name), x)
        same(getattr(torch, name), torch.arange(4, device="meta"))
    for axes in (1, (0, 2), -1, (-1, -2), 3):
        same(torch.mean, x, axes)
        same(torch.sum, x, axes, keepdim=True)
    for axis in range(-3, 4):
        same(torch.softmax, x, axis)


def test_joined_and_multiplied_tensors_have_torchs_shapes() -> None:
    x, other, row, three, five = tensors((2, 3, 4), (2, 5, 4), (4,), (3,), (5,))
    for axis in range(-3, 4):
        same(torch.cat, [x, other], axis)
        same(torch.cat, [x, x, x], axis)
        same(torch.cat, [x, row], axis)
    same(operator.matmul, x[0], x[0].T)
    same(operator.matmul, x[0], x[0])
    for bias in (None, five, row):
        same(F.linear, x[0], other[0], bias)
    same(F.linear, row, x[0])
    same(F.batch_norm, x, three, three)
    same(F.batch_norm, x, five, five)
    same(F.batch_norm, x, None, None, training=True)


def test_every_rule_is_reached() -> None:
    reached = set()

    class Noting(QuickShapes):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            reached.add(func)
            return super().__torch_dispatch__(func, types, args, kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "QuickShapes", Noting)
        for path in NETS:
            for phase in ("TRAIN", "TEST"):
                load_net(path, phase=phase)
    assert not set(_RULES) - reached


RESNET = """
import sys
from converters import load_net
text = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 32 dim: 32 } } }'
for layer in (
    'name: "conv" type: "Convolution" bottom: "x" top: "y" convolution_param { num_output: 3 kernel_size: 3 pad: 1 }',
    'name: "bn" type: "BatchNorm" bottom: "y" top: "y"',
    'name: "scale" type: "Scale" bottom: "y" top: "y" scale_param { bias_term: true }',
    'name: "relu" type: "ReLU" bottom: "y" top: "y"',
    'name: "sum" type: "Eltwise" bottom: "x" bottom: "y" top: "s"',
    'name: "both" type: "Concat" bottom: "x" bottom: "s" top: "c"',
    'name: "max" type: "Pooling" bottom: "c" top: "p" pooling_param { kernel_size: 3 stride: 2 }',
    'name: "pool" type: "Pooling" bottom: "p" top: "a" pooling_param { pool: AVE global_pooling: true }',
    'name: "fc" type: "InnerProduct" bottom: "a" top: "f" inner_product_param { num_output: 10 }',
    'name: "prob" type: "Softmax" bottom: "f" top: "prob"',
):
    text += " layer { " + layer + " }"
load_net(text)
print([name for name in ("torch._dynamo", "sympy") if name in sys.modules])
"""


def test_a_usual_net_is_built_without_torchs_compiler() -> None:
    run = subprocess.run([sys.executable, "-c", RESNET], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
