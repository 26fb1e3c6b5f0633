"""Non-maximum suppression against a loop over boxes."""

import numpy as np
import pytest
import torch

from converters.layers.parts.boxes.nms import overlaps, suppressed


def drawn(count: int, seed: int, size: float = 0.4) -> torch.Tensor:
    r = np.random.default_rng(seed)
    corner, side = r.random((count, 2)), size * r.random((count, 2))
    return torch.from_numpy(np.concatenate([corner, corner + side], 1).astype(np.float32))


def by_a_loop(boxes: torch.Tensor, threshold: float, plus: float, equal_goes: bool, eta: float) -> list[int]:
    """SSD's ApplyNMSFast: each box in turn against those that stay."""
    shared, limit, stays = overlaps(boxes, boxes, plus).numpy(), np.float32(threshold), list[int]()
    for i in range(len(boxes)):
        if all(shared[i, k] < limit or (shared[i, k] == limit and not equal_goes) for k in stays):
            stays.append(i)
            limit = limit * np.float32(eta) if eta < 1 and limit > 0.5 else limit
    return stays


@pytest.mark.parametrize("count", [1, 50, 700])
@pytest.mark.parametrize("eta", [1.0, 0.9])
@pytest.mark.parametrize("plus, equal_goes", [(0.0, False), (1.0, True)])
def test_the_boxes_that_stay_are_a_loops(count: int, eta: float, plus: float, equal_goes: bool) -> None:
    boxes = torch.stack([drawn(count, seed) for seed in range(3)]) * (20 if plus else 1)
    mask = suppressed(boxes, 0.6, plus=plus, equal_goes=equal_goes, eta=eta)
    for row, of_group in zip(mask, boxes, strict=True):
        assert row.nonzero().flatten().tolist() == by_a_loop(of_group, 0.6, plus, equal_goes, eta)


def test_an_overlap_equal_to_the_threshold_goes_where_it_is_said_to() -> None:
    boxes = torch.tensor([[0.0, 0, 2, 1], [0, 0, 1, 1]])
    assert suppressed(boxes, 0.5).tolist() == [True, True]
    assert suppressed(boxes, 0.5, equal_goes=True).tolist() == [True, False]


def test_groups_are_apart_and_only_boxes_that_take_part_count() -> None:
    boxes = drawn(40, 0).expand(2, 40, 4)
    alive = torch.arange(40) % torch.tensor([[1], [2]]) == 0
    mask = suppressed(boxes, 0.3, alive=alive)
    alone = suppressed(boxes[1, ::2], 0.3)
    assert torch.equal(mask[1, ::2], alone) and not mask[1, 1::2].any()
    assert torch.equal(mask[0], suppressed(boxes[0], 0.3))


def test_at_most_as_many_stay_as_asked_for() -> None:
    boxes = drawn(2000, 1)
    every, few = suppressed(boxes, 0.5), suppressed(boxes, 0.5, most=7)
    assert few.nonzero().flatten().tolist() == every.nonzero().flatten()[:7].tolist()


def test_crossed_corners_have_no_area_and_no_boxes_none_that_stay() -> None:
    boxes = torch.tensor([[0.0, 0, 1, 1], [0.9, 0.9, 0.1, 0.1]])
    assert overlaps(boxes, boxes).tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert suppressed(boxes[:0], 0.5).shape == (0,)
