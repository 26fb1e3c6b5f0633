"""An engine's blobs held to a net's: each layer by itself, and what has added up from the input."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from converters.graph import Node, Value
from converters.network import Network
from eval.difference import TOLERANCE, Array, Difference, difference
from eval.parity import layer_by_layer
from eval.probe import forget, tensors
from eval.runtime import Feeds

ALONE = 1e-5  # of a blob's largest value: small nets' in golden/README, for a file folds layers into one


@dataclass(frozen=True)
class Held:
    """One blob of an engine: how far it is ``so_far`` from the net's, both begun at the input, and
    ``alone``, from what the net makes of the engine's own bottoms; None where that cannot be asked. ``where``
    says which elements differ.
    """

    value: Value
    node: Node
    so_far: Difference
    alone: Difference | None = None
    where: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether this layer differs, and not what came before it."""
        return self.told.differs

    @property
    def is_rounding(self) -> bool:
        """Whether it differs by no more than what last places of what was read for it make."""
        return self.told.is_far and not self.is_wrong

    @property
    def told(self) -> Difference:
        """By which the blob is judged."""
        return self.alone or self.so_far

    @property
    def counts(self) -> bool:
        """Whether any value was a number on both sides."""
        return self.so_far.compared > 0


@dataclass(frozen=True)
class Verdict:
    """What an engine's blobs were, in the net's order; ``reason`` why it has none, or not all; ``others`` are
    the names of blobs of it that the net has not.
    """

    engine: str
    held: Sequence[Held] = ()
    reason: str = ""
    others: Sequence[str] = ()

    @property
    def wrong(self) -> Held | None:
        """The first blob that is wrong by itself."""
        return next((each for each in self.held if each.is_wrong), None)

    @property
    def drifted(self) -> Held | None:
        """The first that is beyond a whole net's tolerance although no layer before it is wrong."""
        far = (each for each in self.held if each.so_far.differs and not each.is_rounding)
        return next(far, None)

    @property
    def ran(self) -> bool:
        """Whether there was anything to compare: what has no number in common with the net's, or other
        shapes, was compared and is wrong.
        """
        return any(each.counts or each.so_far.differs for each in self.held)

    @property
    def most(self) -> tuple[float, float]:
        """The largest share of a blob's scale, of a layer alone and so far; of blobs of the net's shape, and
        not of those of which rounding is all.
        """
        counted = [each for each in self.held if not each.is_rounding]
        alone = [each.alone.relative for each in counted if each.alone]
        so_far = [each.so_far.relative for each in counted]
        largest, added = (max(filter(np.isfinite, shares), default=0.0) for shares in (alone, so_far))
        return largest, added


@torch.no_grad()
def net_values(net: Network, feeds: Feeds) -> dict[Value, Array]:
    """Every blob of the net, as each layer leaves it, from inputs by blob."""
    forget(net)
    return {value: top.numpy() for value, top in net.values(tensors(feeds)).items()}


def hold(
    net: Network, feeds: Feeds, ours: Mapping[Value, Array], theirs: Mapping[Value, Array]
) -> list[Held]:
    """Each of the engine's values ``theirs`` against the net's, begun at the same ``feeds`` (``ours``), and
    against what the net makes of the engine's values before it.
    """
    found = []
    for value, node, by_net, its, rounding in layer_by_layer(net, feeds, theirs, ALONE):
        name = node.layer.name
        alone = difference(value.blob, by_net, its, name, ALONE, rounding)
        so_far = difference(value.blob, ours[value], its, name, TOLERANCE)
        where = places(by_net, its, alone) if alone.differs else ""
        found.append(Held(value, node, so_far, alone, where))
    return found


def places(ours: Array, theirs: Array, item: Difference) -> str:
    """Which elements of a blob differ, in words: how many, between which indices, and the worst of them."""
    if ours.shape != theirs.shape:
        return f"its shape is {sized(theirs.shape)}, and the net's {sized(ours.shape)}"
    with np.errstate(invalid="ignore"):
        apart = np.abs(ours - theirs)
    apart[(ours == theirs) | (np.isnan(ours) & np.isnan(theirs))] = 0
    apart[np.isnan(apart)] = np.inf
    off = apart > item.tolerance * item.scale
    worst = np.unravel_index(int(apart.argmax()), apart.shape)
    axes = [np.unique(axis) for axis in np.nonzero(off)]
    box = ", ".join(_span(axis, size) for axis, size in zip(axes, ours.shape, strict=True))
    at = ", ".join(map(str, worst))
    return (
        f"{int(off.sum()):,} of {ours.size:,} values, at [{box}]; the worst at [{at}]: "
        f"{theirs[worst]:.6g}, and the net's {ours[worst]:.6g}"
    )


def _span(found: NDArray[np.int64], size: int) -> str:
    """The indices on one axis: all of them, the only one, or from which to which."""
    if len(found) == size and size > 1:
        return "all"
    return str(found[0]) if len(found) == 1 else f"{found[0]}–{found[-1]}"


def sized(shape: Sequence[int]) -> str:
    """A shape in words."""
    return "×".join(map(str, shape)) or "one number"
