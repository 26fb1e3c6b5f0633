"""Non-maximum suppression of boxes in the order of their scores, with the comparisons that each fork makes.

No loop runs over boxes: the best boxes that are left are settled a block at a time, and those of a block
that stay put out all later ones at once. There is no matrix of all boxes by all boxes.
"""

import math

import torch
from torch import Tensor

_LEAST, _MOST = 32, 512  # boxes of a group settled at once, a matrix of that many squared
_PAIRS = 2**18  # of all groups' matrices together, about, so that they stay in a cache


def areas_of(boxes: Tensor, plus: float = 0.0) -> Tensor:
    """(…, 4) corners to (…), width times height, each with ``plus``; 0 of a box whose corners are crossed."""
    sides = boxes[..., 2:] - boxes[..., :2]
    sides = torch.where(sides < 0, 0.0, sides + plus) if plus else sides.clamp_(min=0)
    return sides[..., 0] * sides[..., 1]


def overlaps(a: Tensor, b: Tensor, plus: float = 0.0, areas: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Intersection over union of every box of ``a`` with every one of ``b``: (…, N, 4) and (…, M, 4) to
    (…, N, M), 0 where they do not meet. ``areas`` replaces :func:`areas_of` the two, (…, N) and (…, M).
    No gradient.
    """
    first, second = areas or (areas_of(a, plus), areas_of(b, plus))
    rows = a.mT.contiguous().unsqueeze(-1)
    columns = rows.mT if a is b else b.mT.contiguous().unsqueeze(-2)
    left, top, right, bottom = zip(rows.unbind(-3), columns.unbind(-3), strict=True)
    space = torch.maximum(*left)  # one of each size does: what is made anew costs more than its arithmetic
    width = torch.minimum(*right).sub_(space)
    height = torch.minimum(*bottom).sub_(torch.maximum(*top, out=space))
    if plus:
        width, height = width.add_(plus), height.add_(plus)
    shared = width.clamp_(min=0).mul_(height.clamp_(min=0))
    union = torch.add(first.unsqueeze(-1), second.unsqueeze(-2), out=space).sub_(shared)
    return shared.div_(union).nan_to_num_(0.0, math.inf, -math.inf)


def suppressed(
    boxes: Tensor,
    threshold: float,
    *,
    plus: float = 0.0,
    equal_goes: bool = False,
    eta: float = 1.0,
    alive: Tensor | None = None,
    areas: Tensor | None = None,
    most: int | None = None,
) -> Tensor:
    """Which boxes stay, as a mask (…, N), of boxes (…, N, 4) of corners that stand best first; each of the
    leading axes' groups (an image's class, say) by itself.

    A box goes whose overlap with one that stays is above ``threshold`` (with ``equal_goes``: or equal to it).
    ``plus`` is added to every width and height, 1 where corners are pixels. ``eta`` below 1 multiplies the
    threshold after each box that stays, while it is above 0.5 (SSD's adaptive rule: a box meets the threshold
    that holds when its turn comes). ``alive`` (…, N): the boxes that take part; ``areas`` (…, N): theirs,
    where a fork has them from elsewhere. At most ``most`` of a group stay. No gradient.
    """
    if not boxes.numel():
        return torch.zeros(boxes.shape[:-1], dtype=torch.bool, device=boxes.device)
    with torch.no_grad():
        groups = boxes.reshape(-1, *boxes.shape[-2:])
        sizes = (areas_of(boxes, plus) if areas is None else areas).reshape(groups.shape[:2])
        here = torch.ones_like(sizes, dtype=torch.bool) if alive is None else alive.reshape(sizes.shape)
        rule = _Rule(groups, sizes, threshold, plus, equal_goes)
        stays = rule.by_rounds(here, eta) if eta < 1 else rule.by_blocks(here, most)
        if most is not None:
            stays &= stays.cumsum(-1) <= most
        return stays.reshape(boxes.shape[:-1])


class _Rule:
    """Groups of boxes (G, N, 4), their areas (G, N), and when one goes for another."""

    def __init__(self, boxes: Tensor, areas: Tensor, threshold: float, plus: float, equal_goes: bool) -> None:
        self.boxes, self.areas, self.threshold = boxes, areas, threshold
        self.plus, self.equal_goes = plus, equal_goes

    def _overlaps(self, first: Tensor, second: Tensor) -> Tensor:
        """Of the boxes at the places (G, A) with those at (G, B): (G, A, B)."""
        boxes = [self.boxes.gather(1, at.unsqueeze(-1).expand(-1, -1, 4)) for at in (first, second)]
        areas = self.areas.gather(1, first), self.areas.gather(1, second)
        return overlaps(boxes[0], boxes[1], self.plus, areas)

    def _puts_out(self, first: Tensor, second: Tensor) -> Tensor:
        """1 where a box at a place of the first puts out one of the second, else 0: (G, A, B)."""
        return self._marks(self._overlaps(first, second))

    def _marks(self, shared: Tensor) -> Tensor:
        return shared.ge_(self.threshold) if self.equal_goes else shared.gt_(self.threshold)

    def by_blocks(self, alive: Tensor, most: int | None) -> Tensor:
        """A round settles each group's first boxes that are left, then what those put out."""
        stays = torch.zeros_like(alive)
        size = min(_MOST, max(_LEAST, math.isqrt(_PAIRS // len(alive))))
        if alive.shape[1] <= size:
            every = overlaps(self.boxes, self.boxes, self.plus, (self.areas, self.areas))
            return _settled(self._marks(every), alive)
        while count := int(alive.sum(1).max()):
            places = _first(alive, count)
            block, rest = places[:, :size], places[:, size:]
            chosen = _settled(self._puts_out(block, block), alive.gather(1, block))
            stays.scatter_(1, block, stays.gather(1, block) | chosen)
            alive = alive.scatter(1, block, False)
            if rest.shape[1]:
                alive = self._after(alive, block, chosen, rest)
            if most is not None:
                alive &= stays.sum(1, keepdim=True) < most
        return stays

    def _after(self, alive: Tensor, block: Tensor, chosen: Tensor, rest: Tensor) -> Tensor:
        """``alive`` without those of ``rest`` that the chosen of the block put out."""
        order = _first(chosen, max(1, int(chosen.sum(1).max())))
        winners, is_winner = block.gather(1, order), chosen.gather(1, order)
        parts = rest.chunk(1 + rest.shape[1] * winners.numel() // (4 * _PAIRS), 1)
        out = torch.cat([_any_row(self._puts_out(winners, part), is_winner) for part in parts], 1)
        return alive.scatter(1, rest, alive.gather(1, rest) & ~out)

    def by_rounds(self, alive: Tensor, eta: float) -> Tensor:
        """A round finds the next box of each group that stays, under a threshold that shrinks."""
        stays, worst = torch.zeros_like(alive), torch.zeros_like(self.areas)
        threshold = torch.full_like(self.areas[:, :1], self.threshold)
        everything = torch.arange(alive.shape[1], device=alive.device).expand_as(alive)
        while True:
            fits = alive & (worst < threshold if self.equal_goes else worst <= threshold)
            some = fits.any(1, keepdim=True)
            if not some.any():
                return stays
            place = fits.to(torch.uint8).argmax(1, keepdim=True)
            stays.scatter_(1, place, stays.gather(1, place) | some)
            alive = alive & (everything > place)  # what stood before it has had its turn
            worst = torch.maximum(worst, self._overlaps(place, everything).squeeze(1))
            threshold = torch.where(some & (threshold > 0.5), threshold * eta, threshold)


def _first(mask: Tensor, count: int) -> Tensor:
    """The places of each row's first ``count`` that are set, then of others: (G, N) to (G, count)."""
    return mask.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :count]


def _settled(puts_out: Tensor, alive: Tensor) -> Tensor:
    """Which of a block stay: (G, B, B), row puts out column, and (G, B). A box stays unless one before it
    that stays puts it out; guesses are corrected until none changes, from the front on.
    """
    later, possible = puts_out.triu_(1), alive.to(puts_out.dtype).unsqueeze(1)
    stays = possible
    while True:
        corrected = torch.baddbmm(possible, stays, later, alpha=-1).clamp_(min=0)
        if torch.equal(corrected, stays):
            return stays.squeeze(1) > 0
        stays = corrected


def _any_row(marks: Tensor, rows: Tensor) -> Tensor:
    """Whether a column has a mark in one of the rows: (G, A, B) of 0 and 1 and a mask (G, A) to (G, B)."""
    return (rows.to(marks.dtype).unsqueeze(1) @ marks).squeeze(1) > 0
