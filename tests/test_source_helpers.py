"""What is copied into sources, held to the rules that it stands for where no recording goes."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn

from converters.export.source.families.spatial import is_stock
from converters.export.source.helpers import batch_norm, boxes, dropout, pooling
from converters.layers.parts.boxes.nms import suppressed
from converters.layers.parts.stochastic import stochastic_pool
from converters.layers.parts.windows import Windows
from converters.layers.parts.windows import average_pool as caffes_average
from converters.layers.parts.windows import max_pool as caffes_max

SIDES = list(product(range(1, 5), range(1, 6), range(3)))  # kernel, stride and pad of one axis


def windows(first: tuple[int, int, int], second: tuple[int, int, int]) -> Windows:
    return Windows(*((a, b) for a, b in zip(first, second, strict=True)))


@pytest.mark.parametrize("second", [(3, 2, 1), (2, 2, 0), (2, 4, 0), (3, 5, 1)])
def test_torchs_pooling_is_taken_where_it_is_caffes_at_every_size_and_else_ours(
    second: tuple[int, int, int],
) -> None:
    """Every kernel, stride and pad, of images of 1 to 9 pixels: some 190 windows are torch's own."""
    taken = {True: 0, False: 0}
    for first in SIDES:
        sides = windows(first, second)
        if first[2] >= first[0]:
            continue
        stock = is_stock(sides)
        for size in range(1, 10):
            x = torch.randn(1, 2, size, 9)
            if min(sides.out((size, 9))) < 1:
                continue
            taken[stock] += 1
            numbers = sides.kernel, sides.stride, sides.pad
            if stock:
                ours = [
                    kind(sides.kernel, sides.stride, sides.pad, ceil_mode=True)(x)
                    for kind in (nn.MaxPool2d, nn.AvgPool2d)
                ]
            else:
                ours = [pooling.max_pool(x, *numbers), pooling.average_pool(x, *numbers)]
            assert torch.equal(ours[0], caffes_max(x, sides)), (sides, size)
            assert torch.allclose(ours[1], caffes_average(x, sides), atol=1e-6, equal_nan=True), (sides, size)
    assert taken[True] or second == (2, 4, 0)
    assert taken[False]


def test_stochastic_pooling_draws_by_share_and_averages_in_evaluation() -> None:
    pool = pooling.StochasticPool((2, 2), (2, 2))
    x = torch.tensor([[[[1.0, 0.0], [3.0, 0.0]]]])
    assert torch.allclose(pool.eval()(x), stochastic_pool(x, Windows((2, 2), (2, 2), (0, 0)), False))
    torch.manual_seed(0)
    drawn = torch.cat([pool.train()(x).flatten() for _ in range(400)])
    assert set(drawn.tolist()) == {1.0, 3.0}
    assert (drawn == 3).float().mean().item() == pytest.approx(0.75, abs=0.08)


def test_dropout_without_a_scale_keeps_values_in_training() -> None:
    """Fast R-CNN's: the values that stay are as they were, and all are times 1 - p in evaluation."""
    drop, x = dropout.UnscaledDropout(0.25), torch.ones(1000)
    assert set(drop(x).unique().tolist()) == {0.0, 1.0}
    assert torch.equal(drop.eval()(x), x * 0.75)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_fixed_batch_norm_is_the_same_in_both_modes(axes: int) -> None:
    norm = getattr(batch_norm, f"FixedBatchNorm{axes}d")(3)
    norm.running_mean.normal_()
    x = torch.randn(2, 3, *(4,) * axes)
    assert torch.equal(norm.train()(x), norm.eval()(x))
    assert norm.weight.requires_grad and norm.num_batches_tracked == 0


@pytest.mark.parametrize("eta", [1.0, 0.9])
@pytest.mark.parametrize("equal_goes", [False, True])
@pytest.mark.parametrize("most", [None, 7])
def test_boxes_go_as_by_the_rule_of_our_layers(eta: float, equal_goes: bool, most: int | None) -> None:
    corners = drawn_boxes(60)
    stays = suppressed(corners, 0.6, eta=eta, equal_goes=equal_goes, most=most)
    places = boxes.suppress(corners, 0.6, eta=eta, equal_goes=equal_goes, most=most)
    assert places.tolist() == stays.nonzero().flatten().tolist()
    assert 0 < len(places) < 60


def drawn_boxes(count: int) -> Tensor:
    first = torch.rand(count, 2, generator=torch.Generator().manual_seed(0))
    return torch.cat([first, first + 0.4], 1)
