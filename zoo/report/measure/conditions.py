"""Whether a run's net is right on photographs shifted, zoomed, and served at other input sizes."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from converters.export.onnx_file import deploy_net
from converters.network import Network
from eval.accuracy import finite, judge
from eval.robustness import Condition, PixelBatch, shifted, zoomed
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError
from zoo.bench.models import Model
from zoo.report.measure.images import at_size, pixels_of, run_net, served, slices
from zoo.terminal.progress import counting
from zoo.train.images.dataset import ImageSet
from zoo.train.planning.lists import sole_image_layer
from zoo.variants.heads import head_of

Scorer = Callable[[Tensor], Tensor]  # (N, C, H, W) to (N, K)


def robustness(
    model: Model, score: Scorer, images: ImageSet, rows: Sequence[int], conditions: Sequence[Condition]
) -> dict[str, str]:
    """By condition's key, "1" or "0" for each photograph of ``rows``; conditions that the net takes."""
    right: dict[str, str] = {}
    with counting(f"measuring {model.name} under changes") as advance:
        for done, condition in enumerate(conditions, 1):
            if condition.kind != "size":
                right[condition.key] = digits(_right_when_edited(score, condition, images, rows))
            elif (sized := net_at_size(model, condition.amount, images)) is not None:
                resized = at_size(images, sized[1], rows, condition.amount)
                right[condition.key] = digits(_right_at_size(sized[0], resized, images, rows))
            advance(done, len(conditions))
    return right


def _right_when_edited(
    score: Scorer, condition: Condition, images: ImageSet, rows: Sequence[int]
) -> list[bool]:
    right: list[bool] = []
    for batch in slices(rows):
        pixels = _edited(condition, images, pixels_of(images, batch), len(right))
        right += _right(score(served(images, pixels)), images, batch)
    return right


def _edited(condition: Condition, images: ImageSet, pixels: PixelBatch, first: int) -> PixelBatch:
    """Photographs under a condition; ``first`` is how many came before, for the direction of shifts.

    They are moved before they are cropped: where the photograph goes on, its own pixels come in.
    """
    if condition.kind == "scale":
        return zoomed(pixels, condition.amount)
    side = images.layer.transform_param.crop_size or min(pixels.shape[1:3])
    return shifted(pixels, range(first, first + len(pixels)), round(condition.amount * side))


def net_at_size(model: Model, share: float, images: ImageSet) -> tuple[Network, LayerParameter] | None:
    """A run's deploy net for ``share`` times its training size, the same weights in it, and its data layer.

    The pooling of a GAP head covers the whole map. None for nets that cannot take that size: those
    with an FC head, whose weights count on one size, and maps that would be too small for a layer; and where
    images of several sizes are cut to one.
    """
    side = images.layer.transform_param.crop_size or images.layer.image_data_param.new_height
    if head_of(model.net) != "gap" or not side or images.are_apart:
        return None
    try:
        net = run_net(model, round(side * share))
    except InputError:
        return None
    layer = sole_image_layer(net.graph)
    assert layer is not None
    return deploy_net(net), layer


def _right_at_size(net: Network, resized: ImageSet, images: ImageSet, rows: Sequence[int]) -> list[bool]:
    right: list[bool] = []
    for batch in slices(range(len(rows))):
        with torch.no_grad():
            scores = finite(net(served(resized, resized.array[batch])))
        right += _right(scores, images, [rows[place] for place in batch])
    return right


def _right(scores: Tensor, images: ImageSet, rows: Sequence[int]) -> list[bool]:
    labels = images.labels[list(rows)]
    return [
        named == label
        for named, label in zip(judge(scores, torch.from_numpy(labels)).predictions, labels, strict=True)
    ]


def digits(right: Sequence[bool]) -> str:
    """One character each: "1" for right."""
    return "".join("1" if each else "0" for each in right)
