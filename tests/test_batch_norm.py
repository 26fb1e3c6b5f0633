"""BatchNorm in TRAIN against float64, in every memory format."""

import pytest
import torch
from one_layer import one_layer
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from prototxt.errors import InputError

SHAPE = (16, 8, 56, 56)
FORMATS = {
    "contiguous": lambda x: x,
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    "every second column": lambda x: x.repeat_interleave(2, 3)[..., ::2],
    "every second column of channels_last": lambda x: FORMATS["channels_last"](x.repeat_interleave(2, 3))[
        ..., ::2
    ],
}


def draw(mean: float) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(int(mean))) + mean


@pytest.fixture(scope="module")
def exact() -> tuple[Tensor, Tensor, Tensor]:
    """(x, top, gradient of x) in float64 for the top's gradient ``draw(0.3)``."""
    x = draw(100).double().requires_grad_()
    y = F.batch_norm(x, None, None, training=True)
    return x.detach(), y.detach(), torch.autograd.grad(y, x, draw(0.3).double())[0]


def off(ours: Tensor, theirs: Tensor) -> float:
    return ((ours.double() - theirs).abs().max() / theirs.abs().max()).item()


@pytest.mark.parametrize("form", FORMATS)
def test_statistics_and_gradients_are_exact(form: str, exact: tuple[Tensor, Tensor, Tensor]) -> None:
    wanted, top, slope = exact
    net = one_layer('type: "BatchNorm" top: "y"', phase="TRAIN", x=SHAPE)
    x = FORMATS[form](draw(100)).requires_grad_()
    assert x.is_contiguous() == (form == "contiguous")
    y = net(x)
    mean, variance, _ = net.params["it"]
    assert off(mean, wanted.mean((0, 2, 3))) <= 1e-6
    assert off(variance, wanted.var((0, 2, 3))) <= 1e-6
    assert off(y, top) <= 1e-5  # a mean of 100 in float32 is off by 4e-6 of the deviation
    grad = FORMATS[form](draw(0.3))
    assert off(torch.autograd.grad(y, x, grad)[0], slope) <= 1e-6
    with torch.no_grad():
        assert torch.equal(net(x), y)


def test_contiguous_batches_stay_with_torchs_kernel() -> None:
    net = one_layer('type: "BatchNorm" top: "y"', phase="TRAIN", x=(4, 3, 5, 5))
    x = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(net(x), F.batch_norm(x, None, None, training=True))


@pytest.mark.parametrize("shape", [(4, 3, 5, 5), (4, 3, 2, 5, 5)])
def test_an_exact_batch_compiles_whole(shape: tuple[int, ...]) -> None:
    net = one_layer('type: "BatchNorm" top: "y"', phase="TRAIN", x=shape)
    last = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=last)
    x.requires_grad_()
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    ours, theirs = compiled(x), F.batch_norm(x.double(), None, None, training=True)
    assert torch.allclose(ours.double(), theirs, atol=1e-6)
    slopes = (torch.autograd.grad(y.square().sum() + (y * x).sum(), x)[0] for y in (ours, theirs))
    assert torch.allclose(*(slope.float() for slope in slopes), atol=2e-5)


@pytest.mark.parametrize(
    "given", ["param { }", "param { lr_mult: 0 } param { lr_mult: 2 }", 'param { name: "s" }']
)
def test_statistics_that_shall_learn_are_refused(given: str) -> None:
    """BatchNormLayer::LayerSetUp; three old param have rates of 0 (UpgradeNetBatchNorm)."""
    with pytest.raises(InputError, match='layer "it": BatchNorm\'s statistics are not learned'):
        one_layer(f'type: "BatchNorm" top: "y" {given}', x=(2, 3, 4, 4))
    for fine in ("param { lr_mult: 0 }", "param { } param { } param { }"):
        one_layer(f'type: "BatchNorm" top: "y" {fine}', x=(2, 3, 4, 4))
